"""Filters and order of a page of matches, read from its address and written back into one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams

from pvm_core.errors import InputError
from pvm_resources.store.records import MatchStatus
from pvm_resources.store.review_queries import Said, Sort, Wanted

STATUSES: Final[tuple[MatchStatus, ...]] = get_args(MatchStatus)
_TEXT_MAX: Final = 200
_SEVERAL_MAX: Final = 10
#: [0, 1]; a decimal comma is read as a point.
_Share = Annotated[
    float,
    BeforeValidator(lambda given: given.replace(",", ".") if isinstance(given, str) else given),
    Field(ge=0, le=1),
]
_Text = Annotated[str, BeforeValidator(lambda given: " ".join(given[:_TEXT_MAX].split()))]


def usual_sort(said: Sequence[str]) -> Sort:
    """The order of a page whose address names none: what is open is a queue, closest calls first."""
    return "doubt" if tuple(said) == ("open",) else "best"


class Filters(BaseModel):
    """Filters and order as they stand in an address; see `Wanted`."""

    sort: Sort = "best"
    status: tuple[MatchStatus, ...] = ()
    said: tuple[Said, ...] = ()
    min: _Share | None = None
    max: _Share | None = None
    product: uuid.UUID | None = None
    video: uuid.UUID | None = None
    q: _Text = ""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def parse(cls, params: QueryParams) -> Filters:
        """From an address; an empty value is no filter.

        Raises:
            InputError: ``review.filter``.
        """
        given = {name: params.get(name) for name in cls.model_fields if params.get(name)}
        several = {
            name: [one for one in params.getlist(name)[:_SEVERAL_MAX] if one] for name in ("status", "said")
        }
        given.setdefault("sort", usual_sort(several["said"]))
        try:
            return cls.model_validate({**given, **several})
        except ValidationError as error:
            first = error.errors()[0]
            subject = f"{first['loc'][0]}={str(first['input'])[:100]}"
            raise InputError("review.filter", subject, first["msg"], "Clear the filters") from None

    @property
    def any(self) -> bool:
        """Whether any filter is set."""
        return self.model_copy(update={"sort": "best"}) != Filters()

    def wanted(self, job: str) -> Wanted:
        """As a query of the store."""
        return Wanted(
            job, self.sort, self.status, self.said,
            0.0 if self.min is None else self.min, 1.0 if self.max is None else self.max,
            self.product, self.video, self.q,
        )  # fmt: skip

    def query(self, **more: object) -> str:
        """The query string with its question mark; "" where everything is at its default."""
        values: Mapping[str, Any] = {**dict(self), **more}
        usual = usual_sort(values["said"])
        pairs = [
            (name, str(one))
            for name, value in values.items()
            for one in (value if isinstance(value, tuple | list) else [value])
            if one not in (None, "") and (name, one) != ("sort", usual)
        ]
        return f"?{urlencode(pairs)}" if pairs else ""
