"""How fast this machine does each stage: by its earlier jobs, else by docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pvm_core.keyframes import KeyframeParams
from pvm_core.run_estimate import UNITS, Pace, Sample, Span, pace_of
from pvm_resources.store.past_runs import PastStage

#: What a stage takes on a machine that is not the one of docs/performance.md: half as long, or four times on
#: one with other work.
_ELSEWHERE: Final = Span(0.5, 4.0)
#: Seconds of one unit of `UNITS`, two workers on two cores (docs/performance.md, its tables of stages and of
#: downloads): 40 clips of 398 s at 8.3 a second, 132, 51 and 18 pictures, 30 frames, 28 pages a second. A
#: learned embedder's 133 ms of one core a keyframe are the most of `embeddings`. `start` is a job that finds
#: everything done, 13.3 s. Rows, candidates and opening a clip are not in its tables: assumed.
_DOCUMENTED: Final[Mapping[str, Span]] = {
    "start": Span.of(13.3),
    "products": Span.of(0.001),
    "product_images": Span.of(1 / 77),
    "videos": Span.of(0.02),
    "keyframes": Span.of(40 / 8.3 / 398),
    "masks": Span.of(1 / 132),
    "embeddings": Span(1 / 51, 0.133 / 2),
    "keypoints": Span.of(1 / 18),
    "candidate_pairs": Span.of(0.002),
    "matches": Span.of(1 / 30),
    "evidence": Span.of(1 / 28),
}
#: Seconds of fetching one video, two at once. Assumed: a minute at 480 lines is 2 to 8 MB.
_DOWNLOAD_S: Final = Span(2.0, 60.0)
#: Pages of one video. 56 of 40 clips in the case of docs/performance.md; a clip without a match has none.
_PAGES: Final = Span(0.0, 3.0)
#: What a video has of pages in one job, it may have half or twice of in another: 1.3 and 3.0 in two cases.
_OTHERS: Final = Span(0.5, 2.0)
#: Keyframes for each that the budget allows. 297 of 320 in the case of docs/performance.md; still shots have
#: fewer, and many short shots more, since the first frame of each is kept.
_KEYFRAMES: Final = Span(0.5, 1.25)
#: Pictures of a product. Assumed: eBay takes at most 24, Amazon's answers hold one and its variants.
_PICTURES: Final[Mapping[str, Span]] = {"ebay": Span(3, 12), "amazon": Span(2, 8)}
#: Seconds of a video of a site or link: clips for products. Assumed.
_LENGTH_S: Final = Span(60.0, 300.0)
#: Jobs of fewer units say nothing of a pace: what they took is the start of their workers.
_UNITS_MIN: Final = 10


def paces_of(past: Sequence[PastStage], rests: Sequence[float], embed_model: str | None) -> dict[str, Pace]:
    """The pace of each of `UNITS` but ``calls``.

    Args:
        rests: seconds of earlier jobs that were no stage's, sorted.
        embed_model: by which the job embeds; None: what earlier jobs did is the measure.
    """
    measured: dict[str, list[Sample]] = {stage: [] for stage in UNITS}
    for one in past:
        stage = "downloads" if one.asset == "videos" and _fetched(one) else one.asset
        if stage == "embeddings" and embed_model not in (None, "auto", one.embed_model):
            continue
        if one.computed >= _UNITS_MIN and stage in measured:
            measured[stage].append(Sample(_units(one), one.seconds))
    found = {stage: pace_of(measured[stage], _DOCUMENTED[stage] * _ELSEWHERE) for stage in _DOCUMENTED}
    found["downloads"] = pace_of(measured["downloads"], _DOWNLOAD_S)
    if rests:
        # A job that was resumed waited between its runs: the greater half says nothing.
        middle = rests[len(rests) // 2 if len(rests) < 3 else (len(rests) - 1) // 2]
        found["start"] = Pace(Span(rests[0] / 1.25, middle * 1.25), "measured", len(rests))
    return found


def pages_of(past: Sequence[PastStage]) -> Pace:
    """Evidence pages of one video."""
    done = [one for one in past if one.asset == "evidence" and one.video_count]
    found = pace_of([Sample(one.video_count, one.rows) for one in done], _PAGES)
    return replace(found, each=found.each * _OTHERS) if done else found


def pictures_of(past: Sequence[PastStage], shop: str) -> Pace:
    """Pictures of one product of a shop, by jobs that asked no other."""
    pictures = sum(one.items for one in past if one.asset == "product_images" and one.products == (shop,))
    products = sum(one.rows for one in past if one.asset == "products" and one.products == (shop,))
    samples = [Sample(products, pictures)] if products and pictures else []
    return pace_of(samples, _PICTURES[shop])


def lengths_of(seconds: Sequence[float]) -> Pace:
    """Seconds of one video of a site, by those stored of it, sorted: their middle four fifths."""
    if len(seconds) < _UNITS_MIN:
        return Pace(_LENGTH_S, "default")
    return Pace(Span(seconds[len(seconds) // 10], seconds[-1 - len(seconds) // 10]), "measured", len(seconds))


def budget(length_s: float, params: KeyframeParams) -> float:
    """Keyframes that the rules allow a video of that length."""
    return max(params.minimum, min(params.maximum, params.per_minute * length_s / 60))


def keyframes_of(cut: Sequence[tuple[float, int]], params: KeyframeParams) -> Pace:
    """Keyframes for each that the budget allows, by (seconds, keyframes) of videos that were cut: as those
    videos differ, so may all of the next job."""
    samples = [Sample(budget(seconds, params), frames) for seconds, frames in cut]
    return pace_of(samples if len(samples) >= _UNITS_MIN else [], _KEYFRAMES)


def _fetched(one: PastStage) -> bool:
    return not all(token.startswith("/") and not token.endswith((".txt", ".list")) for token in one.videos)


def _units(one: PastStage) -> float:
    """What the stage computed, in its unit."""
    if one.asset != "keyframes" or not one.items:
        return one.computed
    return max(1.0, one.video_s * one.computed / one.items)
