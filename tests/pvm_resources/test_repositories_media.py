"""Catalogue, videos, features: membership, reuse by content, streams, vectors, search."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvm_core import ids
from pvm_core.errors import ModelError, Problem, StoreError
from pvm_jobs import contracts
from pvm_jobs.events import PER_ITEM
from pvm_jobs.payloads import Outgoing, delivered
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.store.assembly import Store
from pvm_resources.store.features import HNSW_MAX_DIM, Feature, Features
from pvm_resources.store.records import (
    Embedding,
    ImageSource,
    JobVideo,
    KeyframeSet,
    Mask,
    Model,
    Product,
)
from pvm_resources.store.row_checks import RowCounts
from pvm_resources.store.source_runs import DeadLetter, SourceRuns, VideoFile
from tests.outbox import Outbox
from tests.pvm_resources import world


def test_everything_written_twice_is_there_once(repos: Store, database: Database) -> None:
    made = world.make(repos, job_id="a")
    tables = [
        row[0] for row in database.tuples(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
    ]  # fmt: skip

    def counts() -> dict[str, int]:
        return {table: int(database.value(f"SELECT count(*) FROM {table}")) for table in tables}

    world.write(repos, made)
    before, events = counts(), Outbox(repos.database).events("a")
    world.write(repos, made)
    assert counts() == before
    assert Outbox(repos.database).events("a") == events


def test_what_was_written_is_read(repos: Store) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    assert repos.catalogue.products(job) == made.products
    assert list(repos.catalogue.images(job)) == made.images
    assert repos.videos.videos(job) == made.videos
    assert repos.videos.members(job) == made.members
    assert sorted(repos.videos.frames(job, "k1"), key=str) == sorted(made.frames, key=str)
    assert sorted(repos.videos.frames(job, "k1", "rejected"), key=str) == sorted(made.rejected, key=str)
    assert repos.videos.sets(job, "k1") == {
        v.video_id: KeyframeSet(v.video_id, "k1", 3, 1) for v in made.videos
    }
    assert repos.videos.sets(job, "k2") == {}
    assert len(list(repos.features.masks(job, "m1", "product"))) == 6
    assert len(list(repos.features.keypoints(job, "p1", "frame"))) == 6


def test_a_product_left_out_takes_its_pictures_along(repos: Store, database: Database) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    repos.catalogue.set_products(job, [made.products[2], replace(made.products[0], title="New")])
    assert [p.asin_or_itemid for p in repos.catalogue.products(job)] == ["P2", "P0"]
    assert repos.catalogue.products(job)[1].title == "New"
    assert {i.product_id for i in repos.catalogue.images(job)} == {
        made.products[0].product_id, made.products[2].product_id
    }  # fmt: skip
    assert database.value("SELECT count(*) FROM stored_images") == 6
    assert repos.catalogue.keep_images(job, [made.images[0].img_id]) == 3
    assert [i.img_id for i in repos.catalogue.images(job)] == [made.images[0].img_id]
    repos.matching.prune_candidates(job)
    assert {c.img_id for c in repos.matching.candidates(job)} == {made.images[0].img_id}


def test_picture_references_are_remembered_across_jobs(repos: Store) -> None:
    first, second = world.make(repos, job_id="a"), world.make(repos, job_id="b")
    world.write(repos, first)
    repos.catalogue.set_products("b", second.products)
    known = repos.catalogue.known_sources("b")
    assert known[(first.products[1].product_id, "P1-0.jpg")].fingerprint == "fp"
    assert len(known) == 6
    assert (
        repos.catalogue.images_of([first.images[3].img_id])[first.images[3].img_id].phash
        == first.images[3].phash
    )


def test_files_are_remembered_by_place_size_and_time(repos: Store) -> None:
    made = world.make(repos)
    world.write(repos, made)
    known = repos.videos.known_files([(1000, 5.5), (1001, 6.5), (1000, 6.5), (7, 7.0)])
    assert known == {
        ("/clips/clip0.mp4", 1000, 5.5): made.videos[0].video_id,
        ("/clips/clip1.mp4", 1001, 6.5): made.videos[1].video_id,
    }
    assert repos.videos.known_files([]) == {}


def test_one_video_under_two_names(repos: Store) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    video = made.videos[0].video_id
    repos.videos.set_videos(
        job,
        [],
        [JobVideo("a/x", video, "/a/x.mp4", 1, 1.0, 0), JobVideo("b/x", video, "/b/x.mp4", 1, 1.0, 1)],
    )
    assert [v.video_id for v in repos.videos.videos(job)] == [video]
    assert len(list(repos.videos.frames(job, "k1"))) == 3
    assert len(list(repos.features.items(job, "frame"))) == 3
    assert [r.video for r in repos.matching.results(job)] == ["a/x", "b/x"] * 3


def test_names_of_ten_thousand_characters(repos: Store) -> None:
    job = repos.jobs.create(repos.industries.ensure("x").slug, {}).job_id
    made = world.make(repos)
    long = "枕" * 10_000
    repos.catalogue.set_products(job, [Product(uuid.uuid4(), "file", "x", long, long, long, long)])
    repos.videos.set_videos(job, made.videos, [JobVideo(long, made.videos[0].video_id, long)])
    assert repos.catalogue.products(job)[0].asin_or_itemid == long
    assert repos.videos.members(job)[0].given_name == long


#: Text that a cast, a pattern or an escape would read as something else.
_AWKWARD = (
    "\\",
    r"C:\new\1.jpg",
    r"\x6f",
    r"\134",
    "\\\\",
    "100%",
    "%s",
    "a'b",
    'a"b',
    "{}",
    "$1",
    "gối 枕 🛏",
    "\n",
)
_ANY_TEXT = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from("\\%'\"{}$,"),
    min_size=1,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(names=st.lists(_ANY_TEXT, min_size=1, max_size=5, unique=True))
@example(names=list(_AWKWARD))
def test_ids_names_and_paths_are_any_text(repos: Store, database: Database, names: list[str]) -> None:
    made = world.make(repos, job_id="text")
    job, collecting = made.job.job_id, SourceRuns(database)
    products = [Product(ids.product_id("x", name), "file", "x", name) for name in names]
    images = [replace(made.images[0], img_id=uuid.uuid5(p.product_id, "i"), product_id=p.product_id,
                      source_ref=p.asin_or_itemid) for p in products]  # fmt: skip
    video = made.videos[0].video_id
    for _ in range(2):
        repos.catalogue.set_products(job, products)
        repos.catalogue.write_images(
            job, images, [ImageSource(i.product_id, i.source_ref, "fp", i.img_id) for i in images]
        )
        repos.videos.set_videos(job, made.videos, [JobVideo(name, video, name) for name in names])
        repos.state.start_stage(job, "masks", 1)
        repos.state.write_problems(job, [Problem("masks", name, "mask.time", name) for name in names])
        collecting.add_dead_letters(
            job, [DeadLetter("products", name, "fetch.http", name, 1) for name in names]
        )
        for name in names:
            collecting.answers(job, "ebay").put(name, {"answer": name})
            database.commit(SourceRuns.video_file_write(VideoFile("youtube", name, video, name, 1)))

    assert {p.asin_or_itemid for p in repos.catalogue.products(job)} == set(names)
    assert {m.given_name for m in repos.videos.members(job)} == set(names)
    assert sorted(p.item for p in repos.state.problems(job)) == sorted(names)
    assert {d.item: d.attempts for d in collecting.dead_letters(job)} == dict.fromkeys(names, 2)
    assert [collecting.answers(job, "ebay").get(name) for name in names] == [{"answer": n} for n in names]
    assert set(collecting.video_files("youtube", names)) == set(names)
    known = repos.catalogue.known_sources(job)
    assert {(i.product_id, i.source_ref): i.img_id for i in images} == {k: s.img_id for k, s in known.items()}
    collecting.resolve(job, "products", names)
    assert collecting.dead_letters(job) == []
    database.commit(Statement("DELETE FROM jobs WHERE job_id = %s", [job]))


def test_the_keyframes_key_decides_which_frames_are_the_jobs(repos: Store) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    repos.jobs.set_keys(job, keyframes="k2")
    assert list(repos.features.items(job, "frame")) == []
    assert repos.jobs.counts(job).frames == 0
    repos.jobs.set_keys(job, keyframes="k1")
    assert len(list(repos.features.items(job, "frame"))) == 6


def test_items_come_with_their_files(repos: Store) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    items = {i.item_id: i for i in repos.features.items(job, "product", mask_key="m1", keypoint_key="p1")}
    assert set(items) == {i.img_id for i in made.images}
    first, second = (items[made.images[n].img_id] for n in range(2))
    assert (first.mask_path, second.mask_path) == (f"masks/{first.item_id}.png", None)
    assert first.kp_path == f"kp/{first.item_id}.npz"
    assert (first.parent_id, first.ts, first.local_path) == (
        made.products[0].product_id, None, made.images[0].local_path
    )  # fmt: skip
    frames = list(repos.features.items(job, "frame"))
    assert {(f.parent_id, f.ts, f.shot) for f in frames} == {(f.video_id, f.ts, f.shot) for f in made.frames}
    assert all(f.mask_path is None and f.kp_path is None for f in frames)


@pytest.mark.parametrize("feature", ["masks", "embeddings", "keypoints"])
def test_only_what_is_missing_is_to_do(repos: Store, feature: Feature) -> None:
    made = world.make(repos, job_id="a")
    world.write(repos, made)
    key = world.KEYS[feature]
    assert list(repos.features.missing("a", feature, key)) == []
    assert repos.features.covered("a", feature, key) == {"product": (6, 6), "frame": (6, 6)}
    missing = list(repos.features.missing("a", feature, "new"))
    assert [i.kind for i in missing] == ["product"] * 6 + ["frame"] * 6
    assert repos.features.covered("a", feature, "new") == {"product": (0, 6), "frame": (0, 6)}
    again = made.images[2].img_id
    assert [i.item_id for i in repos.features.missing("a", feature, key, again=[again])] == [again]
    extra = replace(made.frames[0], frame_id=uuid.uuid4(), ts=8.0)
    repos.videos.write_frames([extra])
    assert [i.item_id for i in repos.features.missing("a", feature, key)] == [extra.frame_id]
    assert [i.label for i in repos.features.missing("a", feature, key)] == ["clip0 at 8.0 s"]


@pytest.mark.parametrize("feature", ["masks", "embeddings", "keypoints"])
def test_a_feature_is_announced_once_for_each_picture(repos: Store, feature: Feature) -> None:
    made = world.make(repos, job_id="a")
    world.write(repos, made)
    before = Outbox(repos.database).counts("a")
    assert repos.features.announce("a", feature, "new") == 0
    assert repos.features.announce("a", feature, world.KEYS[feature]) == 12
    assert repos.features.announce("a", feature, world.KEYS[feature]) == 0
    new = [e for e in Outbox(repos.database).events("a") if before.get(e.name) is None]
    assert {e.item for e in new} == {str(i.img_id) for i in made.images} | {
        str(f.frame_id) for f in made.frames
    }
    assert {e.event_id.version for e in new} == {4}
    assert {e.name for e in new} <= set(PER_ITEM)
    for event in new:
        contracts.validate(event.name, delivered(Outgoing(**{n: getattr(event, n) for n in _SENT})))


_SENT = ("event_id", "job_id", "seq", "name", "payload", "created_at")


def test_keyframes_are_announced_video_by_video(repos: Store) -> None:
    made = world.make(repos, job_id="a")
    world.write(repos, made)
    assert repos.features.announce_keyframes("a") == len(made.videos)
    assert repos.features.announce_keyframes("a") == 0
    found = {
        e.item: e.payload for e in Outbox(repos.database).events("a") if e.name == "videos.keyframes.ready"
    }
    for video in made.videos:
        frames = sorted((f for f in made.frames if f.video_id == video.video_id), key=lambda f: f.ts)
        assert found[str(video.video_id)]["frames"] == [
            {"frame_id": str(f.frame_id), "ts": f.ts, "local_path": f.local_path} for f in frames
        ]


def test_rows_that_fail_are_counted_and_named(repos: Store, database: Database) -> None:
    made = world.make(repos, job_id="a")
    world.write(repos, made)
    for rows in ("products", "images", "frames", "candidates", "matches"):
        counts = repos.row_checks.count("a", rows)
        assert (counts.rows > 0, counts.failures, counts.examples) == (True, 0, ())
    assert repos.row_checks.count("a", "candidates").parents == len(made.frames)
    assert repos.row_checks.count("none", "frames") == RowCounts(0, 0, 0, ())
    bad = made.frames[1].frame_id
    database.commit(
        Statement("UPDATE stored_frames SET sharpness = NULL, local_path = '' WHERE frame_id = %s", [bad])
    )
    counts = repos.row_checks.count("a", "frames")
    assert (counts.failures, counts.examples) == (1, (f"{bad}: local_path, sharpness",))


def test_a_mask_done_again_replaces(repos: Store) -> None:
    made = world.make(repos)
    world.write(repos, made)
    item = made.images[0].img_id
    repos.features.write("masks", [Mask(item, "product", "m1", False, None, 0.0, "time limit")])
    found = {m.item_id: m for m in repos.features.masks(made.job.job_id, "m1", "product")}
    assert (found[item].has_mask, found[item].reason) == (False, "time limit")


# -- vectors ---------------------------------------------------------------------------------------------


@given(
    batch=st.integers(1, 13), views=st.lists(st.integers(1, 4), min_size=6, max_size=6), gray=st.booleans()
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_vectors_are_read_as_written_and_views_stay_together(
    repos: Store, batch: int, views: list[int], gray: bool
) -> None:
    key, made = "h", world.make(repos, job_id="a")
    if repos.jobs.get("a").status == "queued":
        world.write(repos, made)
        repos.features.register_model(Model(key, "classic", "embedder", 5))
    repos.database.commit(Statement("DELETE FROM embeddings WHERE model_key = %s", [key]))
    wanted = {
        (f.frame_id, v): (world.unit(100 * n + v, 5), world.unit(n, 5) if gray else None)
        for n, f in enumerate(made.frames) for v in range(views[n])
    }  # fmt: skip
    repos.features.write(
        "embeddings",
        (Embedding(item, "frame", key, "classic", v, rgb, grey) for (item, v), (rgb, grey) in wanted.items()),
    )
    seen: list[uuid.UUID] = []
    for part in repos.features.iter_embeddings("a", "frame", key, batch):
        assert part.rgb.dtype == np.float32
        assert part.rgb.flags.c_contiguous
        assert (part.gray is not None) == gray
        for row, item in enumerate(part.ids):
            rgb, grey = wanted[(item, int(part.views[row]))]
            assert np.array_equal(part.rgb[row], rgb)
            assert grey is None or (part.gray is not None and np.array_equal(part.gray[row], grey))
        assert not set(part.ids) & set(seen)
        seen += part.ids
    assert len(seen) == sum(views)


def test_vectors_that_are_not_of_unit_length_are_found(repos: Store) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    repos.features.register_model(Model("e2", "classic", "embedder", 4))
    unit, long, short = world.unit(1, 4), world.unit(1, 4) * 1.01, world.unit(1, 3)
    a, b, c, d = (i.img_id for i in made.images[:4])
    repos.features.write(
        "embeddings",
        [
            Embedding(a, "product", "e2", "classic", 0, unit, unit),
            Embedding(b, "product", "e2", "classic", 0, unit, long),
            Embedding(c, "product", "e2", "classic", 0, long),
        ],
    )
    assert set(repos.features.vector_faults(job, "e2")) == {b, c}
    assert repos.features.vector_faults(job, "e1") == []
    with pytest.raises(StoreError):
        # The index of the model holds vectors of its dimension alone.
        repos.features.write("embeddings", [Embedding(d, "product", "e2", "classic", 0, short)])


def test_one_active_model(repos: Store, database: Database) -> None:
    for key in ("a", "b"):
        repos.features.register_model(Model(key, "classic", "embedder", 4, {"v": 1}, active=True))
        repos.features.register_model(Model(key, "classic", "embedder", 4, {"v": 2}))
    assert [(m.model_key, m.active, m.spec) for m in repos.features.models("embedder")] == [
        ("a", False, {"v": 2}), ("b", True, {"v": 2}),
    ]  # fmt: skip
    repos.features.register_model(Model("s", "classic", "segmenter", active=True))
    assert repos.features.model("b").active
    with pytest.raises(ModelError) as caught:
        repos.features.model("c")
    assert caught.value.code == "model.unregistered"
    indexes = database.value("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'")
    assert indexes == 2


def test_the_beginning_of_a_vector_too_long_for_an_index_is_indexed(repos: Store, database: Database) -> None:
    made = world.make(repos)
    world.write(repos, made)
    dim = HNSW_MAX_DIM + 100
    assert repos.features.register_model(Model("wide", "x", "embedder", dim))
    index = database.value("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%subvector%'")
    assert f"halfvec({HNSW_MAX_DIM})" in index
    repos.features.write(
        "embeddings",
        [
            Embedding(i.img_id, "product", "wide", "x", 0, world.unit(n, dim))
            for n, i in enumerate(made.images)
        ],
    )
    found = repos.features.ann_search("wide", world.unit(2, dim), 1)
    assert found[0].img_id == made.images[2].img_id


def test_search_over_all_jobs(repos: Store, database: Database) -> None:
    made = world.make(repos)
    job = made.job.job_id
    world.write(repos, made)
    count, dim, k = 600, 16, 10
    repos.features.register_model(Model("e3", "classic", "embedder", dim))
    many = [replace(made.images[0], img_id=uuid.uuid4(), sha256=world.sha(str(n))) for n in range(count)]
    repos.catalogue.write_images(job, many)
    vectors = np.stack([world.unit(n, dim) for n in range(2 * count)])
    repos.features.write(
        "embeddings",
        [
            *(Embedding(i.img_id, "product", "e3", "classic", v, vectors[2 * n + v])
              for n, i in enumerate(many) for v in range(2)),
            *(Embedding(f.frame_id, "frame", "e3", "classic", 0, world.unit(5000 + n, dim))
              for n, f in enumerate(made.frames)),
        ],
    )  # fmt: skip
    database.commit()
    query = world.unit(5000, dim)
    best = (vectors @ query).reshape(count, 2).max(axis=1)
    order = np.argsort(-best, kind="stable")[:k]
    exact = repos.features.exact_search("e3", query, k)
    assert [n.img_id for n in exact] == [many[n].img_id for n in order]
    assert np.allclose([n.similarity for n in exact], best[order], atol=1e-6)
    near = repos.features.ann_search("e3", query, k)
    assert len(near) == k
    assert len({n.img_id for n in near} & {n.img_id for n in exact}) >= k - 1
    assert {n.product_id for n in near} == {made.products[0].product_id}
    recall = repos.features.recall_of_ann(job, "e3", k)
    assert (recall.queries, recall.wanted) == (6, 60)
    assert recall.value is not None
    assert recall.value >= 0.9
    with pytest.raises(ModelError) as caught:
        repos.features.ann_search("e3", world.unit(1, dim + 1), k)
    assert caught.value.code == "model.dimension"


def test_search_uses_the_index(repos: Store, database_url: str) -> None:
    world.write(repos, world.make(repos))
    scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'embeddings_hnsw_%%'"
    # Statistics are told by the session that made them.
    with Database(database_url, max_connections=1) as database:
        before = database.value(scans, [])
        assert len(Features(database).ann_search("e1", world.unit(1), 3)) == 3
        database.value("SELECT pg_stat_force_next_flush()")
        assert database.value(scans, []) > before
    assert repos.features.recall_of_ann("nowhere", "e1").value is None
