"""What a catalogue's rows must hold, checked with pandera in batches; each bad cell with its rule and why.

pandera and pandas are imported by the first check, since only a job that reads a catalogue needs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final

from pvm_core.errors import InputError
from pvm_core.shown_url import shown_url
from pvm_resources.sources.catalogue.cells import is_rounded

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema

#: Cells to a column of a check. A check takes some 2 ms, and 30 ms where all of 5,000 are bad; twice as many
#: at once save little.
BATCH: Final = 5_000
#: An id is a key in the database and in results, not a text.
_MAX_ID: Final = 500
#: Control characters, ends of lines and halves of characters.
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WINDOWS: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")


@dataclass(frozen=True)
class Rule:
    """What every cell of a column must be.

    Attributes:
        column: ``product_id`` or ``image``.
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


def is_windows_path(image: str) -> bool:
    """True for ``C:\\...`` and for a share of a network."""
    return _WINDOWS.match(image) is not None


def _is_path_or_web(image: str) -> bool:
    scheme = scheme_of(image)
    other = "://" in image.partition("?")[0] or scheme in ("data", "javascript", "file")
    return scheme in ("http", "https") or not other


NO_IMAGE: Final = Rule(
    "image", "catalogue.no_image", bool, lambda _: "its image is empty", "Give a path or an http(s) URL"
)
#: In the order in which a cell is judged: the first rule that it breaks is its reason.
RULES: Final = (
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
        lambda cell: _UNFIT.search(cell) is None,
        lambda _: "its product_id holds control characters or line breaks",
        "Give it an id of printable characters",
    ),
    Rule(
        "product_id",
        "catalogue.bad_id",
        lambda cell: not is_rounded(cell),
        lambda cell: (
            f"its product_id {cell} is a number that a spreadsheet has rounded: its last digits are lost"
        ),
        "Format the column as text before the ids are put in, and export it again",
    ),
    NO_IMAGE,
    Rule(
        "image",
        "catalogue.bad_image",
        _is_path_or_web,
        lambda cell: f"its image is a {scheme_of(shown_url(cell))[:40]}: address",
        "Give a path or an http(s) URL",
    ),
)


@dataclass(frozen=True)
class Judged:
    """A row as it is judged.

    Attributes:
        product_id: its id.
        images: its references to pictures.
    """

    product_id: str
    images: Sequence[str] = ()


@dataclass(frozen=True)
class Broken:
    """The cells that break a rule, each with the first one that it breaks.

    Attributes:
        ids: by the row's place in its batch.
        images: by the row's place and the reference's place in the row.
    """

    ids: dict[int, Rule] = field(default_factory=dict)
    images: dict[tuple[int, int], Rule] = field(default_factory=dict)


def broken(rows: Sequence[Judged | None]) -> Broken:
    """Judges a batch of rows; a row without a picture is no fault here, since another may hold it.

    Args:
        rows: None stands for one that could not be read, which is not judged.
    """
    import pandas as pd
    from pandera.errors import SchemaErrors

    found = Broken()
    judged = [(place, row) for place, row in enumerate(rows) if row is not None]
    if not judged:
        return found
    # A column's cell is empty, and not judged, where a gallery is longer than its row's one id.
    places = [(place, n) for place, row in judged for n in range(max(1, len(row.images)))]
    cells = {
        "product_id": [
            cell for _, row in judged for cell in (row.product_id, *[None] * (len(row.images) - 1))
        ],
        "image": [cell for _, row in judged for cell in row.images or (None,)],
    }
    try:
        _schema().validate(pd.DataFrame(cells, dtype="object"), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        for at, number in sorted(zip(map(int, cases["index"]), map(int, cases["check"]), strict=True)):
            rule = RULES[number]
            if rule.column == "product_id":
                found.ids.setdefault(places[at][0], rule)
            else:
                found.images.setdefault(places[at], rule)
    return found


@cache
def _schema() -> DataFrameSchema:
    import pandas as pd
    import pandera.pandas as pa

    def check(number: int, rule: Rule) -> pa.Check:
        def passes(column: pd.Series) -> pd.Series:
            return pd.Series([rule.passes(cell) for cell in column], index=column.index, dtype=bool)

        return pa.Check(passes, error=str(number))

    return pa.DataFrameSchema(
        {
            column: pa.Column(
                "object",
                [check(number, rule) for number, rule in enumerate(RULES) if rule.column == column],
                nullable=True,
            )
            for column in dict.fromkeys(rule.column for rule in RULES)
        }
    )


def prepare() -> None:
    """Imports what checking needs, for a process that measures the check itself."""
    broken([Judged("1", ("a.jpg",))])
