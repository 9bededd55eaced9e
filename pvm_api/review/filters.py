"""What a page of matches is asked for, read from its address and written back into one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast, get_args
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from pvm_core.errors import InputError
from pvm_resources.store.records import MatchStatus
from pvm_resources.store.review_queries import SAID, SORTS, Said, Sort, Wanted

STATUSES: Final[tuple[MatchStatus, ...]] = get_args(MatchStatus)
_TEXT_MAX: Final = 200


@dataclass(frozen=True)
class Filters:
    """Filters and order as they stand in an address; see `Wanted`."""

    sort: Sort = "best"
    status: Sequence[MatchStatus] = ()
    said: Sequence[Said] = ()
    min: float | None = None
    max: float | None = None
    product: uuid.UUID | None = None
    video: uuid.UUID | None = None
    q: str = ""

    @classmethod
    def parse(cls, params: QueryParams) -> Filters:
        """From an address; what is empty is not asked for.

        Raises:
            InputError: ``review.filter``.
        """
        sort = params.get("sort") or "best"
        return cls(
            cast(Sort, _one("sort", sort, SORTS)),
            cast(Sequence[MatchStatus], _some("status", params.getlist("status"), STATUSES)),
            cast(Sequence[Said], _some("said", params.getlist("said"), SAID)),
            _share("min", params.get("min")),
            _share("max", params.get("max")),
            _id("product", params.get("product")),
            _id("video", params.get("video")),
            " ".join(params.get("q", "")[:_TEXT_MAX].split()),
        )

    @property
    def any(self) -> bool:
        """Something is left out."""
        return replace(self, sort="best") != Filters()

    def wanted(self, job: str) -> Wanted:
        """As the store is asked."""
        return Wanted(
            job, self.sort, tuple(self.status), tuple(self.said),
            0.0 if self.min is None else self.min, 1.0 if self.max is None else self.max,
            self.product, self.video, self.q,
        )  # fmt: skip

    def query(self, **more: object) -> str:
        """As the part of an address after its path, with its question mark; "" where nothing is asked."""
        values: Mapping[str, Any] = {**vars(self), **more}
        pairs = [
            (name, str(one))
            for name, value in values.items()
            for one in (value if isinstance(value, tuple | list) else [value])
            if one not in (None, "") and (name, one) != ("sort", "best")
        ]
        return f"?{urlencode(pairs)}" if pairs else ""


def _one(name: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise _refused(name, given, f"it is none of {', '.join(known)}")
    return given


def _some(name: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    wanted = {_one(name, one, known) for one in given if one}
    return tuple(one for one in known if one in wanted)


def _share(name: str, given: str | None) -> float | None:
    if not given:
        return None
    try:
        value = float(given.replace(",", "."))
    except ValueError:
        raise _refused(name, given, "it is no number") from None
    if not 0 <= value <= 1:
        raise _refused(name, given, "it is not between 0 and 1")
    return value


def _id(name: str, given: str | None) -> uuid.UUID | None:
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError:
        raise _refused(name, given, "it is no id") from None


def _refused(name: str, given: str, reason: str) -> InputError:
    return InputError("review.filter", f"{name}={given[:100]}", reason, "Clear the filters")
