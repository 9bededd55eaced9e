"""A product's life, end to end: posted, found in a video that was here before, its similar ones, deleted."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import dagster as dg
import pytest
from fastapi.testclient import TestClient
from small_case import product_picture, write_clip
from stand import LOCATION, Stand

from pvm_api.app import create_app
from pvm_assets.industry.asset import PARTITIONS_NAME
from pvm_assets.jobs import INDUSTRY_JOB_NAME
from pvm_resources.media.store import MediaStore
from pvm_resources.store.api_keys import Keys
from sensors.catalogue import order_pictures
from tests.standins.pictures import PictureServer, whole

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    """A shop's picture server."""
    with PictureServer() as server:
        monkeypatch.setenv("PVM_FETCH_ALLOW", f"127.0.0.1:{server.port}")
        yield server


@pytest.fixture
def client(fresh: Stand) -> Iterator[TestClient]:
    """A caller who may do everything."""
    key = Keys(fresh.repos.database).create("all", ["admin"])[1]
    app = create_app(fresh.settings, fresh.repos.database, MediaStore(fresh.settings.media))
    with TestClient(app, headers={"X-API-Key": key}) as found:
        yield found


@pytest.fixture
def crawled(fresh: Stand, tmp_path: Path) -> str:
    """Slug of an industry with a completed job whose catalogue lacks the product that its clip shows."""
    case = tmp_path / "case"
    (case / "videos").mkdir(parents=True)
    write_clip(case / "videos" / "clip.mp4", 0, product_picture(0))
    with (case / "products.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["product_id", "title", "image"])
        for n in (2, 3):
            cv2.imwrite(str(case / f"p{n}.jpg"), product_picture(n)[..., ::-1])
            rows.writerow([f"p{n}", f"Gối số {n}", f"p{n}.jpg"])
    slug = fresh.repos.industries.ensure(fresh.industry).slug
    sources = {"products": str(case / "products.csv"), "videos": str(case / "videos")}
    job = fresh.repos.jobs.create(slug, sources, "crawl")
    outcome = fresh.run(job)
    assert outcome.status == "completed", outcome.error
    # What was crawled is not there to be crawled again.
    (case / "videos" / "clip.mp4").unlink()
    return slug


def _matches(client: TestClient, slug: str, product: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/results?industry={slug}&min_score=0.8&product={product}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_products_life(fresh: Stand, client: TestClient, pictures: PictureServer, crawled: str) -> None:
    jpeg = cv2.imencode(".jpg", product_picture(0)[..., ::-1])[1].tobytes()
    pictures.put("/new.jpg", whole(jpeg))
    url = f"http://127.0.0.1:{pictures.port}/new.jpg"
    assert order_pictures(fresh.repos) == [], "nothing changed yet"
    body = {"id": "new", "industry": crawled, "name": "Gối số mới", "category": "Gối", "pictures": [url]}
    product = client.post("/v1/products", json=body).json()["product_id"]

    first = "(SELECT min(product_id::text)::uuid FROM job_products)"
    latest = f"UPDATE products SET src = %s WHERE product_id = {first}"
    with fresh.repos.database.transaction() as cursor:
        cursor.execute(latest, ["ebay"])
    assert order_pictures(fresh.repos) == [], "results of a shop's API are not hidden by a job without them"
    with fresh.repos.database.transaction() as cursor:
        cursor.execute(latest, ["file"])
    (job,) = order_pictures(fresh.repos)
    assert order_pictures(fresh.repos) == [], "it is ordered once"
    outcome = fresh.run(fresh.repos.jobs.get(job))
    assert outcome.status == "completed", outcome.error
    (match,) = _matches(client, crawled, product)
    assert (match["video"], match["status"]) == ("clip", "accepted")
    assert fresh.repos.jobs.counts(job).products == 3, "with what it is to be told from"
    row = client.get(f"/v1/products/{product}").json()
    assert (row["title"], row["category"]) == ("Gối số mới", "Gối"), "a job of what is stored changes no row"
    assert order_pictures(fresh.repos) == [], "its pictures are matched"

    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions(PARTITIONS_NAME, [crawled])
        made = (
            LOCATION.job(INDUSTRY_JOB_NAME)
            .get_definition()
            .execute_in_process(instance=instance, partition_key=crawled, run_config=QUIET)
        )
        assert made.success
    similar = client.get(f"/v1/recommendations/{product}/similar?by=both&min_score=0").json()["items"]
    assert {one["product"]["product"] for one in similar} == {"p2", "p3"}
    assert all(one["parts"].keys() == {"look", "text"} for one in similar)
    other = similar[0]["product_id"]
    beside = client.get(f"/v1/recommendations/{other}").json()["items"]
    assert product in {one["product_id"] for one in beside}

    media = MediaStore(fresh.settings.media)
    files = [key for key in media.keys() if product in key]  # noqa: SIM118 - no mapping
    assert files
    began = time.monotonic()
    assert client.delete(f"/v1/products/{product}").json()["effect"] == "deleted"
    assert _matches(client, crawled, product) == []
    for query in ("similar?by=visual&min_score=0", "similar?by=text&min_score=0"):
        found = client.get(f"/v1/recommendations/{other}/{query}").json()["items"]
        assert product not in {one["product_id"] for one in found}
    beside = client.get(f"/v1/recommendations/{other}").json()["items"]
    assert product not in {one["product_id"] for one in beside}
    assert client.get(f"/v1/products/{product}").status_code == 404
    assert not any(media.exists(key) for key in files)
    assert fresh.repos.appearances.report(crawled) is None
    print(f"gone everywhere {time.monotonic() - began:.2f} s after the order")


def test_a_picture_that_a_change_names_joins_a_job_of_its_catalogue(
    fresh: Stand, client: TestClient, pictures: PictureServer, crawled: str
) -> None:
    pictures.put("/more.jpg", whole(cv2.imencode(".jpg", product_picture(9)[..., ::-1])[1].tobytes()))
    known = client.get(f"/v1/products?industry={crawled}&limit=1").json()["items"][0]["product_id"]
    url = f"http://127.0.0.1:{pictures.port}/more.jpg"
    assert client.patch(f"/v1/products/{known}", json={"pictures": [url]}).status_code == 200
    (job,) = order_pictures(fresh.repos)
    assert fresh.run(fresh.repos.jobs.get(job)).status == "completed"
    assert len(client.get(f"/v1/products/{known}").json()["pictures"]) == 2
