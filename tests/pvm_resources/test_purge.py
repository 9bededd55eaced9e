"""The purge against real tables and a real media store: what goes, what stays, and crashes on the way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pvm_core.errors import Problem, StoreError
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.postgres.locks import job_lock_name
from pvm_resources.retention.purge import Purge, Purged
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.galleries import Galleries
from pvm_resources.store.matching import evidence_key
from pvm_resources.store.retention import Retention
from pvm_resources.store.source_runs import DeadLetter, SourceRuns, VideoFile
from tests.outbox import Outbox
from tests.pvm_resources import world
from tests.pvm_resources.purge_place import SOURCES, Place, build, paths


@pytest.fixture
def place(repos: Store, tmp_path: Path) -> Place:
    return build(repos, tmp_path / "home")


_DERIVED = (
    "stored_images", "image_sources", "job_images", "masks", "embeddings", "keypoint_sets",
    "candidate_pairs", "pair_evidence", "pair_scores",
)  # fmt: skip


def test_what_a_sources_terms_end_goes_with_every_derivative_and_the_match_stays(place: Place) -> None:
    before = place.results()
    events = Outbox(place.repos.database).counts(place.job_id)
    free = place.files_of(0)
    report = place.purge().run(now=place.after(7))
    assert report.failures == ()
    assert report.purged == (
        # Amazon's pictures go with the job, its texts after a day.
        Purged("amazon", pictures=2, masks=1, keypoints=2, matches=1),
        Purged("ebay", products=1, pictures=2, masks=1, keypoints=2, evidence=1, matches=1, answers=1),
    )
    assert place.files_of(1) == place.files_of(2) == set()
    assert place.files_of(0) == free
    assert len(free) == 6
    for table in _DERIVED:
        assert place.count(table, 1) == place.count(table, 2) == 0, table
        assert place.count(table, 0) > 0, table
    after = place.results()
    assert after.keys() == before.keys()
    for name, result in before.items():
        gone = name != "P0"
        assert (after[name].media_purged_at is not None) == gone
        blank: dict[str, Any] = (
            {
                "evidence_path": None,
                "media_purged_at": after[name].media_purged_at,
                "best": replace(result.best, img_id=None),
            }
            if gone
            else {}
        )
        texts: dict[str, Any] = {"title": "", "brand": "", "product_url": ""} if name == "P1" else {}
        assert after[name] == replace(result, **blank, **texts)
    assert Outbox(place.repos.database).counts(place.job_id) == events
    refs = [g.source_ref for g in Galleries(place.repos.database).pictures(place.job_id)]
    assert [r.rpartition("/")[2][:2] for r in refs] == ["P0", "P0", "P2", "P2"]
    assert place.purge().run(now=place.after(7)).purged == ()


def test_nothing_goes_before_its_time_and_own_material_never(place: Place) -> None:
    first = place.purge().run(now=place.after(5.9))
    assert [(p.source, p.pictures, p.products) for p in first.purged] == [("amazon", 2, 0)]
    place.purge().run(now=place.after(24 * 365))
    assert place.repos.catalogue.products(place.job_id)[0] == place.made.products[0]
    assert len(place.files_of(0)) == 6
    for n in (1, 2):
        product = place.repos.catalogue.products(place.job_id)[n]
        assert (product.title, product.brand, product.url) == ("", "", "")
        assert (product.description, product.category, product.attributes) == ("", "", {})
        assert product.asin_or_itemid == f"P{n}"


def test_a_product_seen_again_starts_its_age_anew(place: Place) -> None:
    later = place.after(7)
    place.purge().run(now=later)
    place.repos.catalogue.set_products(place.job_id, place.made.products)
    assert place.repos.catalogue.products(place.job_id)[1] == place.made.products[1]
    row = place.repos.database.tuples(
        "SELECT purged_at, seen_at > now() - interval '1 minute' FROM products WHERE product_id = %s",
        [place.product_id(1)],
    )
    assert row == [(None, True)]


def test_a_product_is_as_old_as_the_stored_answer_it_was_read_from(place: Place) -> None:
    database = place.repos.database
    database.commit(Statement("UPDATE source_answers SET fetched_at = now() - interval '5 hours'"))
    SourceRuns(database).answers(place.job_id, "ebay").put("ancient", {})
    database.commit(
        Statement("UPDATE source_answers SET fetched_at = now() - interval '9 h' WHERE key = 'ancient'")
    )
    place.repos.catalogue.set_products(place.job_id, place.made.products, reuse_h={"ebay": 6.0})
    ages = dict(
        database.tuples("SELECT src, round(extract(epoch FROM now() - seen_at) / 3600) FROM products")
    )
    assert ages == {"file": 0, "ebay": 5, "amazon": 0}


def test_what_a_run_works_on_waits_for_its_end(place: Place) -> None:
    later = place.after(25)
    with place.repos.database.run_lock(job_lock_name(place.job_id)):
        # Answers have no reader once they are too old, so they need not wait.
        assert {p.source: (p.pictures, p.products) for p in place.purge().run(now=later).purged} == {
            "amazon": (0, 0),
            "ebay": (0, 0),
        }
        assert place.files_of(1)
        assert place.files_of(2)
        ended = place.purge().run(now=later, ending=place.job_id)
    assert {p.source: (p.pictures, p.products) for p in ended.purged} == {"amazon": (2, 1), "ebay": (2, 1)}
    assert place.files_of(1) == place.files_of(2) == set()


def test_a_picture_of_two_jobs_waits_for_both(place: Place) -> None:
    other = place.repos.jobs.create(place.made.industry.slug, {}, "other")
    place.repos.catalogue.set_products("other", place.made.products)
    with place.repos.database.run_lock(job_lock_name(other.job_id)):
        place.purge().run(now=place.after(25), ending=place.job_id)
        assert place.files_of(1)
        assert place.files_of(2)
    # It is queued still: a working copy stays for it, what is too old does not.
    place.purge().run(now=place.after(7))
    assert place.files_of(2)
    assert not place.files_of(1)


def test_a_dry_run_counts_what_a_purge_then_does_and_touches_nothing(place: Place) -> None:
    now, files = place.after(25), set(place.media.keys())
    told = place.purge(batch=1).run(now=now, dry_run=True)
    assert set(place.media.keys()) == files
    assert place.count("masks", 1) == 2
    done = place.purge(batch=1).run(now=now)
    assert [replace(p, matches=0) for p in done.purged] == list(told.purged)


def test_one_source_alone(place: Place) -> None:
    report = place.purge().run(now=place.after(25), source="ebay")
    assert [p.source for p in report.purged] == ["ebay"]
    assert place.files_of(2)
    assert not place.files_of(1)


def test_a_machine_may_set_other_terms(repos: Store, tmp_path: Path) -> None:
    own = {"ebay": {"max_age_h": 100}, "amazon": {"store_media": True}, "file": {"max_age_h": 2}}
    place = build(repos, tmp_path / "home", own)
    report = place.purge().run(now=place.after(3))
    assert [(p.source, p.pictures, p.products) for p in report.purged] == [("file", 2, 1)]


def test_leftovers_of_a_killed_run_go_with_their_product(place: Place) -> None:
    key = f"products/{place.product_id(1)}/{uuid.uuid4()}.jpg"
    place.media.put(key, b"stored, and killed before the row was written")
    place.purge().run(now=place.after(7))
    assert not place.media.exists(key)


def test_addresses_in_problems_and_dead_letters_go(place: Place) -> None:
    ref = f"https://shop/{place.made.images[2].source_ref}"
    mine = "https://shop/P0-0.jpg"
    place.repos.state.start_stage(place.job_id, "product_images")
    place.repos.state.write_problems(
        place.job_id, [Problem("product_images", item, "fetch.status", "It is gone") for item in (ref, mine)]
    )
    source_runs = SourceRuns(place.repos.database)
    source_runs.add_dead_letters(
        place.job_id, [DeadLetter("product_images", item, "fetch.status", "no", 3) for item in (ref, mine)]
    )
    place.purge().run(now=place.after(7))
    assert [p.item for p in place.repos.state.problems(place.job_id, "product_images")] == [mine]
    assert [d.item for d in source_runs.dead_letters(place.job_id)] == [mine]


def test_a_file_that_will_not_go_keeps_its_row_and_holds_up_nothing_else(place: Place) -> None:
    stuck = place.made.images[2]
    path = place.media.path(stuck.local_path)
    assert path is not None
    path.unlink()
    path.mkdir()
    report = place.purge().run(now=place.after(7))
    assert [failure.code for failure in report.failures] == ["media.write"]
    assert place.count("stored_images", 1) == 1
    path.rmdir()
    place.purge().run(now=place.after(7))
    assert place.count("stored_images", 1) == 0


def test_a_store_out_of_reach_ends_the_purge_and_loses_nothing(place: Place) -> None:
    class Gone(MediaStore):
        def delete(self, key: str) -> None:
            raise StoreError("media.write", key, "timed out", "Check the media store", retryable=True)

    purge = Purge(place.repos.database, Gone(place.settings.media), place.settings)
    with pytest.raises(StoreError, match="timed out"):
        purge.run(now=place.after(7))
    assert place.count("stored_images", 1) == 2


# -- crashes ------------------------------------------------------------------------------------------


def _purge_and_die(dsn: str, settings: Settings, now: datetime, steps: int, after_drop: bool) -> None:
    """A purge in its own process that is killed after some deletions, or right before it would commit."""
    left = [steps]

    class Deadly(MediaStore):
        def delete(self, key: str) -> None:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            super().delete(key)

    class Late(Retention):
        def drop(self, *args: Any) -> Any:
            dropped = super().drop(*args)
            if after_drop:
                os.kill(os.getpid(), signal.SIGKILL)
            return dropped

    with Database(dsn) as database:
        purge = Purge(database, Deadly(settings.media), settings, batch=1)
        purge._repo = Late(database)
        purge.run(now=now)


def _rows(place: Place) -> list[int]:
    return [int(place.repos.database.value(f"SELECT count(*) FROM {table}")) for table in _DERIVED]


def _state(place: Place) -> tuple[Any, ...]:
    database = place.repos.database
    tables = (*_DERIVED, "job_pictures", "source_answers")
    rows = {table: int(database.value(f"SELECT count(*) FROM {table}")) for table in tables}
    matches = [
        (r.product, r.score, r.status, r.ts, r.evidence_path, r.media_purged_at is None, r.title)
        for r in place.repos.matching.results(place.job_id)
    ]
    return sorted(place.media.keys()), rows, matches


def test_killed_at_every_deletion_a_purge_ends_where_an_undisturbed_one_ends(
    repos: Store, database_url: str, tmp_path: Path
) -> None:
    place = build(repos, tmp_path / "home")
    now = place.after(25)
    forked = multiprocessing.get_context("spawn")
    kills, before = 0, _rows(place)
    for steps, after_drop in ((0, False), (1, False), (2, False), (99, True), (3, False), (99, True)):
        child = forked.Process(
            target=_purge_and_die, args=(database_url, place.settings, now, steps, after_drop)
        )
        child.start()
        child.join(120)
        kills += child.exitcode == -signal.SIGKILL
        # Whatever has no file any more still has the row that says so: nothing is lost track of.
        named = {*paths(place.repos.database)}
        shown = {k for k in place.media.keys() if not k.startswith("evidence/")}  # noqa: SIM118
        assert shown <= named
        # A batch that did not reach its commit has every row it had.
        assert _rows(place) == before or not after_drop
    assert kills == 6
    place.purge().run(now=now)
    crashed = _state(place)
    assert crashed[1]["stored_images"] == 2
    assert len(place.files_of(0)) == 6
    assert place.files_of(1) == place.files_of(2) == set()
    assert [row[0] for row in crashed[2]] == ["P0", "P1", "P2"]
    assert [row[5] for row in crashed[2]] == [True, False, False]


# -- runs and purges at once ----------------------------------------------------------------------------


def test_a_run_that_starts_waits_for_the_batch_in_flight(place: Place) -> None:
    retention = Retention(place.repos.database)
    started = time.monotonic()
    with place.repos.database.transaction() as cursor:
        retention.hold(cursor)
        waiter = multiprocessing.get_context("spawn").Process(target=_wait, args=(place.repos.database.dsn,))
        waiter.start()
        waiter.join(2.5)
        assert waiter.is_alive()
    waiter.join(30)
    assert waiter.exitcode == 0
    assert time.monotonic() - started < 30


def _wait(dsn: str) -> None:
    with Database(dsn) as database:
        Retention(database).wait_for_batch()


# -- videos -------------------------------------------------------------------------------------------


def _downloaded(place: Place, n: int, path: Path, platform: str = "youtube") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"video")
    file = VideoFile(platform, f"v{n}", place.made.videos[n].video_id, str(path), 5)
    place.repos.database.commit(SourceRuns.video_file_write(file))
    return path


def _known(place: Place, n: int) -> VideoFile:
    return SourceRuns(place.repos.database).video_files("youtube", [f"v{n}"])[f"v{n}"]


@pytest.mark.parametrize(("days", "hours", "gone"), [(7, 167, False), (7, 169, True), (0, 0.01, True)])
def test_a_downloaded_video_stays_as_long_as_the_rule_says(
    place: Place, days: float, hours: float, gone: bool
) -> None:
    place.repos.industries.set_rules(place.made.industry.slug, "default", {"keep_videos_days": days})
    path = _downloaded(place, 0, place.settings.home / "downloads" / "youtube" / "v0.mp4")
    report = place.purge().run(now=place.after(hours), source="youtube")
    assert path.exists() != gone
    assert (_known(place, 0).deleted_at is not None) == gone
    assert [p.videos for p in report.purged] == ([1] if gone else [])
    assert len(list(place.repos.videos.frames(place.job_id, "k1"))) == 6


def test_a_video_not_cut_yet_stays(place: Place) -> None:
    path = _downloaded(place, 1, place.settings.home / "downloads" / "v1.mp4")
    place.repos.database.commit(Statement("DELETE FROM keyframe_sets"))
    place.purge().run(now=place.after(24 * 30))
    assert path.exists()


def test_the_most_generous_industry_decides(place: Place) -> None:
    other = place.repos.industries.ensure("pillows")
    place.repos.industries.set_rules(other.slug, "default", {"keep_videos_days": 30})
    place.repos.jobs.create(other.slug, {}, "other")
    place.repos.videos.set_videos("other", place.made.videos, place.made.members)
    path = _downloaded(place, 0, place.settings.home / "downloads" / "v0.mp4")
    place.purge().run(now=place.after(24 * 29))
    assert path.exists()
    place.purge().run(now=place.after(24 * 31))
    assert not path.exists()


def test_a_file_outside_the_downloads_is_never_touched(place: Place, tmp_path: Path) -> None:
    mine = _downloaded(place, 0, tmp_path / "clips" / "v0.mp4")
    sly = _downloaded(place, 1, place.settings.home / "downloads" / ".." / "v1.mp4")
    report = place.purge().run(now=place.after(24 * 30))
    assert mine.exists()
    assert sly.exists()
    assert sorted(f.code for f in report.failures) == ["purge.file", "purge.file"]
    assert _known(place, 0).deleted_at is None


def test_while_a_run_is_on_a_video_file_goes_a_day_later(place: Place) -> None:
    path = _downloaded(place, 0, place.settings.home / "downloads" / "v0.mp4")
    other = place.repos.jobs.create(place.made.industry.slug, {}, "other")
    with place.repos.database.run_lock(job_lock_name(other.job_id)):
        place.purge().run(now=place.after(24 * 7 + 1))
        assert path.exists()
        place.purge().run(now=place.after(24 * 8 + 1))
        assert not path.exists()


def test_a_machine_may_end_the_keeping_of_frames(repos: Store, tmp_path: Path) -> None:
    place = build(repos, tmp_path / "home", {"youtube": {"max_age_h": 48}})
    repos.database.commit(Statement("UPDATE videos SET platform = 'youtube', title = 'Review'"))
    path = _downloaded(place, 0, place.settings.home / "downloads" / "v0.mp4")
    place.purge().run(now=place.after(47), source="youtube")
    assert path.exists()
    report = place.purge().run(now=place.after(49), source="youtube")
    assert report.purged == (
        Purged("youtube", frames=8, masks=3, keypoints=6, evidence=2, matches=3, videos=1),
    )
    assert not path.exists()
    assert not list(place.media.keys("videos"))
    assert repos.database.value("SELECT count(*) FROM keyframe_sets") == 0
    assert {r.score for r in place.results().values()} == {0.9, 0.6, 0.3}
    assert repos.database.tuples("SELECT DISTINCT title FROM videos") == [("",)]


# -- readers ------------------------------------------------------------------------------------------


def test_readers_keep_a_purged_match(place: Place) -> None:
    found = world.matches(place.made)
    place.purge().run(now=place.after(7))
    rows = {m.match_id: m for m in place.repos.matching.matches(place.job_id)}
    assert len(rows) == 3
    gone = rows[found[1].match_id]
    assert (gone.best.img_id, gone.evidence_path) == (None, None)
    assert gone.media_purged_at is not None
    assert gone.best.frame_id == found[1].best.frame_id
    items = {i.match_id: i for i in place.repos.matching.match_items(place.job_id)}
    assert len(items) == 3
    assert (items[gone.match_id].image_path, items[gone.match_id].raw) == (None, None)
    drawable = [i for i in items.values() if i.image_path and i.frame_path]
    assert [i.match_id for i in drawable if i.evidence_path is None] == []


def test_a_rerun_judges_a_purged_match_only_with_pictures_of_both_sides(place: Place) -> None:
    found = world.matches(place.made)
    place.purge().run(now=place.after(7))
    place.repos.matching.replace_matches(place.job_id, found[:1])
    assert len(place.repos.matching.matches(place.job_id)) == 3
    # Its pictures are here again: the same match id, and no word of a purge.
    mine = [i for i in place.made.images if i.product_id == place.product_id(1)]
    place.repos.catalogue.write_images(place.job_id, mine)
    place.repos.matching.replace_matches(place.job_id, found[:2])
    again = {m.match_id: m for m in place.repos.matching.matches(place.job_id)}
    assert again[found[1].match_id] == found[1]
    # Judged anew and found to be none, it goes as any other.
    place.repos.matching.replace_matches(place.job_id, found[:1])
    left = [m.match_id for m in place.repos.matching.matches(place.job_id)]
    assert left == [found[0].match_id, found[2].match_id]


@pytest.mark.parametrize("blurred", [False, True])
def test_a_picture_of_either_kind_that_no_row_names_goes_with_its_frame(place: Place, blurred: bool) -> None:
    match = world.matches(place.made)[1]
    key = evidence_key(place.job_id, match.match_id, blurred=blurred)
    place.media.put(key, b"x")
    place.repos.matching.withdraw_evidence(place.job_id, [match.match_id])
    place.purge().run(now=place.after(7))
    assert not place.media.exists(key)


def test_what_must_be_able_to_go_is_found_by_key(place: Place) -> None:
    retention = Retention(place.repos.database)
    keys = [i.local_path for i in place.made.images] + [f.local_path or "" for f in place.made.frames]
    evidence = [evidence_key(place.job_id, m.match_id) for m in world.matches(place.made)[:2]]
    products, platforms = retention.sources_of(place.job_id)
    assert (set(products), platforms) == (set(SOURCES), ["folder"])
    found = retention.restricted(place.job_id, ["ebay"], [], [*keys, *evidence])
    assert {r.key for r in found} == {i.local_path for i in place.made.images[2:4]} | {evidence[1]}
    assert {(r.source, r.name, r.url) for r in found} == {("ebay", "P1", "u")}
    frames = retention.restricted(place.job_id, [], ["folder"], [*keys, *evidence])
    assert {r.key for r in frames} == {f.local_path for f in place.made.frames} | set(evidence)
