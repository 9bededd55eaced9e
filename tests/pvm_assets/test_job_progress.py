"""Per cent and time left: never backwards, 100 only at the end, null where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pvm_assets.graph import NODES
from pvm_assets.job_progress import eta_s, percent_of
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import AssetState, Progress, StageShare

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = ("collection", "feature_extraction", "matching", "evidence", "completed")


def _share(stage: str, share: float, reused: float = 0.0, began: datetime | None = BEGAN) -> StageShare:
    return StageShare("job-1", stage, share, reused, began)


def test_items_move_it_within_a_phase() -> None:
    assert percent_of(False, "collection", []) == 0
    assert percent_of(False, "collection", [_share("products", 1), _share("product_images", 0.5)]) == 9
    assert percent_of(False, "feature_extraction", [_share("masks", 1), _share("embeddings", 0.4)]) == 41
    assert percent_of(False, "matching", [_share("candidate_pairs", 1), _share("matches", 0.5)]) == 78
    assert percent_of(False, "evidence", [_share("evidence", 1)]) == 99
    assert percent_of(False, "completed", []) == 99
    assert percent_of(True, "completed", []) == 100


@given(
    shares=st.fixed_dictionaries({stage: st.tuples(*[st.floats(0, 1)] * 2) for stage in NODES}),
    phases=st.tuples(*[st.integers(0, 4)] * 2),
)
def test_more_done_is_never_less_per_cent(
    shares: dict[str, tuple[float, float]], phases: tuple[int, int]
) -> None:
    less = [_share(stage, min(pair)) for stage, pair in shares.items()]
    more = [_share(stage, max(pair)) for stage, pair in shares.items()]
    before = percent_of(False, PHASES[min(phases)], less)
    assert 0 <= before <= percent_of(False, PHASES[max(phases)], more) <= 99


def test_time_left_is_that_of_this_run() -> None:
    now = BEGAN + timedelta(seconds=60)
    assert eta_s("matching", [_share("candidate_pairs", 1), _share("matches", 0.5)], now) is not None
    half = [_share("products", 1), _share("product_images", 1)]
    assert eta_s("collection", half, now) == 420, "12.5 per cent a minute"
    assert eta_s("collection", half, BEGAN + timedelta(seconds=1)) is None, "too early to say"
    found = [_share("products", 1, 1), _share("product_images", 1, 1)]
    assert eta_s("collection", found, now) is None, "what was found done has no pace"
    assert eta_s("collection", [_share("products", 1, began=None)], now) is None, "not begun in this run"


@given(st.integers(10, 2_000), st.integers(0, 4_000), st.integers(0, 500))
def test_while_nothing_moves_the_time_left_runs_down_and_does_not_end(
    moved: int, still: int, later: int
) -> None:
    shares = [replace(_share("products", 1), moved_at=BEGAN + timedelta(seconds=moved))]

    def left(seconds: int) -> int:
        found = eta_s("collection", shares, BEGAN + timedelta(seconds=seconds))
        assert found is not None
        return found

    at_once, now, after = left(moved), left(moved + still), left(moved + still + later)
    if still + later <= at_once / 2:
        assert at_once - now in (still, still - 1, still + 1)
        assert after <= now
    assert after >= still + later or after >= at_once - still - later - 1
    assert after > 0


def test_a_rerun_takes_nothing_back(repos: Store) -> None:
    slug = repos.industries.ensure("giày").slug
    job = repos.jobs.create(slug, {}, "job-1").job_id
    state = repos.state

    def percent() -> int:
        return percent_of(False, "matching", state.shares([job]))

    seen = [percent()]
    for run in range(2):
        for stage in ("candidate_pairs", "matches"):
            state.start_stage(job, stage)
            seen.append(percent())
            for done in (0, 4, 8):
                state.set_progress(job, Progress(stage, done, 8 + 2 * run))
                seen.append(percent())
        state.clear_progress(job)
        assert state.progress(job) == [], "nothing has begun in the next run"
        seen.append(percent())
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (60, 85)
    state.start_stage(job, "evidence", 3)
    state.finish_asset(job, AssetState("evidence", "v1", 0, {}))
    assert {one.stage: one.share for one in state.shares([job])}["evidence"] == 1
