"""Readers of text, by name. Weights come in the reader's package; nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Protocol

import numpy as np

from pvm_core.arrays import U8
from pvm_core.errors import ModelError
from pvm_core.ids import content_key
from pvm_core.providers import CUDA, execution_providers

#: No reader.
NONE: Final = "none"
#: The package `rapidocr` (Apache-2.0) with PP-OCRv6 small, run by ONNX Runtime; extra ``models``.
RAPIDOCR: Final = "rapidocr"
#: Longest side at which text is looked for, pixels; 0.7 to 1 s of one core.
DETECTION_SIDE: Final = 800
#: A line of less than this is not returned: the reader says so itself.
_LEAST_SCORE: Final = 0.5


@dataclass(frozen=True)
class Line:
    """A line of text.

    Attributes:
        text: as read, any script.
        at: its corners x0 y0 .. x3 y3 from the top left, clockwise, in the pixels of what was read.
        score: mean confidence of its characters, [0, 1].
    """

    text: str
    at: tuple[float, ...]
    score: float


class Reader(Protocol):
    """Reads the lines of a picture."""

    @property
    def name(self) -> str:
        """As the setting names it."""

    @property
    def key(self) -> str:
        """Changes with everything that a reading depends on."""

    def read(self, rgb: U8) -> Sequence[Line]:
        """The lines of an (H, W, 3) uint8 picture, top to bottom.

        Raises:
            ModelError: ``model.missing``: the reader's package is not installed.
        """


@dataclass(frozen=True)
class RapidReader:
    """PP-OCRv6 small as `rapidocr` drives it; loaded with the first picture, one thread."""

    name: str = field(default=RAPIDOCR)

    @property
    def key(self) -> str:
        """Names the package's version, and how it is asked."""
        return content_key("text", "1", self.name, _installed() or "", str(DETECTION_SIDE))

    @cached_property
    def _engine(self) -> Any:
        if _installed() is None:
            raise ModelError(
                "model.missing", self.name, "the package rapidocr is not installed", "Run `make setup`"
            )
        from rapidocr import RapidOCR

        # Worker processes share the cores among them; threads of each would only wait for one another.
        one = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        size = {"Det.limit_type": "max", "Det.limit_side_len": DETECTION_SIDE}
        cuda = {"EngineConfig.onnxruntime.use_cuda": CUDA in execution_providers()}
        quiet = {"Global.log_level": "error", "Global.use_cls": False, "Global.text_score": _LEAST_SCORE}
        return RapidOCR(params={**one, **size, **cuda, **quiet})

    def read(self, rgb: U8) -> list[Line]:
        """See `Reader`."""
        found = self._engine(np.ascontiguousarray(rgb[..., ::-1]))
        if found.boxes is None:
            return []
        return [
            Line(str(text), tuple(float(v) for v in np.asarray(box).ravel()), round(float(score), 3))
            for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]


def _installed() -> str | None:
    try:
        return version(RAPIDOCR)
    except PackageNotFoundError:
        return None


def choose_reader(setting: str) -> str:
    """The reader that the setting ``PVM_TEXT_READER`` asks for, or ``none``; ``auto`` takes `rapidocr`
    where it is installed.

    Raises:
        ModelError: ``model.unknown``.
    """
    if setting == "auto":
        return NONE if _installed() is None else RAPIDOCR
    if setting not in (NONE, RAPIDOCR):
        raise ModelError(
            "model.unknown", setting, "no such reader of text is known", f"Choose auto, none or {RAPIDOCR}"
        )
    return setting


@cache
def load_reader(name: str) -> Reader | None:
    """The reader of a name that `choose_reader` gave; None for ``none``.

    Weights are read with the first picture.

    Raises:
        ModelError: ``model.unknown``.
    """
    return None if choose_reader(name) == NONE else RapidReader()
