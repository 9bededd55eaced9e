"""The schema: up, down and up again with data; what the store itself refuses; the founding views."""

from __future__ import annotations

import importlib
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pvm_core.errors import StoreError
from pvm_core.scoring.reason import Reason
from pvm_core.text import Line
from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.store.assembly import Store
from tests.pvm_resources import world

#: Tables that no finished job fills by itself.
_EMPTY = {
    *("labels", "product_tombstones", "product_text_embeddings", "text_models"),
    *("product_recommendations", "industry_reports"),
    *("attention_videos", "attention_jobs", "face_series", "face_tracks", "face_sets"),
    *("product_stream", "stream_consumers", "stream_totals"),
    *("job_pictures", "source_tokens", "source_budgets"),
    *("inbox", "api_keys", "api_secrets", "idempotency", "review_sessions", "uploads"),
    *("endpoints", "deliveries", "delivery_streams", "picture_lines", "job_traces"),
}
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


def _rows(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of ours, without times and sequence numbers."""
    found = {}
    for (table,) in database.tuples(f"{_TABLES} AND table_type = 'BASE TABLE' ORDER BY 1"):
        columns = database.tuples(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s "
            "AND data_type NOT LIKE 'timestamp%%' AND column_name NOT IN ('seq', 'event_id') ORDER BY 1",
            [table],
        )
        names = ", ".join(f"{name}::text" for (name,) in columns)
        # Events of the catalogue belong to no job, which the tables before 0019 cannot say.
        only = " WHERE job_id IS NOT NULL" if table == "outbox" else ""
        found[str(table)] = sorted(database.tuples(f"SELECT {names} FROM {table}{only}"), key=str)
    return found


def test_up_down_up_with_data(empty_database_url: str) -> None:
    assert migrate.current(empty_database_url) is None
    assert migrate.upgrade(empty_database_url) == migrate.head() == migrate.current(empty_database_url)
    with Database(empty_database_url) as database:
        repos = Store.over(database)
        world.write(repos, world.make(repos, job_id="job-1"))
        before = _rows(database)
        assert {table for table, rows in before.items() if not rows} <= _EMPTY, "a table stayed empty"
    migrate.downgrade(empty_database_url)
    assert migrate.current(empty_database_url) is None
    with psycopg.connect(empty_database_url) as connection:
        left = {row[0] for row in connection.execute(_TABLES)}
    assert left <= {"alembic_version"}
    migrate.upgrade(empty_database_url)
    with Database(empty_database_url) as database:
        repos = Store.over(database)
        world.write(repos, world.make(repos, job_id="job-1"))
        assert _rows(database) == before


def test_each_revision_keeps_the_data_of_the_one_before(database_url: str) -> None:
    with Database(database_url) as database:
        repos = Store.over(database)
        world.write(repos, world.make(repos, job_id="job-1"))
        before = _rows(database)
    migrate.downgrade(database_url, "0001")
    assert migrate.current(database_url) == "0001"
    with psycopg.connect(database_url) as connection:
        base = {row[0] for row in connection.execute(_TABLES)} & before.keys()
    migrate.upgrade(database_url)
    with Database(database_url) as database:
        after = _rows(database)
    assert {table: after[table] for table in base} == {table: before[table] for table in base}


def test_hashes_of_text_keep_their_values_and_take_backslashes(repos: Store, empty_database_url: str) -> None:
    made = world.make(repos, job_id="job-1")
    hashes = "SELECT given_name, encode(name_hash, 'hex') FROM job_videos ORDER BY given_name"
    migrate.upgrade(empty_database_url, "0006")
    with Database(empty_database_url) as database:
        # The job's row as that release wrote it: later columns are not there yet.
        database.commit(
            Statement("INSERT INTO industries (slug, name) VALUES ('x', 'x')"),
            Statement("INSERT INTO jobs (job_id, industry, partition_key) VALUES ('job-1', 'x', 'x|job-1')"),
        )
        videos = Store.over(database).videos
        videos.set_videos("job-1", made.videos, made.members)
        before = database.tuples(hashes)
        migrate.upgrade(empty_database_url)
        assert database.tuples(hashes) == before
        more = [replace(made.members[0], given_name=name) for name in (r"a\b", r"\x41", r"\134", "\\")]
        videos.set_videos("job-1", made.videos, [*made.members, *more])
        after = database.tuples(hashes)
    assert dict(after) == {m.given_name: world.sha(m.given_name) for m in (*made.members, *more)}
    migrate.downgrade(empty_database_url, "0006")
    with Database(empty_database_url) as database:
        assert database.tuples(hashes) == after


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("too few keypoints to compare the geometry", Reason("keypoints.none")),
        (
            "looks alike (0.93) without a geometric proof: geometry 0.04 is under 0.10",
            Reason("geometry.low", {"value": 0.04, "least": 0.1}, alike=0.93),
        ),
        (
            "another product fits the same place with 0.83 against 0.85, a lead of 0.05 is asked for",
            Reason("rival", {"rival_score": 0.83, "best": 0.85, "margin": 0.05}),
        ),
        ("the model clip is not calibrated", Reason("model.uncalibrated", {"model": "clip"})),
        ("similarity (none) is under 0.82", Reason("deep.none", {"least": 0.82})),
        ("similarity 0.50 is under 0.82", Reason("deep.low", {"value": 0.5, "least": 0.82})),
        (
            "best pair 0.90 is under 0.92 and only 1 of 2 shots agree",
            Reason("best.alone", {"best": 0.9, "least": 0.92, "shots": 1, "needed": 2}),
        ),
        ("best pair 0.74 is under 0.80", Reason("best.low", {"best": 0.74, "least": 0.8})),
        ("best pair 0.94, seen in 4 shots", Reason("accepted.alone", {"best": 0.94, "shots": 4})),
        ("best pair 0.87, seen in one shot", Reason("accepted.alone", {"best": 0.87, "shots": 1})),
        ("best pair 0.81, and 2 shots agree", Reason("accepted.shots", {"best": 0.81, "shots": 2})),
        ("said by nobody: 100 %", Reason("legacy", {"text": "said by nobody: 100 %"})),
    ],
)
def test_a_reason_in_words_becomes_data(text: str, reason: Reason) -> None:
    revision = importlib.import_module("sql.versions.0009_match_record")
    code, values = revision._parsed(text)
    assert Reason.from_row(code, values) == reason
    if "one shot" not in text:
        assert revision._text(code, values) == text


def test_matches_and_evidence_of_the_release_before_are_read(database_url: str) -> None:
    with Database(database_url) as database:
        repos = Store.over(database)
        made = world.make(repos, job_id="job-1")
        world.write(repos, made)
        migrate.downgrade(database_url, "0006")
        with database.transaction() as cursor:
            cursor.execute("UPDATE matches SET reason = 'best pair 0.74 is under 0.80' WHERE score = 0.6")
            cursor.execute('UPDATE pair_evidence SET raw = raw || \'{"place": [1, 2], "flow_spread": 0.1}\'')
        migrate.upgrade(database_url)
        found = repos.matching.matches("job-1")
        assert [m.reason.code for m in found] == ["legacy", "best.low", "legacy"]
        assert found[1].reason.values == {"best": 0.74, "least": 0.8}
        assert [m.best.shot for m in found] == [m.best.shot for m in world.matches(made)] == [0, 1, 2]
        raw = [raw for _, raw in repos.matching.evidence("job-1", "v1")]
        assert all(set(one or ()) == {"inliers", "footprint"} for one in raw)
        assert repos.jobs.get("job-1").rules is None


def test_several_processes_upgrade_at_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(migrate.upgrade, [empty_database_url] * 4)) == {migrate.head()}


def test_a_schema_of_a_later_release_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError) as caught:
        migrate.upgrade(database_url)
    assert caught.value.code == "store.newer"


def test_a_server_without_pgvector_says_so(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "PGVECTOR_MIN", (99, 0, 0))
    with pytest.raises(StoreError) as caught:
        migrate.upgrade(empty_database_url)
    assert caught.value.code == "store.pgvector"
    assert "99.0.0" in caught.value.remedy
    assert migrate.current(empty_database_url) is None


def test_a_database_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        migrate.upgrade(f"host={tmp_path} user=u password=hunter2 dbname=d")
    assert (caught.value.code, caught.value.retryable) == ("store.unreachable", True)
    assert "hunter2" not in str(caught.value)


def test_the_command_line_of_alembic_works(empty_database_url: str) -> None:
    root = Path(migrate.__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "sql/alembic.ini", "upgrade", "head"],
        cwd=root, env={"PVM_DATABASE_URL": empty_database_url, "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert migrate.current(empty_database_url) == migrate.head()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE matches SET status = 'review' WHERE status = 'accepted'",
        "UPDATE matches SET status = 'accepted' WHERE status = 'rejected'",
        "UPDATE matches SET score = 0.79999999 WHERE status = 'accepted'",
        "UPDATE matches SET score = 0.8 WHERE status = 'review'",
        "UPDATE matches SET score = 1.01 WHERE status = 'accepted'",
        "UPDATE matches SET status = 'perhaps'",
        "UPDATE matches SET accept = NULL",
        "UPDATE jobs SET status = 'lost'",
        "UPDATE jobs SET phase = 'cooking'",
        "UPDATE jobs SET phase = 'matching'",
        "UPDATE stored_frames SET local_path = NULL WHERE status = 'kept'",
        "UPDATE stored_frames SET reason = '' WHERE status = 'rejected'",
        "UPDATE masks SET mask_path = NULL WHERE has_mask",
        "UPDATE masks SET kind = 'frame' WHERE kind = 'product'",
        "UPDATE keypoint_sets SET kp_blob_path = NULL",
        "UPDATE embeddings SET model_key = 'unknown'",
        "UPDATE embeddings SET emb_gray = '[1,2]' WHERE emb_gray IS NOT NULL",
        "UPDATE pair_scores SET score_pair = 1.5",
        "UPDATE candidate_pairs SET rank = 0",
        "UPDATE check_verdicts SET severity = 'FATAL'",
        "UPDATE videos SET sha256 = 'xyz'",
        "INSERT INTO job_products SELECT job_id, gen_random_uuid(), 0 FROM jobs",
        "INSERT INTO outbox (event_id, job_id, name) "
        "SELECT gen_random_uuid(), job_id, name FROM outbox WHERE item = ''",
        "DELETE FROM products",
        "DELETE FROM industries",
        "DELETE FROM models",
    ],
)
def test_the_store_itself_refuses(repos: Store, database: Database, change: str) -> None:
    world.write(repos, world.make(repos))
    with pytest.raises(StoreError) as caught:
        database.commit(Statement(change))
    assert caught.value.code == "store.refused"
    assert not caught.value.retryable


def test_deleting_a_picture_deletes_every_derivative(repos: Store, database: Database) -> None:
    made = world.make(repos)
    world.write(repos, made)
    item = made.images[0].img_id
    read = Line("Trà\x00 20 g", (0.0, 0.0, 9.0, 0.0, 9.0, 4.0, 0.0, 4.0), 0.98)
    repos.catalogue.write_lines("reader", {item: [read], uuid.uuid4(): [read]})
    repos.catalogue.write_lines("reader", {item: []})
    assert repos.catalogue.lines("reader", [item]) == {item: [replace(read, text="Trà\ufffd 20 g")]}
    assert repos.catalogue.lines("another", [item]) == {}
    database.commit(Statement("DELETE FROM stored_images WHERE img_id = %s", [item]))
    for table, column in [
        ("masks", "item_id"), ("embeddings", "item_id"), ("keypoint_sets", "item_id"),
        ("candidate_pairs", "img_id"), ("pair_evidence", "img_id"), ("pair_scores", "img_id"),
        ("matches", "best_img_id"), ("job_images", "img_id"), ("image_sources", "img_id"),
        ("picture_lines", "img_id"),
    ]:  # fmt: skip
        assert database.value(f"SELECT count(*) FROM {table} WHERE {column} = %s", [item]) == 0, table


def test_every_foreign_key_has_an_index(database: Database) -> None:
    # Deleting a parent otherwise reads the whole child table.
    bare = database.tuples(
        """
        SELECT c.conrelid::regclass::text, a.attname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        WHERE c.contype = 'f' AND NOT EXISTS (
            SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = ANY (c.conkey))
        """
    )
    # Models are never deleted.
    assert bare == [("embeddings", "model_key")]


def test_the_founding_views(repos: Store, database: Database) -> None:
    made = world.make(repos)
    world.write(repos, made)
    columns = {
        view: [row[0] for row in database.tuples(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "ORDER BY attnum",
            [view],
        )]
        for view in ("product_images", "video_frames")
    }  # fmt: skip
    assert columns["product_images"] == [
        "img_id", "product_id", "local_path", "emb_rgb", "emb_gray", "kp_blob_path",
        "masked_local_path", "phash", "created_at",
    ]  # fmt: skip
    assert columns["video_frames"] == [
        "frame_id", "video_id", "ts", "local_path", "emb_rgb", "emb_gray", "kp_blob_path",
        "masked_local_path", "created_at",
    ]  # fmt: skip
    images = database.tuples(
        "SELECT img_id, local_path, vector_dims(emb_rgb), vector_dims(emb_gray), kp_blob_path "
        "FROM product_images"
    )
    assert sorted(images) == sorted(
        (i.img_id, i.local_path, world.DIM, world.DIM, f"kp/{i.img_id}.npz") for i in made.images
    )
    frames = database.tuples("SELECT frame_id, ts, emb_rgb IS NOT NULL, emb_gray IS NULL FROM video_frames")
    assert sorted(frames) == sorted((f.frame_id, f.ts, True, True) for f in made.frames)
    assert database.value("SELECT count(masked_local_path) FROM video_frames") == 3
    database.commit(Statement("UPDATE models SET active = false"))
    assert database.value("SELECT count(*) FROM product_images WHERE emb_rgb IS NULL") == len(made.images)
