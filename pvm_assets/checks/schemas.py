"""Pandera schemas of the rows that checks read, and their validation in bounded pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandera.pandas as pa

#: Rows validated at once.
_PIECE: Final = 5_000
#: Failing rows named in a verdict.
_NAMED: Final = 10


@dataclass(frozen=True)
class Validation:
    """How many rows were seen, how many failed, and the first failures in words."""

    rows: int
    failures: int
    examples: tuple[str, ...]


def validate(schema: pa.DataFrameSchema, rows: Iterable[Any], unique: str | None = None) -> Validation:
    """Validates dataclass rows against `schema`, some thousand at a time.

    Args:
        unique: a field no two rows may share.
    """
    import pandas as pd
    import pandera.pandas as pa

    waiting, seen, failures = iter(rows), 0, 0
    keys: set[Any] = set()
    examples: list[str] = []
    while piece := list(islice(waiting, _PIECE)):
        seen += len(piece)
        if unique is not None:
            keys.update(getattr(row, unique) for row in piece)
        try:
            schema.validate(pd.DataFrame([vars(row) for row in piece]), lazy=True)
        except pa.errors.SchemaErrors as error:
            cases = error.failure_cases
            failures += len(cases)
            examples += [f"{c.column}: {c.check} fails for {c.failure_case!r}" for c in cases.itertuples()]
    if unique is not None and len(keys) < seen:
        failures += seen - len(keys)
        examples.insert(0, f"{unique} is repeated {seen - len(keys)} times")
    return Validation(seen, failures, tuple(examples[:_NAMED]))


def _schema(columns: Callable[[Any], dict[str, Any]]) -> Callable[[], pa.DataFrameSchema]:
    def make() -> pa.DataFrameSchema:
        # Importing pandera takes two seconds: only a process that checks pays for it.
        import pandera.pandas as pa

        return pa.DataFrameSchema(columns(pa), strict=False, coerce=True)

    return make


def _text(pa: Any) -> Any:
    return pa.Column(str, pa.Check.str_length(min_value=1))


def _unit(pa: Any) -> Any:
    return pa.Column(float, pa.Check.in_range(0.0, 1.0), nullable=True)


products = _schema(lambda pa: {"src": _text(pa), "namespace": _text(pa), "asin_or_itemid": _text(pa)})
images = _schema(
    lambda pa: {
        "sha256": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$")),
        "local_path": _text(pa),
        "width": pa.Column(int, pa.Check.in_range(1, 1_024)),
        "height": pa.Column(int, pa.Check.in_range(1, 1_024)),
    }
)
frames = _schema(
    lambda pa: {
        "ts": pa.Column(float, pa.Check.ge(0.0)),
        "shot": pa.Column(int, pa.Check.ge(0)),
        "local_path": _text(pa),
        "width": pa.Column(int, pa.Check.ge(1)),
        "height": pa.Column(int, pa.Check.ge(1)),
        "sharpness": pa.Column(float, pa.Check.ge(0.0)),
    }
)
candidates = _schema(
    lambda pa: {
        "rank": pa.Column(int, pa.Check.ge(1)),
        "sim_rgb": pa.Column(float, pa.Check.in_range(-1.0, 1.0)),
        "sim_gray": pa.Column(float, pa.Check.in_range(-1.0, 1.0), nullable=True),
        "similarity": pa.Column(float, pa.Check.in_range(-1.0, 1.0)),
    }
)
matches = _schema(
    lambda pa: {
        "score": pa.Column(float, pa.Check.in_range(0.0, 1.0)),
        "score_pair": pa.Column(float, pa.Check.in_range(0.0, 1.0)),
        "sim_deep": _unit(pa),
        "sim_kp": _unit(pa),
        "sim_edge": _unit(pa),
        "status": pa.Column(str, pa.Check.isin(["accepted", "review", "rejected"])),
        "reason": _text(pa),
        "ts": pa.Column(float, pa.Check.ge(0.0)),
        "consistency": pa.Column(int, pa.Check.ge(0)),
        "coverage": pa.Column(int, pa.Check.ge(0)),
    }
)
