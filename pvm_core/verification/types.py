"""What is compared, how, and what is found: parameters, one picture's view, one pair's raw measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pvm_core.arrays import U8
from pvm_core.errors import StoreError
from pvm_core.ids import content_key
from pvm_core.keypoints import Keypoints
from pvm_core.verification.appearance import Appearance, Canvas, make_canvas
from pvm_core.verification.learned_evidence import LearnedEvidence
from pvm_core.verification.matching import UnitRows
from pvm_core.verification.word_evidence import WordEvidence

if TYPE_CHECKING:
    from pvm_core.rules import Rules

Model = Literal["homography", "affine", "epipolar", "none"]
Points = tuple[tuple[float, float], ...]

#: Raise where `verify` returns other values for the same pair and parameters: it is part of the key.
VERSION: Final = "10"


@dataclass(frozen=True)
class VerifyParams:
    """How a pair is verified.

    Attributes:
        ratio: nearest over second nearest descriptor distance a tentative match may have, (0, 1).
        gate: matches that must agree on a pose, and then on a transform, for the next step to be tried.
        appearance: whether edges and colour are compared after the warp.
    """

    ratio: float = 0.85
    gate: int = 5
    appearance: bool = True

    @property
    def key(self) -> str:
        """Names the method, its parameters and its version (16 hex)."""
        return content_key("verify", VERSION, *(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self)))

    @classmethod
    def from_rules(cls, rules: Rules) -> VerifyParams:
        """The parameters that `rules` ask for."""
        return cls(gate=rules.min_inliers, appearance=rules.edge_term)


@dataclass(frozen=True, eq=False)
class View:
    """One picture ready to be compared; see also `LateView`.

    Attributes:
        keypoints: of this picture; `xy` in its pixels.
        rgb: (H, W, 3) uint8, the stored picture.
        mask: (H, W) uint8, 255 = product, or None.
    """

    keypoints: Keypoints
    rgb: U8
    mask: U8 | None = None

    @cached_property
    def rows(self) -> UnitRows:
        """The keypoints' descriptors, ready to be compared; made once."""
        return UnitRows(self.keypoints.root)

    @cached_property
    def canvas(self) -> Canvas:
        """The picture as a product to warp frames onto; made once."""
        return make_canvas(self.rgb, self.mask)

    @cached_property
    def pyramid(self) -> list[U8]:
        """The picture and three halvings, to warp from without aliasing; made once."""
        import cv2

        levels = [self.rgb]
        for _ in range(3):
            levels.append(cast(U8, cv2.pyrDown(levels[-1])))
        return levels


class LateView(View):
    """A picture whose pixels are read when something first asks for them: most pairs end at their keypoints.

    Args:
        load: reads the picture, (H, W, 3) uint8, and its mask, (H, W) uint8 or None; called once at most.
    """

    def __init__(self, keypoints: Keypoints, load: Callable[[], tuple[U8, U8 | None]]) -> None:
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "_load", load)

    @cached_property
    def _pixels(self) -> tuple[U8, U8 | None]:
        load: Callable[[], tuple[U8, U8 | None]] = self.__dict__["_load"]
        return load()

    @property
    def rgb(self) -> U8:
        """(H, W, 3) uint8, the stored picture."""
        return self._pixels[0]

    @property
    def mask(self) -> U8 | None:
        """(H, W) uint8, 255 = product, or None."""
        return self._pixels[1]


@dataclass(frozen=True)
class PairEvidence(Appearance):
    """Raw measurements of one frame and one product picture; None = not measurable, never a default.

    Attributes:
        tentative: descriptor matches before geometry.
        inliers: of them, those one transform explains, each product keypoint counted once.
        keypoints: of the picture that has fewer.
        votes: matches that agree on one pose.
        mutual: inliers that are nearest neighbours in both directions.
        model: what `transform` is; `none` where no plausible transform was found. For `epipolar` the inliers
            obey a fundamental matrix and `transform` is the similarity that places the product.
        transform: row-major 3x3, product pixels -> frame pixels (both of the stored pictures).
        quad: the product picture's corners in the frame, x0 y0 .. x3 y3, clockwise from top left.
        coverage: share of the product's cells with keypoints that hold an inlier, [0, 1].
        rms: root mean square reprojection error of the inliers, frame pixels.
        scale: frame pixels per product pixel.
        confirmed: product keypoints found again at their predicted place; confirmed_share: of those that
            meet any frame keypoint there, [0, 1]; confirmed_cover: share of the product's cells that hold
            one, [0, 1].
        footprint: outline of the inliers in the frame (x0 y0 x1 y1 ..): what of the frame the pair explains.
        points_product, points_frame: the inliers (at most 60), for drawing.
        learned: what the second verifier found; None where it was not asked.
        recolour: by how much the chroma of one region contradicts the product beyond what light and the rest
            of the product explain (`verification.local`), Lab units, >= 0; None where print does not agree
            well enough to say.
        recolour_at: corners of that region in product pixels, x0 y0 .. x3 y3.
        reprint: size of the largest piece that agreeing print surrounds and where another print stands
            (`verification.reprinted`), in units of the patch's longest side squared; None where it was not
            looked for or too little is printed.
        reprint_at: corners of that piece in product pixels.
        words: what the text of both says; None where it was not read.
        mirrored: whether the frame shows the product left for right; False: the plain view is the clearer
            one; None: only that was tried. Places are those of the frame as it is, mirrored or not.
    """

    tentative: int
    inliers: int
    keypoints: int = 0
    votes: int = 0
    mutual: int = 0
    model: Model = "none"
    transform: tuple[float, ...] | None = None
    quad: tuple[float, ...] | None = None
    coverage: float | None = None
    rms: float | None = None
    scale: float | None = None
    confirmed: int | None = None
    confirmed_share: float | None = None
    confirmed_cover: float | None = None
    footprint: tuple[float, ...] | None = None
    points_product: Points = ()
    points_frame: Points = ()
    learned: LearnedEvidence | None = None
    recolour: float | None = None
    recolour_at: tuple[float, ...] | None = None
    reprint: float | None = None
    reprint_at: tuple[float, ...] | None = None
    words: WordEvidence | None = None
    mirrored: bool | None = None


def evidence_to_row(evidence: PairEvidence) -> dict[str, Any]:
    """The measurements as JSON-able values; `evidence_from_row` gives an equal object back."""
    return _row(evidence)


def learned_to_row(evidence: LearnedEvidence) -> dict[str, Any]:
    """The second verifier's measurements alone, as `evidence_to_row` writes them."""
    return {"learned": _row(evidence)}


def words_to_row(evidence: WordEvidence) -> dict[str, Any]:
    """What words say alone, as `evidence_to_row` writes it."""
    return {"words": _row(evidence)}


def _row(measured: PairEvidence | LearnedEvidence | WordEvidence) -> dict[str, Any]:
    row = {f.name: getattr(measured, f.name) for f in fields(measured)}
    return {k: _plain(v) for k, v in row.items() if v is not None and v != ()}


def evidence_from_row(row: Mapping[str, Any]) -> PairEvidence:
    """Evidence written by `evidence_to_row`.

    Raises:
        StoreError: code `evidence.corrupt`: a measurement is missing or unknown.
    """
    try:
        values = {k: _frozen(v) for k, v in row.items()}
        if "learned" in values:
            values["learned"] = LearnedEvidence(**{k: _frozen(v) for k, v in values["learned"].items()})
        if "words" in values:
            values["words"] = WordEvidence(**{k: _frozen(v) for k, v in values["words"].items()})
        return PairEvidence(**values)
    except (TypeError, AttributeError) as error:
        raise StoreError(
            "evidence.corrupt", "pair evidence", f"cannot be read ({error})", "Run the job again"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, LearnedEvidence | WordEvidence):
        return _row(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return tuple([_frozen(v) if isinstance(v, list) else v for v in value])
