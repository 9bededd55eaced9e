"""Attention over REST and at the command line: of a video, in results, and why there is none."""

from __future__ import annotations

import uuid

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pvm_cli.main import app as command
from pvm_core.errors import ModelError
from pvm_resources.store.assembly import Store
from pvm_resources.store.attention import FaceSet, VideoAttention
from tests.pvm_resources.world import World

TRACK = {
    "track": 0, "first_s": 0.0, "last_s": 3.9, "score": 0.8, "coverage": 0.75, "confidence": 0.6,
    "blinks": [[1.2, 1.4]], "blinks_per_minute": 15.0, "perclos": None, "perclos_window_s": 4.0,
    "seconds": [[0, 0.9, 1.0, 1.0, 0.8, 1.0], [1, None, 0.2, None, None, None], [2, 0.7, 1.0, 0.6, 0.8, 1]],
}  # fmt: skip


def _analysed(
    repos: Store, video_id: uuid.UUID, score: float | None, key: str = "a1", faces: str = "f1"
) -> None:
    repos.attention.write_set(FaceSet(video_id, faces, "blazeface", 25.0, 100, 90, 1.5), [])
    presenter = None if score is None else 0
    tracks = [] if score is None else [{**TRACK, "score": score}]
    repos.attention.write_attention(VideoAttention(video_id, faces, key, score, 0.75, 0.6, presenter, tracks))


def _seen_in_both(repos: Store, world: World) -> None:
    """One of the matches of the first video becomes one of the second."""
    query = (
        "UPDATE matches SET video_id = %s WHERE match_id = (SELECT match_id FROM matches ORDER BY 1 LIMIT 1)"
    )
    repos.database.commit(lambda cursor: cursor.execute(query, [world.videos[1].video_id]).rowcount)


def test_a_video_has_its_curve_and_gaps_are_null(client: TestClient, done: World, repos: Store) -> None:
    video = done.videos[0].video_id
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    _analysed(repos, video, 0.8)
    repos.attention.finish_asset("job-1", "attention", {}, complete=True)
    found = client.get(f"/v1/videos/{video}/attention").json()
    assert (found["status"], found["reason"], found["job_id"]) == ("complete", None, "job-1")
    assert (found["score"], found["presenter"]) == (0.8, 0)
    (track,) = found["tracks"]
    assert [second["score"] for second in track["seconds"]] == [0.9, None, 0.7]
    assert track["blinks"] == [[1.2, 1.4]]
    assert client.get(found["matches_url"]).json()["items"]
    other = client.get(f"/v1/videos/{done.videos[1].video_id}/attention").json()
    assert (other["status"], other["reason"]["code"]) == ("missing", "attention.left_out")


def test_two_detectors_are_told_beside_each_other(client: TestClient, done: World, repos: Store) -> None:
    video, other = (one.video_id for one in done.videos)
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    _analysed(repos, video, 0.8)
    repos.attention.finish_asset("job-1", "attention", {}, complete=True, detector="blazeface")
    repos.attention.begin("job-1", "a2", "haar", "f2", main=False)
    _analysed(repos, video, 0.6, "a2", "f2")
    repos.attention.finish_asset("job-1", "attention", {}, complete=True, detector="haar", main=False)
    found = client.get(f"/v1/videos/{video}/attention").json()
    assert found["score"] == 0.8
    shown = [(one["detector"], one["main"], one["status"], one["score"]) for one in found["variants"]]
    assert shown == [("blazeface", True, "complete", 0.8), ("haar", False, "complete", 0.6)]
    assert [one["frames_with_face"] for one in found["variants"]] == [90, 90]
    assert [len(one["tracks"]) for one in found["variants"]] == [1, 1]
    rows = client.get(f"/v1/results?min_score=0&video={video}").json()["items"]
    assert {row["attention"] for row in rows} == {0.8}, "the first one counts"
    left_out = client.get(f"/v1/videos/{other}/attention").json()["variants"]
    assert [one["status"] for one in left_out] == ["missing", "missing"]
    error = ModelError("model.missing", "blazeface", "gone", "Pull it")
    repos.attention.fail("job-1", error.to_dict(), "haar", main=False)
    again = client.get(f"/v1/videos/{other}/attention").json()
    assert again["variants"][1]["reason"]["code"] == "model.missing"
    assert again["reason"]["code"] == "attention.left_out", "the first one is as it was"


def test_what_is_missing_says_why(client: TestClient, done: World, repos: Store) -> None:
    address = f"/v1/videos/{done.videos[0].video_id}/attention"
    never = client.get(address).json()
    assert (never["status"], never["reason"]["code"]) == ("missing", "attention.not_run")
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    assert client.get(address).json()["status"] == "running"
    repos.attention.fail("job-1", ModelError("model.missing", "blazeface", "gone", "Pull it").to_dict())
    failed = client.get(address).json()
    assert (failed["status"], failed["reason"]["code"]) == ("failed", "model.missing")
    assert failed["tracks"] == []
    assert client.get(f"/v1/videos/{uuid.uuid4()}/attention").status_code == 404
    assert client.get(address, params={"job": "another"}).json()["status"] == "missing"


def test_results_have_the_attention_of_their_video_and_its_order(
    client: TestClient, done: World, repos: Store
) -> None:
    first, second = (video.video_id for video in done.videos)
    _seen_in_both(repos, done)
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    _analysed(repos, first, 0.2)
    _analysed(repos, second, 0.9)
    rows: list[tuple[str, float | None]] = []
    address = "/v1/results?min_score=0&sort=attention&limit=1"
    while address:
        page = client.get(address).json()
        rows += [(row["video_id"], row["attention"]) for row in page["items"]]
        address = page["next"]
    every = client.get("/v1/results?min_score=0").json()["items"]
    assert len(rows) == len(every)
    assert [attention for _, attention in rows] == sorted((r["attention"] for r in every), reverse=True)
    assert dict(rows) == {str(first): 0.2, str(second): 0.9}


def test_unknown_attention_comes_last(client: TestClient, done: World, repos: Store) -> None:
    first, second = (video.video_id for video in done.videos)
    _seen_in_both(repos, done)
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    _analysed(repos, first, None)
    _analysed(repos, second, 0.0)
    rows = client.get("/v1/results?min_score=0&sort=attention").json()["items"]
    known = [row["attention"] for row in rows]
    assert known == sorted(known, key=lambda a: (a is None, a))
    assert set(known) == {0.0, None}


@pytest.fixture
def at_the_command_line(database_url: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    return CliRunner()


def test_the_command_shows_scores_curves_and_reasons(
    at_the_command_line: CliRunner, done: World, repos: Store
) -> None:
    runner = at_the_command_line
    never = runner.invoke(command, ["attention", "--job", "job-1"])
    assert never.exit_code == 2
    assert "attention.not_run" in never.output
    repos.attention.begin("job-1", "a1", "blazeface", "f1")
    _analysed(repos, done.videos[0].video_id, 0.8)
    shown = runner.invoke(command, ["attention", "--job", "job-1"])
    assert "0.80" in shown.output
    assert "missing" in shown.output
    curve = runner.invoke(command, ["attention", "clip0", "--job", "job-1"])
    assert "unknown" in curve.output
    assert "0.70" in curve.output
    repos.attention.begin("job-1", "a2", "haar", "f2", main=False)
    _analysed(repos, done.videos[0].video_id, 0.6, "a2", "f2")
    both = runner.invoke(command, ["attention", "--job", "job-1"]).output
    assert both.index("blazeface") < both.index("haar")
    assert "0.60" in both
    refused = runner.invoke(command, ["attention", "--job", "job-1", "--detector", "haar"])
    assert "--run" in refused.output
    whole = runner.invoke(command, ["attention", "clip0", "--job", "job-1", "--json"])
    assert '"coverage": 0.75' in whole.output
