"""Why a match has its status, as data: a code with its values, rendered in any language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pvm_core.figures import prose_text

Value = str | int | float
_NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})

#: Code -> English text. The text is also the message id of the translations (pvm_api/review/locale).
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "keypoints.none": "too few keypoints to compare the geometry",
        "material.shared": "what agrees is a frame, a banner or a chart that is not the product",
        "rival": "another product fits the same place with {rival_score} against {best}, "
        "a lead of {margin} is asked for",
        "colour.differs": "print agrees, but one region has another colour ({value})",
        "print.differs": "print agrees, but in one place something else is printed",
        "word.differs": "print agrees, but the frame reads “{other}” where the product says “{word}”",
        "model.uncalibrated": "the model {model} is not calibrated",
        "deep.none": "similarity (none) is under {least}",
        "deep.low": "similarity {value} is under {least}",
        "geometry.low": "geometry {value} is under {least}",
        "best.alone": "best pair {best} is under {least} and only {shots} of {needed} shots agree",
        "best.low": "best pair {best} is under {least}",
        "accepted.alone": "best pair {best}, shots that show it: {shots}",
        "accepted.look": "looks very alike ({best}), far more so than any other product; "
        "shots that show it: {shots}",
        "accepted.learned": "looks alike ({best}), and {points} learned points agree; "
        "shots that show it: {shots}",
        "accepted.shots": "best pair {best}, shots that agree: {shots}",
        # Written before reasons were data: the English text as it was.
        "legacy": "{text}",
    }
)
#: Of a match that is offered for review by its looks alone; `because` says why it lacks a proof.
ALIKE: Final = "looks alike ({alike}) without a geometric proof: {because}"


@dataclass(frozen=True)
class Reason:
    """Why a match has its status.

    Attributes:
        code: a key of `REASONS`.
        values: of the text: scores in [0, 1], counts; of a rival also the ids of product and picture.
        alike: calibrated `sim_deep` of a match offered for review by its looks alone; None for others.
    """

    code: str
    values: Mapping[str, Value] = field(default_factory=lambda: _NOTHING)
    alike: float | None = None

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The reason in words; `translate` turns an English message into another language's."""
        values = {n: prose_text(v) if isinstance(v, float) else v for n, v in self.values.items()}
        text = translate(REASONS[self.code]).format(**values)
        if self.alike is None:
            return text
        return translate(ALIKE).format(alike=prose_text(self.alike), because=text)

    def to_row(self) -> tuple[str, dict[str, Value]]:
        """The code and the JSON-able values, `alike` among them; `from_row` gives an equal object back."""
        return self.code, {**self.values, **({} if self.alike is None else {"alike": self.alike})}

    @classmethod
    def from_row(cls, code: str, values: Mapping[str, Value]) -> Reason:
        """A reason written by `to_row`."""
        alike = values.get("alike")
        known = {name: value for name, value in values.items() if name != "alike"}
        return cls(code, known, None if alike is None else float(alike))
