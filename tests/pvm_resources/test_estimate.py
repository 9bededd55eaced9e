"""Estimates against what sources, files and jobs then really are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_core.run_estimate import RunEstimate, SourceEstimate, Span, total
from pvm_jobs.request import JobRequest
from pvm_resources.estimates.calls import amazon_calls, ebay_calls, site_calls
from pvm_resources.estimates.estimator import estimate
from pvm_resources.estimates.local_files import Clip, spread_out
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings, load_settings
from pvm_resources.sources.amazon import Amazon
from pvm_resources.sources.base import Query
from pvm_resources.sources.ebay import Ebay
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import AssetState
from tests.pvm_core.make_video import drawing, panned, write_clip
from tests.pvm_resources import world
from tests.pvm_resources.shopping import NO_FILE, Waits, one_database, shopping
from tests.standins import amazon as amazons
from tests.standins.ebay import CLIENT_ID, CLIENT_SECRET, ITEM, SEARCH, EbayStandIn
from tests.standins.wares import plain

PHRASES = ("pillow", "neck rest", "cushion", "headrest")
KEYS = {"ebay_client_id": CLIENT_ID, "ebay_client_secret": CLIENT_SECRET}


@pytest.fixture(scope="module")
def shop(server: EmbeddedServer, migrated: str) -> Iterator[Store]:
    yield from one_database(server, migrated)


@pytest.fixture(scope="module")
def ebay() -> Iterator[EbayStandIn]:
    with EbayStandIn(plain(60, pictures=1)) as running:
        yield running


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 4 and 6 seconds, and a text."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "a.mp4", panned(drawing(1, 240, 320), 4.0))
    write_clip(folder / "b.mp4", panned(drawing(2, 240, 320), 6.0))
    (folder / "note.md").write_text("no video")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(NO_FILE, home=tmp_path / "home")


def query(phrases: int, limit: int, **more: Any) -> Query:
    return Query("pillow", {"en": PHRASES[:phrases]}, limit=limit, **more)


def calls_of(found: tuple[Any, ...]) -> Span:
    return total(one.count for one in found)


# -- calls -------------------------------------------------------------------------------------------


@trying(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(phrases=st.integers(1, 4), limit=st.integers(1, 70))
def test_ebay_is_called_as_often_as_estimated(
    shop: Store, ebay: EbayStandIn, phrases: int, limit: int
) -> None:
    job = shopping(shop, "ebay")
    used = load_settings(NO_FILE, **KEYS, ebay_api_url=ebay.url)
    before = ebay.count(SEARCH), ebay.count(ITEM)
    found = Ebay(job.context(used), retries=Waits().retries).collect(query(phrases, limit))
    searches, listings = ebay.count(SEARCH) - before[0], ebay.count(ITEM) - before[1]
    expected = calls_of(ebay_calls(query(phrases, limit), used))
    assert searches + listings <= expected.most
    if len(found.records) == limit:
        assert searches + listings >= expected.least
    if phrases == 1 and limit <= 60:
        assert Span.of(searches + listings) == expected


@pytest.mark.parametrize(("phrases", "limit"), [(1, 5), (1, 25), (2, 25), (3, 40), (1, 300)])
def test_amazon_is_called_as_often_as_estimated(shop: Store, phrases: int, limit: int) -> None:
    job = shopping(shop, "amazon")
    with amazons.AmazonStandIn(plain(400, pictures=1)) as amazon:
        used = load_settings(
            NO_FILE, amazon_credential_id=amazons.CREDENTIAL_ID, amazon_credential_secret=amazons.SECRET,
            amazon_credential_version=amazon.version, amazon_partner_tag=amazons.TAG,
            amazon_api_url=amazon.url, amazon_token_url=amazon.token_url,
        )  # fmt: skip
        found = Amazon(job.context(used), rate_s=0, retries=Waits().retries).collect(query(phrases, limit))
        asked = amazon.count(amazons.SEARCH)
    expected = calls_of(amazon_calls(query(phrases, limit), used))
    assert expected.least <= asked <= expected.most
    assert len(found.records) == min(limit, 100 * phrases)


def test_a_site_that_is_asked_for_young_videos_may_be_asked_for_more_pages(settings: Settings) -> None:
    dated, any_age = query(2, 10, recency_days=30), query(2, 10)
    assert (
        calls_of(site_calls("youtube", any_age, settings)).most
        < calls_of(site_calls("youtube", dated, settings)).most
    )
    assert site_calls("bilibili", dated, settings)[1].count == Span.of(10)


# -- files -------------------------------------------------------------------------------------------


def estimated(store: Store, settings: Settings, products: Any, videos: Any, **more: Any) -> RunEstimate:
    request = JobRequest.parse(
        {"products": list(map(str, products)), "videos": list(map(str, videos)), **more}
    )
    return estimate(store, settings, store.industries.draft("Gối"), request)


def catalogue(folder: Path, rows: int) -> Path:
    lines = [f"p{n},Pillow {n},https://shop.example/{n}.jpg" for n in range(rows)]
    path = folder / "products.csv"
    path.write_text("\n".join(["product_id,title,image", *lines]))
    return path


def by_source(found: RunEstimate) -> dict[str, SourceEstimate]:
    return {one.source: one for one in found.sources}


def test_files_are_counted_and_nothing_is_stored(
    repos: Store, settings: Settings, clips: Path, tmp_path: Path
) -> None:
    found = estimated(repos, settings, [catalogue(tmp_path, 7)], [clips])
    products, videos = by_source(found)["file"], by_source(found)["folder"]
    assert (products.records, products.pictures, products.fresh_pictures) == (Span.of(7),) * 3
    assert (videos.records, videos.fresh) == (Span.of(2), Span.of(2))
    assert videos.video_s.least == videos.video_s.most == pytest.approx(10, abs=0.3)
    assert found.complete
    assert not any(one.calls for one in found.sources)
    assert repos.industries.list() == []
    assert repos.match_queries.jobs(5) == []
    assert {one.basis for one in found.stages} == {"default"}


@trying(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 400), more=st.integers(1, 400))
def test_a_longer_catalogue_never_takes_less(
    shop: Store, settings: Settings, clips: Path, tmp_path: Path, rows: int, more: int
) -> None:
    short = estimated(shop, settings, [catalogue(tmp_path, rows)], [clips])
    long = estimated(shop, settings, [catalogue(tmp_path, rows + more)], [clips])
    assert long.seconds.least >= short.seconds.least
    assert long.seconds.most >= short.seconds.most


def test_of_a_large_folder_clips_of_all_sizes_are_opened() -> None:
    clips = [Clip(Path(f"{n}.mp4"), n, 0.0) for n in range(1_000)]
    chosen = spread_out(clips, 10)
    assert len(set(chosen)) == 10
    assert sum(clip.size for clip in chosen) / 10 == pytest.approx(500, rel=0.05)
    assert spread_out(clips[:7], 10) == clips[:7]


def test_a_file_that_is_no_catalogue_is_refused_as_the_job_would(
    repos: Store, settings: Settings, clips: Path
) -> None:
    with pytest.raises(InputError, match=r"note\.md"):
        estimated(repos, settings, [clips / "note.md"], [clips])


def test_a_feed_is_not_read_so_all_is_the_least(repos: Store, settings: Settings, clips: Path) -> None:
    found = estimated(repos, settings, ["https://shop.example/feed.xml"], [clips])
    assert found.sources[0].records is None
    assert not found.complete


# -- quotas and earlier jobs ---------------------------------------------------------------------------


def test_the_quota_is_what_is_left_of_the_day(repos: Store, tmp_path: Path, clips: Path) -> None:
    given_keys = load_settings(NO_FILE, home=tmp_path, **KEYS, ebay_daily_calls=100)
    from pvm_resources.sources.ebay.account import EbayAccount

    def enough(top: int) -> Any:
        return estimated(repos, given_keys, ["ebay"], [clips], top=top).sources[0].enough

    assert enough(50) == "yes"
    repos.quotas.spend("ebay", EbayAccount.of(given_keys).key, 100, 60)
    assert enough(50) == "no"
    assert enough(39) == "yes"
    assert repos.quotas.used("ebay", EbayAccount.of(given_keys).key) == 60


def test_a_source_that_is_not_set_up_costs_nothing_and_says_why(
    repos: Store, settings: Settings, clips: Path, tmp_path: Path
) -> None:
    found = estimated(repos, settings, ["ebay", catalogue(tmp_path, 3)], [clips])
    ebay = by_source(found)["ebay"]
    assert "EBAY_CLIENT_ID" in ebay.remark
    assert not ebay.calls
    assert ebay.records == Span.of(0)


def test_earlier_jobs_set_the_pace(repos: Store, settings: Settings, clips: Path, tmp_path: Path) -> None:
    before = world.make(repos)
    world.write(repos, before)
    facts = {"items": 100, "computed": 100, "seconds": 500.0}
    repos.state.finish_asset(before.job.job_id, AssetState("keypoints", "d1", 100, facts))
    found = estimated(repos, settings, [catalogue(tmp_path, 40)], [clips])
    stages = {one.stage: one for one in found.stages}
    keypoints = stages["keypoints"]
    assert (keypoints.basis, keypoints.jobs, stages["masks"].basis) == ("measured", 1, "default")
    assert keypoints.seconds.least == pytest.approx(keypoints.items.least * 5 / 1.25)
    assert keypoints.seconds.most == pytest.approx(keypoints.items.most * 5 * 1.25)


def test_it_says_what_is_stored_already(repos: Store, settings: Settings, clips: Path) -> None:
    from pvm_core import ids
    from pvm_core.keyframes import KeyframeParams
    from pvm_resources.store.records import JobVideo, KeyframeSet, Video

    clip = clips / "a.mp4"
    stat, sha = clip.stat(), world.sha("a")
    job = repos.jobs.create(repos.industries.ensure("Gối").slug, {"products": [], "videos": []})
    video = Video(ids.video_id(sha), sha, "file", duration_s=4.0)
    member = JobVideo("a", video.video_id, str(clip.resolve()), stat.st_size, stat.st_mtime_ns / 1e9)
    repos.videos.set_videos(job.job_id, [video], [member])
    repos.videos.write_frames([], [KeyframeSet(video.video_id, KeyframeParams().key, 5, 0)])
    folder = estimated(repos, settings, ["https://shop.example/feed.xml"], [clips]).sources[1]
    assert (folder.records, folder.fresh) == (Span.of(2), Span.of(1))
    assert folder.fresh_video_s.most == pytest.approx(6, abs=0.2)
    assert folder.frames.least == folder.fresh_frames.least + 5
