"""How long a job takes and how often it asks its sources, before it runs: pure arithmetic of ranges.

A figure is a range, never one number: what earlier jobs measured varies, and of what a search will find only
bounds are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

#: Where a figure comes from: the earlier jobs of this machine, or what docs/performance.md states.
Basis = Literal["measured", "default"]
#: Whether what is left of a day's calls is enough: for the most, for the least only, not even for that.
Enough = Literal["yes", "perhaps", "no"]

#: A measured pace is at least this much uncertain either way: the same job took 53.8 and 64.9 s on two days
#: (docs/performance.md), 10 % around their mean, and its inputs differ from those of the next.
_SPREAD: Final = 1.25
#: Shares of the measured units below and above which a pace is an outlier: a job of three pictures pays the
#: start of its workers for three, not for three thousand.
_TAIL: Final = 0.1


@dataclass(frozen=True)
class Span:
    """A range of a quantity: 0 <= least <= most, both finite."""

    least: float
    most: float

    def __post_init__(self) -> None:
        if not (0 <= self.least <= self.most and math.isfinite(self.most)):
            raise ValueError(f"{self.least} to {self.most} is no range")

    @classmethod
    def of(cls, value: float) -> Span:
        """Exactly `value`."""
        return cls(value, value)

    def __add__(self, other: Span) -> Span:
        return Span(self.least + other.least, self.most + other.most)

    def __mul__(self, other: Span) -> Span:
        return Span(self.least * other.least, self.most * other.most)


def total(spans: Iterable[Span]) -> Span:
    """Their sum; 0 of none."""
    found = Span.of(0)
    for one in spans:
        found += one
    return found


@dataclass(frozen=True)
class Sample:
    """What one earlier job measured of one stage: units computed (> 0), and seconds that took (>= 0)."""

    units: float
    seconds: float


@dataclass(frozen=True)
class Pace:
    """How much one unit takes.

    Attributes:
        each: seconds, or whatever is counted, of one unit.
        basis: where it comes from.
        jobs: how many earlier jobs measured it; 0 of a default.
    """

    each: Span
    basis: Basis
    jobs: int = 0


def pace_of(samples: Sequence[Sample], default: Span) -> Pace:
    """The pace that earlier jobs measured: from the 10th to the 90th percentile of their units, at least
    25 % either way of the mean; `default` where nothing was measured."""
    rates = sorted((one.seconds / one.units, one.units) for one in samples if one.units > 0)
    if not rates:
        return Pace(default, "default")
    units = sum(weight for _, weight in rates)
    mean = sum(rate * weight for rate, weight in rates) / units
    low = min(_at(rates, _TAIL * units), mean / _SPREAD)
    high = max(_at(rates, (1 - _TAIL) * units), mean * _SPREAD)
    return Pace(Span(low, high), "measured", len(rates))


def _at(rates: Sequence[tuple[float, float]], place: float) -> float:
    """The rate of the unit at `place`, counted in units from the fastest."""
    for rate, weight in rates:
        place -= weight
        if place <= 0:
            return rate
    return rates[-1][0]


# -- sources -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calls:
    """Requests of one kind to one shop or site, retries aside.

    Attributes:
        what: e.g. ``searches``.
        count: the least where all that is asked for is found and no two phrases find the same; the most
            whatever is found.
        each: seconds that one takes.
    """

    what: str
    count: Span
    each: Span


@dataclass(frozen=True)
class Quota:
    """Calls of the day (UTC): used so far, and what the account has; None where no limit is stated."""

    used: int
    a_day: int | None

    @property
    def left(self) -> int | None:
        """Calls that are left today; None where no limit is stated."""
        return None if self.a_day is None else max(0, self.a_day - self.used)


@dataclass(frozen=True)
class SourceEstimate:
    """What one source of a job gives and costs.

    Attributes:
        kind: ``products`` or ``videos``.
        source: as statuses name it.
        records: products or videos: counted in a file, or the most asked of a shop; None: unknown before it
            is read.
        counted: `records` was counted, not asked for.
        fresh: of these, what is not stored here yet.
        pictures: of its products; 0 of videos.
        fresh_pictures: of these, what is not stored here yet.
        video_s: seconds of its videos; 0 of products.
        fresh_video_s: of these, seconds of those without stored keyframes.
        frames, fresh_frames: keyframes of its videos; of these, what is not stored yet.
        downloads: videos that are fetched from a site.
        calls: requests to its API.
        quota: of the day; None where none is counted.
        remark: what keeps it from answering, or bounds the figures; "" where nothing does.
        basis: of figures that are neither counted nor asked for.
    """

    kind: Literal["products", "videos"]
    source: str
    records: Span | None
    counted: bool = False
    fresh: Span = Span(0, 0)
    pictures: Span = Span(0, 0)
    fresh_pictures: Span = Span(0, 0)
    video_s: Span = Span(0, 0)
    fresh_video_s: Span = Span(0, 0)
    frames: Span = Span(0, 0)
    fresh_frames: Span = Span(0, 0)
    downloads: Span = Span(0, 0)
    calls: tuple[Calls, ...] = ()
    quota: Quota | None = None
    remark: str = ""
    basis: Basis = "default"

    @property
    def all_calls(self) -> Span:
        """Calls of all kinds."""
        return total(one.count for one in self.calls)

    @property
    def enough(self) -> Enough | None:
        """Whether the day's quota suffices; None where no limit is stated."""
        left = self.quota.left if self.quota is not None else None
        if left is None:
            return None
        if self.all_calls.most <= left:
            return "yes"
        return "perhaps" if self.all_calls.least <= left else "no"


# -- stages ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StageEstimate:
    """One stage of a job.

    Attributes:
        stage: the asset's name, ``calls`` for waiting for shops and sites, ``downloads``, or ``start`` for
            everything around the stages.
        unit: what `items` counts.
        items: of which it takes `seconds`.
        basis, jobs: as `Pace`.
    """

    stage: str
    unit: str
    items: Span
    seconds: Span
    basis: Basis
    jobs: int


#: The stages in their order, and what each one's pace is counted in.
UNITS: Final[Mapping[str, str]] = {
    "start": "job",
    "calls": "call",
    "products": "product",
    "product_images": "picture",
    "videos": "file",
    "downloads": "video",
    "keyframes": "second of video",
    "masks": "picture",
    "embeddings": "picture",
    "keypoints": "picture",
    "candidate_pairs": "keyframe",
    "matches": "keyframe",
    "evidence": "page",
}


@dataclass(frozen=True)
class RunEstimate:
    """A job before it runs.

    Attributes:
        sources: in the order of the request.
        stages: in the order of `UNITS`.
        disk_bytes: that it adds under the home.
        disk_free: bytes that are free there.
        complete: False where the number of records of some source is unknown, so that all is the least.
    """

    sources: tuple[SourceEstimate, ...]
    stages: tuple[StageEstimate, ...]
    disk_bytes: Span
    disk_free: int
    complete: bool

    @property
    def seconds(self) -> Span:
        """Of the whole job."""
        return total(one.seconds for one in self.stages)

    @property
    def short_of_calls(self) -> tuple[SourceEstimate, ...]:
        """Sources whose quota of the day does not surely suffice."""
        return tuple(one for one in self.sources if one.enough in ("perhaps", "no"))


def stages_of(
    sources: Sequence[SourceEstimate], paces: Mapping[str, Pace], pages: Pace
) -> tuple[StageEstimate, ...]:
    """The stages of a job over `sources`.

    Args:
        paces: seconds of one unit, of each of `UNITS` but ``calls``.
        pages: evidence pages of one video.
    """
    items = _items(sources, pages)
    waits = total(one.count * one.each for source in sources for one in source.calls)
    found = []
    for stage, unit in UNITS.items():
        pace = Pace(waits, "default") if stage == "calls" else paces[stage]
        seconds = waits if stage == "calls" else items[stage] * pace.each
        found.append(StageEstimate(stage, unit, items[stage], seconds, pace.basis, pace.jobs))
    return tuple(found)


def _items(sources: Sequence[SourceEstimate], pages: Pace) -> dict[str, Span]:
    none = Span.of(0)
    products = total(one.records or none for one in sources if one.kind == "products")
    videos = total(one.records or none for one in sources if one.kind == "videos")
    downloads = total(one.downloads for one in sources)
    fresh_files = total(one.fresh for one in sources if one.kind == "videos" and one.counted)
    fresh_frames = total(one.fresh_frames for one in sources)
    pictures = total(one.fresh_pictures for one in sources)
    featured = pictures + fresh_frames
    # A frame is compared again where the products have changed.
    frames = total(one.frames for one in sources)
    compared = Span(fresh_frames.least, max(frames.most, fresh_frames.most))
    return {
        "start": Span.of(1),
        "calls": total(one.all_calls for one in sources),
        "products": products,
        "product_images": pictures,
        "videos": fresh_files,
        "downloads": downloads,
        "keyframes": total(one.fresh_video_s for one in sources),
        "masks": featured,
        "embeddings": featured,
        "keypoints": featured,
        "candidate_pairs": frames,
        "matches": compared,
        "evidence": videos * pages.each,
    }


# -- as text -----------------------------------------------------------------------------------------


def duration_text(seconds: Span) -> str:
    """A range of time as people read it: ``40 to 90 s``, ``50 s to 4 min``, ``up to 3 s``; whole units, the
    least rounded down, the most up."""
    (least, low), (most, high) = _rounded(seconds.least, math.floor), _rounded(seconds.most, math.ceil)
    if seconds.most <= 1:
        return "under 1 s"
    if least == 0:
        return f"up to {most:,} {high}"
    if low == high:
        return f"{most:,} {high}" if least == most else f"{least:,} to {most:,} {high}"
    return f"{least:,} {low} to {most:,} {high}"


def _rounded(seconds: float, whole: Callable[[float], int]) -> tuple[int, str]:
    unit, size = next((u, s) for u, s, limit in _UNITS if seconds < limit)
    return whole(seconds / size), unit


def count_text(count: Span) -> str:
    """A range of whole things: ``51``, ``51 to 58``; the least rounded down, the most up."""
    least, most = math.floor(count.least + 1e-9), math.ceil(count.most - 1e-9)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def plain(estimate: RunEstimate) -> dict[str, Any]:
    """The estimate as JSON-able values: counts and bytes whole, seconds to a tenth, the least rounded down,
    the most up."""
    return {
        "seconds": _plain_span(estimate.seconds, 10),
        "complete": estimate.complete,
        "disk_bytes": _plain_span(estimate.disk_bytes),
        "disk_free": estimate.disk_free,
        "sources": [_plain_source(one) for one in estimate.sources],
        "stages": [
            {
                "stage": one.stage,
                "unit": one.unit,
                "items": _plain_span(one.items),
                "seconds": _plain_span(one.seconds, 10),
                "basis": one.basis,
                "jobs": one.jobs,
            }
            for one in estimate.stages
        ],
    }


def _plain_source(one: SourceEstimate) -> dict[str, Any]:
    quota = one.quota and {
        "used": one.quota.used,
        "a_day": one.quota.a_day,
        "left": one.quota.left,
        "enough": one.enough,
    }
    return {
        "kind": one.kind,
        "source": one.source,
        "records": None if one.records is None else _plain_span(one.records),
        "counted": one.counted,
        "fresh": _plain_span(one.fresh),
        "pictures": _plain_span(one.pictures),
        "fresh_pictures": _plain_span(one.fresh_pictures),
        "video_s": _plain_span(one.video_s, 10),
        "fresh_video_s": _plain_span(one.fresh_video_s, 10),
        "frames": _plain_span(one.frames),
        "fresh_frames": _plain_span(one.fresh_frames),
        "calls": [{"what": call.what, "count": _plain_span(call.count)} for call in one.calls],
        "calls_total": _plain_span(one.all_calls),
        "quota": quota,
        "basis": one.basis,
        "remark": one.remark,
    }


def _plain_span(span: Span, parts: int = 1) -> dict[str, float]:
    least = math.floor(span.least * parts + 1e-9) / parts
    most = math.ceil(span.most * parts - 1e-9) / parts
    return {"least": int(least), "most": int(most)} if parts == 1 else {"least": least, "most": most}


_UNITS: Final = (("s", 1.0, 100.0), ("min", 60.0, 7_200.0), ("h", 3_600.0, math.inf))
