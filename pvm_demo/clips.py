"""Clips as people post them: several shots, hard cuts, a moving hand, captions; planned first, then drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pvm_core.evidence.typography import bundled_face
from pvm_demo.backgrounds import clutter_designs
from pvm_demo.names import FAMILY_CODES, Family
from pvm_demo.paint import Rgb, Rgba, hsv, letter, over, pick, word
from pvm_demo.products import SyntheticProduct, make_products, siblings
from pvm_demo.scenes import Matrix, Stage, make_stage, photograph, shift, similar
from pvm_demo.solids import Design

#: How a shot fills the frame: all of it, or a wide picture over its own blurred enlargement.
Framing = Literal["full", "inset 4:3", "inset 16:9"]
#: What a clip is about.
Theme = Literal["products", "siblings", "outsider", "nothing"]

#: Themes in turn; every case of a dozen clips holds all of them.
_THEMES: tuple[Theme, ...] = (
    "products",
    "siblings",
    "nothing",
    "products",
    "outsider",
    "products",
    "siblings",
    "products",
    "products",
    "outsider",
    "products",
    "products",
)
_CAPTIONS = (
    "Review thật sau 30 ngày",
    "Có đáng mua không?",
    "Mình dùng thử nhé",
    "unboxing + first look",
    "Top 5 this week",
    "Đừng mua khi chưa xem",
    "link in bio",
    "HONEST REVIEW",
    "Giá bao nhiêu?",
    "so cute!!",
    "before / after",
    "Mở hộp cùng mình",
)


@dataclass(frozen=True, eq=False)
class CaseSpec:
    """What a generated case is made of.

    Attributes:
        seed, family: the world it comes from.
        n_products: products of the catalogue.
        n_clips: clips.
        n_outsiders: products that clips show and the catalogue does not hold.
        sibling_share: share of products that are look-alikes of another, [0, 1].
        size: (height, width) of vertical clips; landscape ones swap them.
        fps: frames a second.
        shots: fewest and most shots of a clip.
        shot_s: shortest and longest shot, seconds.
        difficulty: easiest and hardest shot, [0, 1].
        stages_per_clip: where set, a clip's shots reuse that many places under other crops: cheap, for
            measuring load, its truth approximate; None draws every shot anew.
    """

    seed: int
    family: Family
    n_products: int
    n_clips: int
    n_outsiders: int = 4
    sibling_share: float = 0.4
    size: tuple[int, int] = (960, 540)
    fps: int = 12
    shots: tuple[int, int] = (3, 4)
    shot_s: tuple[float, float] = (1.0, 2.3)
    difficulty: tuple[float, float] = (0.05, 0.85)
    stages_per_clip: int | None = None


@dataclass(frozen=True, eq=False)
class Shot:
    """A stretch of a clip without a cut.

    Attributes:
        first, frames: number of its first frame and how many it has.
        shown: what it shows on purpose, or None.
        bystander: a catalogue product that may stand about, or None.
        difficulty, seed, framing, caption: of the drawing.
        stage: shots of a clip with the same number play in the same place.
    """

    first: int
    frames: int
    shown: SyntheticProduct | None
    bystander: SyntheticProduct | None
    difficulty: float
    seed: int
    framing: Framing
    caption: str
    stage: int


@dataclass(frozen=True, eq=False)
class ClipPlan:
    """A clip before it is drawn.

    Attributes:
        video_id: file name without suffix.
        title: as a platform gives it.
        size: (height, width); fps: frames a second.
        shots: in order, without gaps.
        watermark: the name in a corner, or empty.
        seed: of what all shots share.
        fresh: every shot has its own place (False: places are reused).
    """

    video_id: str
    title: str
    size: tuple[int, int]
    fps: int
    shots: tuple[Shot, ...]
    watermark: str
    seed: int
    fresh: bool

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return sum(shot.frames for shot in self.shots)

    @property
    def duration_s(self) -> float:
        """Seconds of the clip."""
        return self.frames / self.fps


@dataclass(frozen=True)
class Showing:
    """A product on screen on purpose, from `start_s` to `end_s` seconds."""

    product_id: str
    video_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Case:
    """A catalogue, clips and the truth about them.

    Attributes:
        spec: what it was made from.
        products: the catalogue.
        outsiders: what clips show besides.
        clips: plans.
        truth: catalogue products shown on purpose.
        background: (product_id, video_id) of catalogue products that may stand about.
    """

    spec: CaseSpec
    products: tuple[SyntheticProduct, ...]
    outsiders: tuple[SyntheticProduct, ...]
    clips: tuple[ClipPlan, ...]
    truth: tuple[Showing, ...]
    background: tuple[tuple[str, str], ...]


def make_case(spec: CaseSpec) -> Case:
    """The catalogue, the clips' plans and the truth; the same for the same `spec`."""
    made = make_products(
        spec.seed, spec.n_products + spec.n_outsiders, family=spec.family, sibling_share=spec.sibling_share
    )
    rng = np.random.default_rng([FAMILY_CODES[spec.family], spec.seed, 11])
    outside = _choose_outsiders(made, rng, spec.n_outsiders)
    products = tuple(p for p in made if p.product_id not in outside)
    outsiders = tuple(p for p in made if p.product_id in outside)
    clips = plan_clips(spec, products, outsiders)
    catalogue = {p.product_id for p in products}
    truth = tuple(
        Showing(
            s.shown.product_id, c.video_id, round(s.first / c.fps, 3), round((s.first + s.frames) / c.fps, 3)
        )
        for c in clips
        for s in c.shots
        if s.shown is not None and s.shown.product_id in catalogue
    )
    shown = {(t.product_id, t.video_id) for t in truth}
    background = {
        (s.bystander.product_id, c.video_id) for c in clips for s in c.shots if s.bystander is not None
    }
    return Case(spec, products, outsiders, clips, truth, tuple(sorted(background - shown)))


def _choose_outsiders(made: Sequence[SyntheticProduct], rng: np.random.Generator, count: int) -> set[str]:
    """Half of them look-alikes of what stays in the catalogue, half with no look-alike at all."""
    groups = siblings(made)
    alike = [p.product_id for p in made if p.sibling_of is not None]
    sizes = [sum(g == groups[p.product_id] for g in groups.values()) for p in made]
    alone = [p.product_id for p, size in zip(made, sizes, strict=True) if size == 1]
    half = min(len(alike), (count + 1) // 2)
    chosen = [str(p) for p in rng.permutation(alike)[:half]] + [str(p) for p in rng.permutation(alone)]
    rest = [p.product_id for p in made if p.product_id not in chosen]
    return set([*chosen, *rest][:count])


def plan_clips(
    spec: CaseSpec, products: Sequence[SyntheticProduct], outsiders: Sequence[SyntheticProduct]
) -> tuple[ClipPlan, ...]:
    """The plans of a case's clips; every catalogue product gets its turn where there are enough shots."""
    rng = np.random.default_rng([FAMILY_CODES[spec.family], spec.seed, 12])
    turn = _turns(products, rng)
    alike = _turns([p for p in products if p.sibling_of is not None] or products, rng)
    strange = _turns(outsiders or products, rng)
    clips = []
    for number in range(spec.n_clips):
        theme = _THEMES[number % len(_THEMES)]
        pool = {"products": turn, "siblings": alike, "outsider": strange, "nothing": turn}[theme]
        cast = [next(pool) for _ in range(int(rng.integers(2, 4)))] if theme != "nothing" else []
        clips.append(_plan_clip(spec, number, cast, products, rng))
    return tuple(clips)


def _turns(products: Sequence[SyntheticProduct], rng: np.random.Generator) -> Iterator[SyntheticProduct]:
    while True:
        for index in rng.permutation(len(products)):
            yield products[int(index)]


def _plan_clip(
    spec: CaseSpec,
    number: int,
    cast: Sequence[SyntheticProduct],
    products: Sequence[SyntheticProduct],
    rng: np.random.Generator,
) -> ClipPlan:
    count = max(int(rng.integers(spec.shots[0], spec.shots[1] + 1)), len(cast))
    wide = rng.random() < 0.15
    framing: Framing = (
        "full" if wide else rng.choice(np.array(["full", "inset 4:3", "inset 16:9"]), p=[0.62, 0.26, 0.12])
    )
    roles: list[SyntheticProduct | None] = [*cast, *(_extra(cast, rng) for _ in range(count - len(cast)))]
    shots, first = [], 0
    for index, role in enumerate(rng.permutation(len(roles))):
        frames = max(round(float(rng.uniform(*spec.shot_s)) * spec.fps), 2)
        shown = roles[int(role)]
        bystander = pick(rng, products) if rng.random() < 0.04 else None
        shots.append(
            Shot(
                first=first,
                frames=frames,
                shown=shown,
                bystander=None if bystander is shown else bystander,
                difficulty=float(rng.uniform(*spec.difficulty)),
                seed=int(rng.integers(2**31)),
                framing=framing,
                caption=str(rng.choice(_CAPTIONS)) if rng.random() < 0.4 else "",
                stage=index if spec.stages_per_clip is None else index % spec.stages_per_clip,
            )
        )
        first += frames
    if spec.stages_per_clip is not None:
        shots = _same_cast_per_stage(shots, spec.stages_per_clip)
    title = str(rng.choice(_CAPTIONS)) + (f" – {cast[0].style.name}" if cast else "")
    watermark = "@" + word(rng, "abcdeghiklmnoprstuy", 8) if rng.random() < 0.6 else ""
    size = (spec.size[1], spec.size[0]) if wide else spec.size
    return ClipPlan(
        f"clip{number:03d}",
        title,
        size,
        spec.fps,
        tuple(shots),
        watermark,
        int(rng.integers(2**31)),
        spec.stages_per_clip is None,
    )


def _same_cast_per_stage(shots: Sequence[Shot], stages: int) -> list[Shot]:
    return [
        replace(s, shown=shots[i % stages].shown, bystander=shots[i % stages].bystander)
        for i, s in enumerate(shots)
    ]


def _extra(cast: Sequence[SyntheticProduct], rng: np.random.Generator) -> SyntheticProduct | None:
    """A further shot: of the same product again, or of none."""
    return pick(rng, cast) if cast and rng.random() < 0.45 else None


def iter_frames(clip: ClipPlan) -> Iterator[Rgb]:
    """The frames of `clip` in order, RGB uint8 (height, width, 3); one shot in memory at a time."""
    things = clutter_designs(np.random.default_rng([clip.seed, 1]), 4)
    stages: dict[int, Stage] = {}
    for shot in clip.shots:
        if clip.fresh:
            stages.clear()
        if shot.stage not in stages:
            stages[shot.stage] = _stage_of(clip, shot, things)
        yield from _iter_shot(clip, shot, stages[shot.stage])


def _stage_of(clip: ClipPlan, shot: Shot, things: Sequence[Design]) -> Stage:
    about = [*things, *([shot.bystander.design] if shot.bystander else [])]
    shown = shot.shown.design if shot.shown else None
    size = inner_size(clip.size, shot.framing)
    return make_stage(shown, np.random.default_rng([shot.seed, 2]), shot.difficulty, size=size, clutter=about)


def inner_size(size: tuple[int, int], framing: Framing) -> tuple[int, int]:
    """(height, width) of the picture proper inside a frame of `size`."""
    ratio = {"full": None, "inset 4:3": 0.75, "inset 16:9": 0.5625}[framing]
    return size if ratio is None else (round(size[1] * ratio) // 2 * 2, size[1])


def _iter_shot(clip: ClipPlan, shot: Shot, stage: Stage) -> Iterator[Rgb]:
    rng = np.random.default_rng([shot.seed, 3])
    move = _Movement(rng, shot, clip)
    overlay = _overlay(clip, shot, np.random.default_rng([shot.seed, 4]))
    for number in range(shot.frames):
        camera, hand = move(number / clip.fps)
        picture = photograph(
            stage, np.asarray(camera @ stage.centred, np.float32), step=shot.first + number, hand=hand
        )
        frame = picture if shot.framing == "full" else _over_blurred_fill(picture, clip.size)
        for layer, (x, y) in overlay:
            frame = over(frame, layer, x, y)
        yield frame


class _Movement:
    """Camera and hand at a second of the shot: drift, zoom and tremor of a hand-held telephone."""

    def __init__(self, rng: np.random.Generator, shot: Shot, clip: ClipPlan) -> None:
        height, width = inner_size(clip.size, shot.framing)
        self._middle = (width / 2, height / 2)
        seconds = shot.frames / clip.fps
        panning = rng.random() < 0.35
        self._drift = rng.normal(0, (0.05 if panning else 0.008) * width, 2) / max(seconds, 0.5)
        self._zoom = float(rng.normal(0, 0.05 if rng.random() < 0.4 else 0.008)) / max(seconds, 0.5)
        self._shake = rng.uniform(0.2, 1.2 + 2.4 * shot.difficulty) * width / 540
        self._phase = rng.uniform(0, 6.28, 6)
        self._sway = rng.normal(0, 0.004 + 0.02 * shot.difficulty)
        self._start = seconds / 2
        self._base = 1.0 if clip.fresh else float(rng.uniform(1.0, 1.5))
        self._offset = (0.0, 0.0) if clip.fresh else tuple(rng.uniform(-0.12, 0.12, 2) * (width, height))

    def __call__(self, second: float) -> tuple[Matrix, Matrix]:
        t = second - self._start
        wave = np.sin(np.array([5.1, 7.7, 3.3, 4.3, 2.1, 6.1]) * second + self._phase)
        x = self._drift[0] * t + self._shake * (wave[0] + 0.6 * wave[1]) + self._offset[0]
        y = self._drift[1] * t + self._shake * (wave[2] + 0.6 * wave[3]) + self._offset[1]
        scale = self._base * float(np.exp(self._zoom * t))
        middle, nod, turn = self._middle, float(wave[5]), float(wave[4])
        camera = similar(scale, 0.002 * self._shake * turn, middle, (middle[0] + x, middle[1] + y))
        hand = similar(1 + 0.3 * self._sway * nod, self._sway * turn, middle, middle)
        return camera, np.asarray(shift(6 * self._sway * nod * 20, 0) @ hand, np.float32)


def _over_blurred_fill(picture: Rgb, size: tuple[int, int]) -> Rgb:
    """A wide picture in the middle of a tall frame, above its own blurred and darkened enlargement."""
    height, width = size
    high, wide = picture.shape[:2]
    small = cv2.resize(picture, (54, max(int(54 * high / wide), 8)), interpolation=cv2.INTER_AREA)
    cut = max(int(small.shape[0] * width / height), 4)
    left = (small.shape[1] - cut) // 2
    small = cv2.GaussianBlur(small[:, left : left + cut], (0, 0), 1.6)
    filled = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    frame = cv2.convertScaleAbs(filled, alpha=0.72)
    top = (height - high) // 2
    frame[top : top + high] = picture
    return np.asarray(frame, np.uint8)


def _overlay(clip: ClipPlan, shot: Shot, rng: np.random.Generator) -> list[tuple[Rgba, tuple[int, int]]]:
    """Caption and watermark, each with its top left corner."""
    height, width = clip.size
    layers = []
    if shot.caption:
        layer = _tag(shot.caption, int(width * 0.052), rng)
        y = int(height * float(rng.choice((0.06, 0.8))))
        layers.append((layer, ((width - layer.shape[1]) // 2, y)))
    if clip.watermark:
        own = np.random.default_rng([clip.seed, 9])
        layer = _tag(clip.watermark, int(width * 0.034), own, plain=True)
        x, y = own.choice((0.04, 0.7)), own.choice((0.03, 0.93))
        layers.append((layer, (int(width * x), int(height * y))))
    return layers


def _tag(text: str, size: int, rng: np.random.Generator, *, plain: bool = False) -> NDArray[np.uint8]:
    face = bundled_face("figbo", size)
    wide, tall = int(face.getlength(text)) + size, int(size * 1.7)
    image = Image.new("RGBA", (wide, tall), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    boxed = not plain and rng.random() < 0.5
    if boxed:
        draw.rounded_rectangle([0, 0, wide - 1, tall - 1], size // 3, fill=hsv(rng.random(), 0.75, 0.85))
    ink = (255, 255, 255, 150 if plain else 255)
    edge: dict[str, Any] = {
        "stroke_width": 0 if boxed else max(size // 12, 1),
        "stroke_fill": (0, 0, 0, ink[3]),
    }
    letter(draw, (wide / 2, tall / 2), text, face, ink, **edge)
    rgba = np.array(image)
    rgba[..., :3] = (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] // 255).astype(np.uint8)
    return rgba
