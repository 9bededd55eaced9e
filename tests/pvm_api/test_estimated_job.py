"""What a job would take, over HTTP: the numbers, and that nothing is stored, used or asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import Settings, load_settings
from tests.pvm_core.make_video import drawing, panned, write_clip

_URL = "https://shop.example/products.csv"
_ROWS = (
    b"product_id,title,image\np1,Pillow,https://shop.example/p1.jpg\np2,Shoe,https://shop.example/p2.jpg\n"
)


def _asked(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/jobs/estimate", json={"industry": "giày", **body})


def _stored(database: Database) -> list[int]:
    tables = ("industries", "jobs", "inbox", "source_answers", "source_budgets")
    return [int(database.value(f"SELECT count(*) FROM {table}")) for table in tables]


def test_a_job_is_estimated_and_nothing_is_stored(client: TestClient, database: Database) -> None:
    before = _stored(database)
    answer = _asked(client, products=["ebay", "amazon"], videos=["youtube"], top=30)
    assert answer.status_code == 200
    found = answer.json()
    ebay, amazon, youtube = found["sources"]
    assert [call["what"] for call in ebay["calls"]] == ["searches", "listings"]
    assert ebay["calls_total"] == {"least": 31, "most": 31}
    assert ebay["quota"] == {"used": 0, "a_day": 5_000, "left": 5_000, "enough": "yes"}
    assert (amazon["calls_total"], amazon["quota"]) == ({"least": 3, "most": 3}, None)
    assert youtube["records"] == {"least": 30, "most": 30}
    assert {one["basis"] for one in found["stages"]} == {"default"}
    assert 0 < found["seconds"]["least"] < found["seconds"]["most"]
    assert found["disk_free"] > 0
    assert _stored(database) == before


def test_it_refuses_what_a_job_is_refused_for(client: TestClient) -> None:
    for body, code in (
        ({"products": ["/etc/passwd"], "videos": ["youtube"]}, "source.forbidden"),
        ({"products": [_URL], "videos": ["youtube"], "topp": 5}, "request.invalid"),
        ({"products": ["upload:" + "0" * 64 + ".csv"]}, "upload.unknown"),
        ({"industry": " ", "products": [_URL]}, "industry.name"),
    ):
        job = client.post("/v1/jobs", json={"industry": "giày", **body})
        answer = _asked(client, **body)
        assert (answer.status_code, answer.json()["code"]) == (job.status_code, job.json()["code"]), code
        assert answer.status_code == 422


def test_an_upload_is_counted_without_being_used(client: TestClient, settings: Settings) -> None:
    source = client.post("/v1/uploads?filename=a.csv", content=_ROWS).json()["source"]
    file = settings.home / "uploads" / source.removeprefix("upload:")
    os.utime(file, (1_000_000, 1_000_000))
    found = _asked(client, products=[source], videos=["youtube"]).json()["sources"][0]
    assert (found["records"], found["pictures"]) == ({"least": 2, "most": 2},) * 2
    assert found["counted"]
    assert file.stat().st_mtime == 1_000_000


def test_files_of_a_root_are_counted_and_no_path_is_shown(
    database: Database, settings: Settings, tokens: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "secret-root"
    (root / "clips").mkdir(parents=True)
    write_clip(root / "clips" / "a.mp4", panned(drawing(1, 240, 320), 4.0))
    (root / "bad.csv").write_text("nothing,of,use\n1,2,3\n")
    (root / "good.csv").write_bytes(_ROWS)
    rooted = load_settings(tmp_path / "none.env", home=settings.home, api_source_roots=str(root))
    app = create_app(rooted, database, MediaStore(settings.media))
    with TestClient(app, headers={"X-API-Key": tokens["read"]}, raise_server_exceptions=False) as reader:
        good = _asked(reader, products=[str(root / "good.csv")], videos=[str(root / "clips")])
        bad = _asked(reader, products=[str(root / "bad.csv")], videos=[str(root / "clips")])
    videos = good.json()["sources"][1]
    assert videos["records"] == {"least": 1, "most": 1}
    assert videos["video_s"]["most"] == pytest.approx(4, abs=0.3)
    assert bad.status_code == 422
    for answer in (good, bad):
        assert "secret-root" not in answer.text
