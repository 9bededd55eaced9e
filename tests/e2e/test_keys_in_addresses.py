"""A job whose addresses all carry a key: only what fetches them knows it, nothing that is read or logged."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import tiny
from fastapi.testclient import TestClient
from harness import Pvm
from psycopg import sql

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import load_settings
from pvm_resources.store.api_keys import Keys
from tests.standins.serving import Answer, Request, StandIn

pytestmark = pytest.mark.long
JOB = "with-keys"
INDUSTRY = "Hộp có khóa"
KEY = "geheimnisvoll0815"
#: Where whole addresses are kept: what fetches them, now or in a rerun, reads them there.
FETCHED_FROM = {
    "image_sources.source_ref", "job_pictures.source_ref", "jobs.request", "source_answers.answer",
    "source_answers.key", "stored_images.source_ref",
}  # fmt: skip


class Shop(StandIn):
    """Serves a feed, pictures and clips to those who give the key; one picture is never there."""

    def __init__(self, case: tiny.Tiny) -> None:
        super().__init__()
        self._case = case

    def answer(self, request: Request) -> Answer:
        if KEY not in request.query.values():
            return Answer(403)
        name = request.path.lstrip("/")
        if name.endswith("feed.csv"):
            return Answer(200, self._feed(), "text/csv")
        folder = self._case.videos if name.endswith(".mp4") else self._case.products.parent
        kind = "video/mp4" if name.endswith(".mp4") else "image/jpeg"
        try:
            return Answer(200, (folder / name).read_bytes(), kind)
        except OSError:
            return Answer(404)

    def _feed(self) -> bytes:
        with self._case.products.open(encoding="utf-8") as file:
            rows = [
                (row["product_id"], f"{self.url}/{row['image']}?sig={KEY}") for row in csv.DictReader(file)
            ]
        rows += [("lost", f"{self.url}/images/none.jpg?sig={KEY}"), ("bad", f"ftp://u:{KEY}@x/a.jpg?s={KEY}")]
        rows += [("worse", f"https://u:{KEY}@x:port/a.jpg?s={KEY}")]
        return "\n".join(("id,image_link", *map(",".join, rows))).encode()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tiny.write_case(tmp_path / "case", products=3, clips=2)) as server:
        yield server


def test_a_key_in_an_address_is_known_to_the_fetch_alone(pvm: Pvm, shop: Shop, tmp_path: Path) -> None:
    pvm.kept_up()
    clips = tmp_path / "clips.txt"
    links = [f"{shop.url}/{name}.mp4?token={KEY}" for name in ("c0", "c1", "gone")]
    clips.write_text("\n".join((*links, f"https://t.co/x?k={KEY}")))
    feeds = ",".join(f"{shop.url}/{name}?key={KEY}" for name in ("feed.csv", "other-feed.csv"))
    done = pvm(
        *("run", "--industry", INDUSTRY, "--products", feeds, "--videos", clips, "--job", JOB),
        PVM_FETCH_ALLOW="127.0.0.1", PVM_YTDLP_EXTRACTORS="generic", PVM_YTDLP_SLEEP="0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    failed = pvm(
        *("run", "--industry", INDUSTRY, "--products", f"{shop.url}/none.csv?key={KEY}"),
        *("--videos", links[0], "--job", "failed"),
        PVM_FETCH_ALLOW="127.0.0.1", PVM_YTDLP_EXTRACTORS="generic", PVM_YTDLP_SLEEP="0",
    )  # fmt: skip
    assert failed.returncode != 0
    said = [done, failed, *(pvm(*command) for command in (
        ("status", "--job", JOB), ("status", "--job", JOB, "--json"), ("industries",),
        ("results", "--job", JOB, "--min-score", "0", "--format", "json"),
    ))]  # fmt: skip
    for one in said:
        assert KEY not in one.stdout + one.stderr
    status = json.loads(said[3].stdout)["jobs"][0]
    assert {s["source"] for s in status["sources"] if s["source"] != "links"} == {
        f"{shop.url}/feed.csv?…", f"{shop.url}/other-feed.csv?…",
    }  # fmt: skip
    assert [d["item"] for d in status["dead_letters"]] == [
        f"{shop.url}/images/none.jpg?… (picture 1 of product lost)"
    ]
    with EmbeddedServer(pvm.home) as server:
        assert _columns_with_the_key(server, "pvm") == FETCHED_FROM
        assert _columns_with_the_key(server, "dagster") == set()
        assert KEY not in _rest_answers(pvm.home, server)
    data = pvm.home / "pg" / "data"
    files = [path for path in pvm.home.rglob("*") if path.is_file() and not path.is_relative_to(data)]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def _columns_with_the_key(server: EmbeddedServer, database: str) -> set[str]:
    """Columns of any table that hold the key in some row, as text."""
    found: set[str] = set()
    with psycopg.connect(server.uri(database)) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables "
            "USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        for table, column in columns:
            asked = sql.SQL("SELECT count(*) FROM {} WHERE strpos({}::text, %s) > 0").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            row = connection.execute(asked, [KEY]).fetchone()
            if row and row[0]:
                found.add(f"{table}.{column}")
    return found


def _ends(operation: dict[str, Any] | None) -> bool:
    """Whether it is there and its answer has an end: a stream sends rows of the outbox, read above."""
    if operation is None:
        return False
    return "text/event-stream" not in operation["responses"]["200"].get("content", {})


def _rest_answers(home: Path, server: EmbeddedServer) -> str:
    """What a caller with the scope `read` gets from every address that lists or shows something."""
    settings = load_settings(home / "none.env", home=home)
    with Database(server.uri("pvm")) as database:
        app = create_app(settings, database, MediaStore(settings.media))
        headers = {"X-API-Key": Keys(database).create("reader", ["read"])[1]}
        with TestClient(app, headers=headers) as client:
            slug = client.get("/v1/industries").json()["items"][0]["slug"]
            places = {"job_id": JOB, "name": slug, "slug": slug, "industry": slug}
            paths = [path for path, kinds in app.openapi()["paths"].items() if _ends(kinds.get("get"))]
            filled = [re.sub(r"\{(\w+)\}", lambda m: places.get(m[1], "{"), path) for path in paths]
            answers = {path: client.get(path) for path in filled if "{" not in path}
    assert answers[f"/v1/jobs/{JOB}"].json()["request"]["products"][0].endswith("?…")
    assert sum(answer.status_code == 200 for answer in answers.values()) > 8
    return "\n".join(answer.text for answer in answers.values())
