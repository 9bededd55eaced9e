"""The code location over a real database: what it stores, says when it fails, and leaves alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pvm_attention.checks import CHECKS
from pvm_attention.location import DETECTOR, JOB_NAME, defs
from pvm_core import ids
from pvm_jobs.job_ids import PARTITIONS_NAME
from pvm_resources.gpu import GPU
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.retention.purge import Purge
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Job, JobVideo, Video
from tests.pvm_assets.collector import Collector

ASSETS = {"face_tracks", "face_landmarks", "head_pose", "gaze", "blinks", "attention"}


@dataclass
class Place:
    """A home of its own with one job."""

    store: Store
    media: MediaStore
    job: Job
    instance: dg.DagsterInstance

    def run(self, detector: str = "") -> dg.ExecuteInProcessResult:
        """One run of the whole location on the job, under the detector of its rules or another one."""
        self.instance.add_dynamic_partitions(PARTITIONS_NAME, [self.job.partition_key])
        made = defs.resolve_job_def(JOB_NAME)
        return made.execute_in_process(
            partition_key=self.job.partition_key,
            instance=self.instance,
            raise_on_error=False,
            tags={DETECTOR: detector} if detector else {},
        )

    def rows_of_matching(self) -> list[Any]:
        """Every row of every table but those of this location."""
        own = (
            "face_sets",
            "face_tracks",
            "face_series",
            "attention_videos",
            "attention_jobs",
            "outbox",
            "phase_events",
        )
        tables = self.store.database.tuples(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY(%s) "
            "ORDER BY 1",
            [list(own)],
        )
        query = "SELECT t::text FROM {} t ORDER BY 1"
        return [(name, self.store.database.tuples(query.format(name))) for (name,) in tables]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where traces go."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    home = tmp_path / "home"
    monkeypatch.setenv("PVM_HOME", str(home))
    monkeypatch.setenv("PVM_MODELS_DIR", str(tmp_path / "no-models"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    with Database(database_url, max_connections=4) as database:
        store = Store.over(database)
        slug = store.industries.ensure("Làm đẹp").slug
        job, media = store.jobs.create(slug, {}, "j1"), MediaStore(str(home / "media"))
        yield Place(store, media, job, dg.DagsterInstance.ephemeral())


@pytest.fixture
def with_videos(place: Place, real_faces: Path, tmp_path: Path) -> Callable[..., Place]:
    def give(*names: str) -> Place:
        videos, members = [], []
        for n, name in enumerate(names):
            path = tmp_path / name
            if (real_faces / name).is_file():
                shutil.copyfile(real_faces / name, path)
            else:
                path.write_bytes(b"no video at all")
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            videos.append(Video(ids.video_id(digest), digest, "folder"))
            members.append(JobVideo(name, videos[-1].video_id, str(path), position=n))
        place.store.videos.set_videos(place.job.job_id, videos, members)
        return place

    return give


def _use(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    monkeypatch.setenv("PVM_MODELS_DIR", str(models))


def test_the_location_holds_six_assets_of_one_group_with_a_check_each() -> None:
    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert keys == ASSETS
    assert {check[0] for check in CHECKS} == ASSETS
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name == "attention"
        assert node.partitions_def == dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
        assert node.description
        assert node.owners
    (step,) = [one for one in defs.resolve_job_def(JOB_NAME).graph.node_defs if one.name == "faces"]
    assert set(GPU["op_tags"]) <= set(step.tags)
    assert step.pool not in (None, GPU["pool"]), "matching's GPU steps never wait for it"  # type: ignore[attr-defined]
    parents = {k.to_user_string() for k in graph.get(dg.AssetKey("attention")).parent_keys}
    assert parents == {"head_pose", "gaze", "blinks"}


def test_without_networks_the_job_says_what_is_missing_and_matching_is_untouched(
    with_videos: Callable[..., Place],
) -> None:
    place = with_videos("single_face.mp4")
    before = place.rows_of_matching()
    assert not place.run().success
    state = place.store.attention.job("j1")
    assert state is not None
    assert state.status == "failed"
    assert state.reason is not None
    assert state.reason["code"] == "model.missing"
    assert "pvm models pull" in state.reason["remedy"]
    assert place.rows_of_matching() == before


def test_an_analysis_is_of_its_jobs_trace_and_says_which_step_failed(
    place: Place, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    trace, request = "0af7651916cd43dd8448eb211c80319c", "1" * 16
    place.store.job_traces.begin("j1", f"00-{trace}-{request}-01")
    assert not place.run().success
    spans = {span.name: span for span in collector.spans}
    run, step = spans[f"run {JOB_NAME}"], spans["step faces"]
    assert (run.trace, run.parent) == (trace, request)
    assert (step.parent, step.failed) == (run.span, True)
    assert {span.service for span in spans.values()} == {"pvm-attention"}


def test_an_environment_without_opentelemetry_analyses_untraced(
    place: Place, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert not place.run().success
    state = place.store.attention.job("j1")
    assert state is not None
    assert state.reason is not None
    assert state.reason["code"] == "attention.upstream", "its own reason, not that of the traces"
    assert not collector.spans


def test_a_job_without_videos_says_so(place: Place) -> None:
    assert not place.run().success
    state = place.store.attention.job("j1")
    assert state is not None
    assert state.reason is not None
    assert state.reason["code"] == "attention.upstream"


@pytest.mark.attention
def test_a_job_is_analysed_once_and_a_rerun_computes_nothing(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4", "no_face.mp4", "head-pose-face-detection-male.gif", "broken.mp4")
    _use(monkeypatch, face_models)
    before = place.rows_of_matching()
    result = place.run()
    assert result.success
    assert place.rows_of_matching() == before
    failed = [c.check_name for c in result.get_asset_check_evaluations() if not c.passed]
    assert failed == ["every_video_looked_at"], "the broken file is named"
    state = place.store.attention.job("j1")
    assert state is not None
    assert state.status == "complete"
    assert set(state.assets) == ASSETS
    assert list(state.assets["face_tracks"]["figures"]["missing"]) == ["broken.mp4"]
    found = place.store.attention.videos("j1", state.attention_key)
    scores = {
        m.given_name: found[m.video_id].score for m in place.store.videos.members("j1") if m.video_id in found
    }
    assert scores["no_face.mp4"] is None
    assert scores["single_face.mp4"] is not None
    assert scores["single_face.mp4"] > 0.6
    single = next(one for one in found.values() if one.score == scores["single_face.mp4"])
    (track,) = single.tracks
    assert len(track["blinks"]) == 1
    assert [second[0] for second in track["seconds"]] == [0, 1, 2]
    assert all(key.endswith(".npz") for key in place.media.keys("faces")), "numbers only"
    events = [row[0] for row in place.store.database.tuples("SELECT name FROM outbox ORDER BY name")]
    assert events == ["attention.analysis.completed", *["video.attention.ready"] * 3]
    assert place.run().success
    again = place.store.attention.job("j1")
    assert again is not None
    assert again.assets["face_tracks"]["figures"]["reused"] == 3
    assert again.assets["gaze"]["figures"]["computed"] == 0
    assert place.store.attention.videos("j1", again.attention_key) == found


@pytest.mark.attention
def test_nonsense_is_said_and_a_rerun_fills_it_in(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4")
    _use(monkeypatch, face_models)
    assert place.run().success
    state = place.store.attention.job("j1")
    assert state is not None
    for key in place.media.keys("faces"):
        place.media.put(key, b"nonsense")
    place.store.database.commit(lambda cursor: cursor.execute("DELETE FROM face_series").rowcount)
    assert not place.run().success
    failed = place.store.attention.job("j1")
    assert failed is not None
    assert failed.reason is not None
    assert failed.reason["code"] == "attention.nonsense"
    assert place.run().success
    filled = place.store.attention.job("j1")
    assert filled is not None
    assert (filled.status, filled.reason) == ("complete", None)


@pytest.mark.attention
def test_another_detector_is_another_set_beside_the_first(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4")
    _use(monkeypatch, face_models)
    assert place.run().success
    first = place.store.attention.job("j1")
    place.store.industries.set_rules(place.job.industry, "default", {"attention_detector": "haar"})
    assert place.run().success
    second = place.store.attention.job("j1")
    assert first is not None
    assert second is not None
    assert first.attention_key != second.attention_key
    detectors = place.store.database.tuples("SELECT detector FROM face_sets ORDER BY 1")
    assert detectors == [("blazeface",), ("haar",)]
    (one,), (other,) = (place.store.attention.videos("j1", s.attention_key).values() for s in (first, second))
    assert one.score == pytest.approx(other.score, abs=0.05)


@pytest.mark.attention
def test_two_detectors_on_one_job_stand_side_by_side(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4", "no_face.mp4")
    _use(monkeypatch, face_models)
    assert place.run().success
    first = place.store.attention.job("j1")
    result = place.run("haar")
    assert result.success
    assert len(result.get_asset_check_evaluations()) == len(CHECKS)
    job = place.store.attention.job("j1")
    assert job is not None
    assert first is not None
    assert (job.attention_key, job.status, job.updated_at) == (
        first.attention_key, "complete", first.updated_at
    ), "the one that counts is as it was"  # fmt: skip
    assert set(job.variants) == {"blazeface", "haar"}
    video = next(v for v in place.store.videos.members("j1") if v.given_name == "single_face.mp4")
    main, other = place.store.attention.variants(video.video_id, "j1")
    assert [(one.detector, one.main) for one in (main, other)] == [("blazeface", True), ("haar", False)]
    assert main.found is not None
    assert other.found is not None
    assert main.found.score == pytest.approx(other.found.score, abs=0.05)
    for step, row in (("faces", "| unknown |"), ("attention", "| 0.")):
        shown = result.asset_materializations_for_node(step)[0].metadata
        figures = json.loads(json.dumps(shown["detectors"].value))
        assert list(figures) == ["blazeface", "haar"]
        assert figures["haar"]["frames with a face"] > 60
        table = str(shown["detectors by video"].value)
        assert "| single_face.mp4 | 0." in table
        assert row in table
    told = place.store.database.tuples("SELECT payload->>'detector' FROM outbox WHERE name LIKE 'video%'")
    assert sorted(row[0] for row in told) == ["blazeface"] * 2 + ["haar"] * 2


@pytest.mark.attention
def test_a_second_detector_that_fails_leaves_the_first(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4")
    _use(monkeypatch, face_models)
    assert not place.run("haar").success, "there is none yet that it could stand beside"
    assert place.store.attention.job("j1") is None
    assert place.run().success
    assert not place.run("nobody-knows-it").success
    job = place.store.attention.job("j1")
    assert job is not None
    assert (job.status, job.reason) == ("complete", None)
    failed = job.variants["nobody-knows-it"]
    assert (failed["status"], failed["reason"]["code"]) == ("failed", "attention.detector")


@pytest.mark.attention
def test_yunet_finds_the_faces_that_blazeface_finds(
    with_videos: Callable[..., Place], face_models: Path, real_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = real_faces.parent / "weights" / "yunet" / "yunet_n_640_640.onnx"
    if not weights.is_file():
        pytest.skip(
            "weights of YuNet are not on this machine: no package of a registry is known to ship them"
        )
    place = with_videos("single_face.mp4")
    _use(monkeypatch, face_models)
    assert place.run().success
    assert place.run(f"yunet:{weights}").success
    (video,) = place.store.videos.members("j1")
    main, other = place.store.attention.variants(video.video_id, "j1")
    assert other.detector == "yunet:yunet_n_640_640"
    assert main.found is not None
    assert other.found is not None
    assert main.found.score == pytest.approx(other.found.score, abs=0.05)


@pytest.mark.attention
def test_faces_are_kept_as_long_as_the_rule_says(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4")
    _use(monkeypatch, face_models)
    assert place.run().success
    now = place.store.attention.now()
    assert not place.store.attention.aged({place.job.industry: 30.0}, now)
    ((video, key, files),) = place.store.attention.aged({place.job.industry: 0.0}, now)
    assert sorted(files) == sorted(place.media.keys("faces"))
    place.store.attention.forget(video, key)
    assert place.store.attention.of_video(video) is None


@pytest.mark.attention
def test_a_purge_of_faces_leaves_neither_rows_nor_files(
    with_videos: Callable[..., Place], face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = with_videos("single_face.mp4")
    _use(monkeypatch, face_models)
    assert place.run().success
    purge = Purge(place.store.database, place.media, load_settings())
    assert not purge.run().purged, "30 days are not over"
    (counted,) = purge.forget_faces(dry_run=True).purged
    assert counted.counts["faces"] == 1
    assert list(place.media.keys("faces"))
    assert purge.forget_faces().purged == (counted,)
    assert not list(place.media.keys("faces"))
    left = place.store.database.tuples("SELECT 1 FROM face_sets UNION ALL SELECT 1 FROM attention_videos")
    assert not left
    assert place.run().success, "a rerun looks again"
    assert list(place.media.keys("faces"))


def test_a_completed_job_waits_for_its_analysis_and_again_after_it_ran_again(place: Place) -> None:
    attention, jobs = place.store.attention, place.store.jobs
    assert not attention.waiting(5)
    jobs.set_running("j1", "r1")
    jobs.complete("j1")
    ((key, ended),) = attention.waiting(5)
    assert key == place.job.partition_key
    attention.begin("j1", "a1", "blazeface", "f1")
    assert not attention.waiting(5), "it is at work"
    attention.finish_asset("j1", "attention", {}, complete=True)
    assert not attention.waiting(5)
    place.store.database.commit(
        lambda cursor: cursor.execute("UPDATE jobs SET finished_at = now() + interval '1 s'").rowcount
    )
    ((again, later),) = attention.waiting(5)
    assert (again, later > ended) == (key, True)
