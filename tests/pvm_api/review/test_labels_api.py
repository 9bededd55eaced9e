"""Labels over the API and on the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pvm_api.app import create_app
from pvm_cli.main import app as cli
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import load_settings
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from tests.pvm_api.drawn import jpeg
from tests.pvm_resources import world
from tests.pvm_resources.world import World


@pytest.fixture
def done(repos: Store, tmp_path: Path) -> World:
    """A finished job with pictures."""
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    media = MediaStore(str(tmp_path / "media"))
    for n, image in enumerate(made.images):
        media.put(image.local_path, jpeg(n))
    for n, frame in enumerate(made.frames):
        media.put(str(frame.local_path), jpeg(100 + n))
    return made


@pytest.fixture
def client(database: Database, tmp_path: Path, done: World) -> Iterator[TestClient]:
    """A caller who may judge."""
    settings = load_settings(tmp_path / "none.env", home=tmp_path, api_rate=100_000)
    token = Keys(database).create("n8n", ["review"])[1]
    made = create_app(settings, database, MediaStore(settings.media))
    with TestClient(made, headers={"X-API-Key": token}) as found:
        yield found


def test_a_verdict_is_given_shown_counted_and_taken_back(client: TestClient, done: World) -> None:
    right, wrong, _ = (match.match_id for match in world.matches(done))
    path = f"/v1/matches/{right}/label"
    given = client.post(path, json={"verdict": "accept"}).json()["label"]
    assert (given["verdict"], given["who"], given["score"], given["product"]) == ("accept", "n8n", 0.9, "P0")
    assert client.get(f"/v1/matches/{right}").json()["label"] == "accept"
    client.post(f"/v1/matches/{wrong}/label", json={"verdict": "reject"})
    labels = [one["label"] for one in client.get("/v1/results?min_score=0&job=job-1").json()["items"]]
    assert labels == ["accept", "reject", None]
    (figures,) = client.get("/v1/labels/precision").json()["items"]
    assert (figures["right"], figures["wrong"], figures["precision"]) == (1, 0, 1.0)
    assert figures["bound"] == pytest.approx(0.05)
    page = client.get("/v1/labels?limit=1").json()
    assert [one["verdict"] for one in page["items"]] == ["reject"]
    assert [one["verdict"] for one in client.get(page["next"]).json()["items"]] == ["accept"]
    assert client.post(path, json={"verdict": "undo"}).json() == {"match_id": str(right), "label": None}
    again = client.post(path, json={"verdict": "undo"})
    assert (again.status_code, again.json()["code"]) == (409, "label.none")
    assert client.post(path, json={"verdict": "none"}).status_code == 422
    history = client.get("/v1/labels?history=true&industry=goi-cong-thai-hoc").json()["items"]
    assert [one["verdict"] for one in history] == ["none", "reject", "accept"]
    assert client.get("/v1/labels?industry=none").status_code == 404


def test_the_command_line(
    client: TestClient, done: World, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    runner = CliRunner()
    assert runner.invoke(cli, ["labels", "list"]).exit_code == 0
    for match, verdict in zip(world.matches(done), ("accept", "reject"), strict=False):
        client.post(f"/v1/matches/{match.match_id}/label", json={"verdict": verdict})
    listed = runner.invoke(cli, ["labels", "list", "-i", "gối công thái học", "--format", "json"])
    assert [one["verdict"] for one in json.loads(listed.stdout)] == ["reject", "accept"]
    table = runner.invoke(cli, ["labels", "list"])
    assert "1 of 1 judged accepted match right" in table.output.replace("\n", " ")
    out = tmp_path / "learn"
    done_ = runner.invoke(cli, ["labels", "export", str(out)])
    assert done_.exit_code == 0, done_.output
    assert (out / "pairs.csv").read_text().count("\n") == 3
    results = runner.invoke(cli, ["results", "--job", "job-1", "--min-score", "0", "--format", "json"])
    assert [one["label"] for one in json.loads(results.stdout)] == ["accept", "reject", None]
    assert [one["verdict"] for one in json.loads(results.stdout)] == ["accept", "reject", None]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [("P1", "accepted", "review")]),
        (["--status", "rejected"], [("P0", "rejected", "accepted"), ("P2", "rejected", "rejected")]),
        (["--verdict", "reject"], [("P0", "rejected", "accepted")]),
        (["--verdict", "none"], [("P2", "rejected", "rejected")]),
        (["--verdict", "accept", "--status", "rejected"], []),
        (["--min-score", "0.8"], [("P0", "rejected", "accepted")]),
    ],
)
def test_the_command_line_shows_what_people_decided(
    client: TestClient,
    done: World,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    expected: list[tuple[str, str, str]],
) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    for match, verdict in zip(world.matches(done), ("reject", "accept"), strict=False):
        client.post(f"/v1/matches/{match.match_id}/label", json={"verdict": verdict})
    found = CliRunner().invoke(cli, ["results", "--job", "job-1", "--format", "csv", *options])
    rows = csv.DictReader(io.StringIO(found.stdout))
    assert [(row["product"], row["status"], row["scored_status"]) for row in rows] == expected
    table = CliRunner().invoke(cli, ["results", "--job", "job-1", *options])
    assert ("verdict" in table.stdout) == any(product != "P2" for product, *_ in expected)


def test_rest_gives_the_queue_closest_calls_first(client: TestClient, repos: Store, done: World) -> None:
    queue = "/v1/results?sort=doubt&verdict=none&status=accepted&status=review"

    def found(query: str) -> list[tuple[str, float]]:
        first = client.get(f"{query}&limit=1").json()
        items = list(first["items"])
        while first["next"]:
            first = client.get(first["next"]).json()
            items += first["items"]
        return [(one["product"], one["score"]) for one in items]

    assert found(queue) == [("P0", 0.9), ("P1", 0.6)]
    assert found("/v1/results?sort=doubt&min_score=0") == [("P0", 0.9), ("P1", 0.6), ("P2", 0.3)]
    with repos.database.transaction() as cursor:
        cursor.execute("UPDATE matches SET score = 0.79 WHERE score = 0.6")
    assert found(queue) == [("P1", 0.79), ("P0", 0.9)]
    assert found("/v1/results?sort=best&min_score=0") == [("P0", 0.9), ("P1", 0.79), ("P2", 0.3)]
    (figures,) = client.get("/v1/labels/precision").json()["items"]
    assert figures["open"] == 2
    client.post(f"/v1/matches/{world.matches(done)[0].match_id}/label", json={"verdict": "accept"})
    assert found(queue) == [("P1", 0.79)]
    assert client.get("/v1/results?sort=worst").status_code == 422


def test_rest_returns_no_match_as_accepted_that_people_judged_wrong(client: TestClient, done: World) -> None:
    wrong, right, _ = (match.match_id for match in world.matches(done))
    client.post(f"/v1/matches/{wrong}/label", json={"verdict": "reject"})
    client.post(f"/v1/matches/{right}/label", json={"verdict": "accept"})

    def found(query: str) -> list[tuple[str, str, str, str | None]]:
        items = client.get(f"/v1/results?{query}").json()["items"]
        return [(one["product"], one["status"], one["scored_status"], one["verdict"]) for one in items]

    p0, p1 = ("P0", "rejected", "accepted", "reject"), ("P1", "accepted", "review", "accept")
    p2 = ("P2", "rejected", "rejected", None)
    assert found("status=accepted") == [p1]
    assert found("status=rejected&status=review") == [p0, p2]
    assert found("verdict=reject&verdict=none") == [p0, p2]
    assert found("verdict=reject&status=accepted") == []
    assert client.get("/v1/results?verdict=wrong").status_code == 422
    one = client.get(f"/v1/matches/{wrong}").json()
    assert (one["status"], one["scored_status"], one["score"]) == ("rejected", "accepted", 0.9)
    assert client.get("/v1/jobs/job-1").json()["counts"]["accepted"] == 1
    first = client.get("/v1/results?status=rejected&limit=1").json()
    assert [one["product"] for one in client.get(first["next"]).json()["items"]] == ["P2"]
    other = client.get(first["next"].replace("status=rejected", "status=rejected&verdict=none"))
    assert other.status_code == 422, "a cursor belongs to its filters"
