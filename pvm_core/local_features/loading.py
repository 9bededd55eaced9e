"""Which detector and matcher a setting asks for, and how they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvm_core.errors import ModelError
from pvm_core.ids import content_key
from pvm_core.local_features import lighterglue, xfeat
from pvm_core.local_features.base import Detector, Matcher
from pvm_core.local_features.mutual import MutualNearest

#: No second verifier.
NONE: Final = "none"
#: Cosine from which XFeat's descriptors may be the same place: the value it was published with.
_XFEAT_LEAST: Final = 0.82
_DETECTORS: Final[Mapping[str, Callable[[Path | None], Detector]]] = {xfeat.NAME: xfeat.XFeat}
_MATCHERS: Final[Mapping[str, Callable[[], Matcher]]] = {
    "mutual": lambda: MutualNearest(_XFEAT_LEAST),
    lighterglue.NAME: lighterglue.LighterGlue,
}
#: What ``auto`` prefers, best first.
PREFERENCE: Final = ("xfeat+mutual",)


@dataclass(frozen=True)
class LocalMethod:
    """A detector with its matcher.

    Attributes:
        name: ``DETECTOR+MATCHER``.
    """

    name: str
    detector: Detector
    matcher: Matcher

    @property
    def key(self) -> str:
        """Changes with everything that the evidence depends on."""
        return content_key("learned", "1", self.detector.key, self.matcher.key)


def choose_local(setting: str) -> str:
    """The method that the setting ``PVM_LOCAL_FEATURES`` asks for: ``DETECTOR+MATCHER``, or ``none``.

    ``auto`` takes the first of `PREFERENCE` whose weights a package here holds, ``none`` where none does; a
    detector alone takes the matcher ``mutual``.

    Raises:
        ModelError: ``model.unknown``.
    """
    if setting == "auto":
        return PREFERENCE[0] if xfeat.SOURCE.weights_file() is not None else NONE
    if setting == NONE:
        return NONE
    detector, plus, matcher = setting.partition("+")
    matcher = matcher if plus else "mutual"
    if detector not in _DETECTORS or matcher not in _MATCHERS:
        raise ModelError(
            "model.unknown", setting, "no such learned local features are known",
            f"Choose auto, none or {', '.join(f'{d}+{m}' for d in _DETECTORS for m in _MATCHERS)}",
        )  # fmt: skip
    return f"{detector}+{matcher}"


def load_local(name: str, models_dir: Path | None) -> LocalMethod | None:
    """The method of a name that `choose_local` gave; None for ``none``.

    The weights are read with the first picture.

    Raises:
        ModelError: ``model.unknown``.
    """
    name = choose_local(name)
    if name == NONE:
        return None
    detector, _, matcher = name.partition("+")
    return LocalMethod(name, _DETECTORS[detector](models_dir), _MATCHERS[matcher]())
