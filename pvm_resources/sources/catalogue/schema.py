"""What a catalogue's rows must hold; each bad row with its column and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue.rows import Row

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


def refused(row: Row) -> tuple[Rule, str] | None:
    """The first rule that a row breaks, and the cell; None where it keeps them all."""
    for rule in RULES:
        cell = row.fault if rule.column == "fault" else row.values.get(rule.column, "")
        if not rule.passes(cell):
            return rule, cell
    return None


def check_image(subject: str, image: str) -> None:
    """Judges one reference to a picture by the rules of the column ``image``.

    Raises:
        InputError: ``catalogue.no_image``, ``catalogue.bad_image``.
    """
    for rule in RULES:
        if rule.column == "image" and not rule.passes(image):
            raise rule.error(subject, image)
