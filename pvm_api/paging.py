"""Pages by keyset: an opaque signed cursor holds the row after which the next page begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request
from itsdangerous import BadData, URLSafeSerializer

from pvm_api.problems import ApiError

T = TypeVar("T")
LIMIT_MAX: Final = 200
#: For signatures by HMAC-SHA256; itsdangerous's own default is SHA-1.
DIGEST: Final = hashlib.sha256
_CURSOR_MAX: Final = 2_000

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Most items of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=_CURSOR_MAX, description="Where the page before ended; comes with `next`.")
]


class Cursors:
    """Signs and reads cursors.

    Args:
        secret: gives the key to sign with; called at the first use.
    """

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._secret = cache(secret)

    def write(self, kind: str, filters: Mapping[str, Any], place: Sequence[Any]) -> str:
        """A cursor for the list `kind` under these filters, after the row at `place` (JSON-able)."""
        return str(self._serializer(kind, filters).dumps(list(place)))

    def read(self, kind: str, filters: Mapping[str, Any], cursor: str) -> list[Any]:
        """The place that `write` was given.

        Raises:
            ApiError: 422 ``cursor.invalid``: it was not made here, or belongs to other filters.
        """
        try:
            found: list[Any] = self._serializer(kind, filters).loads(cursor)
        except BadData as error:
            raise ApiError(
                "cursor.invalid", "the cursor is not of this list", "Follow `next` as it is, or begin anew"
            ) from error
        return found

    def _serializer(self, kind: str, filters: Mapping[str, Any]) -> URLSafeSerializer:
        given = {name: value for name, value in filters.items() if value not in (None, [], ())}
        salt = json.dumps([kind, given], sort_keys=True, default=str)
        return URLSafeSerializer(self._secret(), salt, signer_kwargs={"digest_method": DIGEST})


def cut(rows: Sequence[T], limit: int) -> tuple[list[T], T | None]:
    """The page's rows out of one more than fit, and its last row where another page follows."""
    page = list(rows[:limit])
    return page, page[-1] if len(rows) > limit else None


def next_url(request: Request, base: str, cursor: str | None) -> str | None:
    """The absolute address of the next page: this one's with another cursor."""
    if cursor is None:
        return None
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{base}{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"
