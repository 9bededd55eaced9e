"""What a catalogue's rows must hold, checked with pandera in batches; each bad row with its column and why.

pandera and pandas are imported by the first check, since only a job that reads a catalogue needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue.rows import Row

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

#: An id is a key in the database and in results, not a text.
_MAX_ID: Final = 500


@dataclass(frozen=True)
class Rule:
    """What every cell of a column must be.

    Attributes:
        column: a column of the table; ``fault`` is the reader's own refusal of the row.
        code: of the error.
        passes: whether a cell keeps the rule.
        reason: why this cell does not.
        remedy: what the user can do.
    """

    column: str
    code: str
    passes: Callable[[str], bool]
    reason: Callable[[str], str]
    remedy: str

    def error(self, subject: str, cell: str) -> InputError:
        """The error of a cell that breaks the rule."""
        return InputError(self.code, subject, self.reason(cell), self.remedy)


def scheme_of(image: str) -> str:
    """The scheme of an address, lower case; "" where there is none."""
    return image.split(":", 1)[0].lower() if ":" in image else ""


def _is_path_or_web(image: str) -> bool:
    scheme = scheme_of(image)
    other = "://" in image or scheme in ("data", "javascript", "file")
    return scheme in ("http", "https") or not other


#: In the order in which a row is judged: the first rule that it breaks is its reason.
RULES: Final = (
    Rule("fault", "catalogue.row", lambda fault: not fault, str, "Correct that row"),
    Rule("product_id", "catalogue.no_id", bool, lambda _: "its product_id is empty", "Give the row an id"),
    Rule(
        "product_id",
        "catalogue.bad_id",
        lambda cell: len(cell) <= _MAX_ID,
        lambda cell: f"its product_id has {len(cell):,} characters, over {_MAX_ID}",
        "Give it a shorter id",
    ),
    Rule(
        "product_id",
        "catalogue.bad_id",
        str.isprintable,
        lambda _: "its product_id holds control characters or line breaks",
        "Give it an id of printable characters",
    ),
    Rule(
        "image", "catalogue.no_image", bool, lambda _: "its image is empty", "Give a path or an http(s) URL"
    ),
    Rule(
        "image",
        "catalogue.bad_image",
        _is_path_or_web,
        lambda cell: f"its image is a {scheme_of(cell)}: address",
        "Give a path or an http(s) URL",
    ),
)


def refused(rows: Sequence[Row]) -> dict[int, tuple[Rule, str]]:
    """The rows that break a rule, by their place in `rows`: the first rule that each breaks, and the cell."""
    import pandas as pd
    from pandera.errors import SchemaErrors

    table = pd.DataFrame(
        {column: [_cell(row, column) for row in rows] for column in _columns()}, dtype="object"
    )
    try:
        _schema().validate(table, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        broken = sorted(
            {(int(place), int(number)) for place, number in zip(cases["index"], cases["check"], strict=True)}
        )
        # The first of each row stays, as the last one put in.
        return {place: (RULES[n], _cell(rows[place], RULES[n].column)) for place, n in reversed(broken)}
    return {}


def check_image(subject: str, image: str) -> None:
    """Judges one reference to a picture by the rules of the column ``image``.

    Raises:
        InputError: ``catalogue.no_image``, ``catalogue.bad_image``.
    """
    for rule in RULES:
        if rule.column == "image" and not rule.passes(image):
            raise rule.error(subject, image)


def _cell(row: Row, column: str) -> str:
    return row.fault if column == "fault" else row.values.get(column, "")


def _columns() -> list[str]:
    return list(dict.fromkeys(rule.column for rule in RULES))


@cache
def _schema() -> DataFrameSchema:
    import pandera.pandas as pa

    def check(number: int, rule: Rule) -> pa.Check:
        return pa.Check(rule.passes, element_wise=True, error=str(number))

    numbered = list(enumerate(RULES))
    return pa.DataFrameSchema(
        {
            column: pa.Column("object", [check(n, rule) for n, rule in numbered if rule.column == column])
            for column in _columns()
        }
    )
