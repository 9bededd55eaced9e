"""Pages by keyset: an opaque signed cursor says after which row the next page begins."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request

from pvm_api.problems import ApiError

T = TypeVar("T")
LIMIT_MAX: Final = 200
#: Bytes of the signature; 128 bits cannot be guessed.
_SIGNED: Final = 16
_CURSOR_MAX: Final = 2_000

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Most items of a page.")]
Cursor = Annotated[
    str | None, Query(max_length=_CURSOR_MAX, description="Where the page before ended; comes with `next`.")
]


class Cursors:
    """Makes and reads cursors.

    Args:
        secret: gives the key to sign with; called at the first use.
    """

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._secret = secret
        self._key: bytes | None = None

    def write(self, kind: str, filters: Mapping[str, Any], place: Sequence[Any]) -> str:
        """A cursor for the list `kind` under these filters, after the row at `place` (JSON-able)."""
        body = json.dumps(list(place), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(kind, filters, body) + body).decode().rstrip("=")

    def read(self, kind: str, filters: Mapping[str, Any], cursor: str) -> list[Any]:
        """The place that `write` was given.

        Raises:
            ApiError: 422 ``cursor.invalid``: it is not ours, or belongs to other filters.
        """
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise _invalid() from error
        signature, body = data[:_SIGNED], data[_SIGNED:]
        if not hmac.compare_digest(signature, self._sign(kind, filters, body)):
            raise _invalid()
        found: list[Any] = json.loads(body)
        return found

    def _sign(self, kind: str, filters: Mapping[str, Any], body: bytes) -> bytes:
        if self._key is None:
            self._key = self._secret()
        given = {name: value for name, value in filters.items() if value not in (None, [], ())}
        head = json.dumps([kind, given], sort_keys=True, default=str).encode()
        return hmac.new(self._key, head + b"\n" + body, hashlib.sha256).digest()[:_SIGNED]


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


def _invalid() -> ApiError:
    return ApiError(
        "cursor.invalid", "the cursor is not of this list", "Follow `next` as it is, or begin anew"
    )
