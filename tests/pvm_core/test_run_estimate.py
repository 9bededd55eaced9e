"""The arithmetic of an estimate: ranges hold, more work never takes less, text never narrows a range."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.run_estimate import (
    UNITS,
    Calls,
    Pace,
    Quota,
    RunEstimate,
    Sample,
    SourceEstimate,
    Span,
    count_text,
    duration_text,
    pace_of,
    plain,
    stages_of,
)

_AMOUNT = st.floats(0, 1e6, allow_nan=False)
SPANS = st.tuples(_AMOUNT, _AMOUNT).map(lambda pair: Span(min(pair), max(pair)))
PACES = st.tuples(st.floats(0, 100), st.floats(0, 100)).map(
    lambda pair: Pace(Span(min(pair), max(pair)), "default")
)
ALL_PACES = st.fixed_dictionaries({stage: PACES for stage in UNITS if stage != "calls"})
SAMPLES = st.lists(
    st.builds(Sample, st.floats(1, 1e5, allow_nan=False), st.floats(0, 1e5, allow_nan=False)), max_size=12
)
_SPAN_FIELDS = [f.name for f in fields(SourceEstimate) if f.type == "Span"] + ["records"]


def _source(kind: str, spans: list[Span], calls: Span) -> SourceEstimate:
    made = SourceEstimate(kind, kind, Span(0, 0), counted=True)  # type: ignore[arg-type]
    return replace(
        made,
        calls=(Calls("searches", calls, Span(0.5, 2)),),
        **dict(zip(_SPAN_FIELDS, spans, strict=True)),  # type: ignore[arg-type]
    )


SOURCES = st.builds(
    _source,
    st.sampled_from(["products", "videos"]),
    st.lists(SPANS, min_size=len(_SPAN_FIELDS), max_size=len(_SPAN_FIELDS)),
    SPANS,
)


@given(st.lists(SOURCES, min_size=1, max_size=4), SOURCES, ALL_PACES, PACES)
def test_a_further_source_never_takes_less_of_anything(
    sources: list[SourceEstimate], further: SourceEstimate, paces: dict[str, Pace], pages: Pace
) -> None:
    for before, after in zip(
        stages_of(sources, paces, pages), stages_of([*sources, further], paces, pages), strict=True
    ):
        assert after.items.least >= before.items.least
        assert after.items.most >= before.items.most
        assert after.seconds.least >= before.seconds.least
        assert after.seconds.most >= before.seconds.most


@given(SOURCES, st.sampled_from(_SPAN_FIELDS), _AMOUNT, ALL_PACES, PACES)
def test_more_of_one_thing_never_takes_less_time(
    source: SourceEstimate, name: str, more: float, paces: dict[str, Pace], pages: Pace
) -> None:
    larger = replace(source, **{name: getattr(source, name) + Span.of(more)})
    for before, after in zip(
        stages_of([source], paces, pages), stages_of([larger], paces, pages), strict=True
    ):
        assert after.seconds.least >= before.seconds.least
        assert after.seconds.most >= before.seconds.most


@given(SAMPLES)
def test_a_pace_holds_what_all_jobs_together_took(samples: list[Sample]) -> None:
    default = Span(1, 2)
    pace = pace_of(samples, default)
    if not samples:
        assert pace == Pace(default, "default")
        return
    mean = sum(one.seconds for one in samples) / sum(one.units for one in samples)
    assert pace.basis == "measured"
    assert pace.jobs == len(samples)
    assert pace.each.least <= mean <= pace.each.most


def test_a_small_job_does_not_set_the_pace_of_a_large_one() -> None:
    large = [Sample(5_000, 100)] * 3
    assert pace_of([*large, Sample(2, 6)], Span(0, 0)).each.most == pytest.approx(0.02 * 1.25, rel=0.05)


@given(st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 10), st.integers(0, 50))
def test_a_quota_suffices_surely_perhaps_or_not(used: int, a_day: int, least: int, more: int) -> None:
    calls = (Calls("searches", Span(least, least + more), Span(0, 0)),)
    one = SourceEstimate("products", "ebay", Span.of(1), calls=calls, quota=Quota(used, a_day))
    left = max(0, a_day - used)
    assert (one.enough == "yes") == (least + more <= left)
    assert (one.enough == "no") == (least > left)
    assert replace(one, quota=None).enough is None
    assert replace(one, quota=Quota(used, None)).enough is None


@given(SPANS)
def test_text_never_narrows_a_range(span: Span) -> None:
    sizes = {"s": 1, "min": 60, "h": 3600}
    text = duration_text(span)
    found = re.findall(r"([\d,]+)(?: (s|min|h))?(?: to|$)", text)
    units = [unit for _, unit in found]
    last = units[-1]
    values = [int(number.replace(",", "")) * sizes[unit or last] for number, unit in found]
    assert values[-1] >= span.most - 1e-6
    assert text.startswith(("under", "up to")) or values[0] <= span.least + 1e-6
    numbers = [int(part.replace(",", "")) for part in count_text(span).split(" to ")]
    assert numbers[0] <= span.least + 1e-6
    assert numbers[-1] >= span.most - 1e-6


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(0, 0.4), "under 1 s"), (Span(38, 467), "38 s to 8 min"), (Span(130, 130), "2 to 3 min"),
        (Span(7_300, 90_000), "2 to 25 h"), (Span(60, 60), "60 s"), (Span(0.4, 3.2), "up to 4 s"),
    ],
)  # fmt: skip
def test_a_range_of_time_as_people_read_it(span: Span, text: str) -> None:
    assert duration_text(span) == text


@pytest.mark.parametrize("bounds", [(-1, 2), (2, 1), (0, math.inf), (math.nan, 1)])
def test_what_is_no_range_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no range"):
        Span(*bounds)


@given(st.lists(SOURCES, min_size=1, max_size=3), ALL_PACES, PACES)
def test_as_json_a_range_stays_one(
    sources: list[SourceEstimate], paces: dict[str, Pace], pages: Pace
) -> None:
    stages = stages_of(sources, paces, pages)
    shown = plain(RunEstimate(tuple(sources), stages, Span(0, 1), 5, True))
    assert [one["stage"] for one in shown["stages"]] == list(UNITS)
    for one, stage in zip(shown["stages"], stages, strict=True):
        assert one["seconds"]["least"] <= stage.seconds.least + 1e-6
        assert one["seconds"]["most"] >= stage.seconds.most - 1e-6
