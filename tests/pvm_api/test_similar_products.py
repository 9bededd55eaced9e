"""What looks like a product: over HTTP, with filters, without itself and its near-duplicates."""

from __future__ import annotations

import uuid
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from pvm_assets.work.pictures import store_picture
from pvm_core import ids
from pvm_core.images import Rgb
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.store.galleries import GalleryPicture
from pvm_resources.store.records import Product
from tests.pvm_api.drawn import embed

#: Products of two looks: even numbers are of the first, odd ones of the second.
_COUNT = 12


def _drawn(look: int, seed: int) -> Rgb:
    """A picture of a look; pictures of one look share their colours, and each has marks of its own."""
    colours = np.random.default_rng(look).integers(0, 255, (4, 4, 3), np.uint8)
    picture = cv2.resize(colours, (240, 240), interpolation=cv2.INTER_NEAREST)
    rng = np.random.default_rng(1_000 + seed)
    for x, y in rng.integers(20, 220, (9, 2)):
        cv2.circle(picture, (int(x), int(y)), 18, (255, 255, 255) if rng.integers(2) else (0, 0, 0), -1)
    return np.ascontiguousarray(picture)


def _png(rgb: Rgb) -> bytes:
    return cv2.imencode(".png", rgb)[1].tobytes()


@pytest.fixture
def shop(repos: Store, media: MediaStore) -> list[uuid.UUID]:
    """Products with one embedded picture each; the last is a smaller copy of the first one's picture."""
    repos.industries.ensure("shop")
    job = repos.jobs.create("shop", {"products": "p.csv", "videos": "clips"}, "job-s").job_id
    products = [
        Product(ids.product_id("shop", str(n)), "file", "shop", str(n), f"Product {n}",
                category="Even" if n % 2 == 0 else "Odd", price=f"{n}", currency="USD",
                availability="in_stock" if n % 3 else "out_of_stock")
        for n in range(_COUNT + 1)
    ]  # fmt: skip
    repos.catalogue.set_products(job, products)
    pictures = [_png(_drawn(n % 2, n)) for n in range(_COUNT)]
    pictures.append(_png(cv2.resize(_drawn(0, 0), (180, 180), interpolation=cv2.INTER_AREA)))
    stored = [
        store_picture(media, GalleryPicture(product.product_id, 0, "p", None, data=data))
        for product, data in zip(products, pictures, strict=True)
    ]
    repos.catalogue.write_images(job, stored)
    embed(repos, {image.img_id: media.get(image.local_path) for image in stored})
    return [product.product_id for product in products]


def _similar(client: TestClient, product: uuid.UUID, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/v1/recommendations/{product}/similar?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_what_looks_alike_comes_first_and_itself_never(client: TestClient, shop: list[uuid.UUID]) -> None:
    found = _similar(client, shop[0], "min_score=0&limit=5")
    assert {one["category"] for one in found} == {"Even"}
    scores = [one["similarity_score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    ids_found = {one["product_id"] for one in found}
    assert str(shop[0]) not in ids_found
    assert str(shop[_COUNT]) not in ids_found, "its copy is left out"
    first = found[0]
    assert first["product"]["title"].startswith("Product")
    assert client.get(first["product"]["image_url"]).status_code == 200
    assert "cosine" in first["why"]
    assert first["embedding_updated_at"]
    alias = client.get(f"/recommendations/{shop[0]}/similar?min_score=0&limit=5").json()
    assert [one["product_id"] for one in alias["items"]] == [one["product_id"] for one in found]


def test_near_duplicates_are_one_item(client: TestClient, shop: list[uuid.UUID]) -> None:
    copy = str(shop[_COUNT])
    grouped = _similar(client, shop[0], "min_score=0&near_duplicates=group")
    assert copy in {one["product_id"] for one in grouped}
    other = _similar(client, shop[2], "min_score=0&limit=100")
    assert len(other) == _COUNT - 1
    pair = {str(shop[0]), copy}
    (one,) = [one for one in other if one["product_id"] in pair]
    assert {one["product_id"], *one["near_duplicates"]} == pair


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=odd", {1, 3, 5, 7, 9, 11}),
        ("price_min=4&price_max=6", {4, 5, 6}),
        ("availability=out_of_stock", {3, 6, 9}),
        ("source=ebay", set()),
        ("industry=shop&currency=usd&category=odd&price_max=5", {1, 3, 5}),
    ],
)
def test_filters_give_all_that_match(
    client: TestClient, shop: list[uuid.UUID], query: str, expected: set[int]
) -> None:
    found = _similar(client, shop[0], f"min_score=0&limit=100&{query}")
    assert {one["product_id"] for one in found} == {str(shop[n]) for n in expected}
    few = _similar(client, shop[0], f"min_score=0&limit=2&{query}")
    assert len(few) == min(2, len(expected))


def test_a_threshold_and_what_cannot_be_answered(
    client: TestClient, shop: list[uuid.UUID], repos: Store, database: Database
) -> None:
    default = _similar(client, shop[0], "limit=100")
    assert all(one["similarity_score"] >= 0.75 for one in default)
    assert len(default) < len(_similar(client, shop[0], "min_score=0&limit=100"))
    assert client.get(f"/v1/recommendations/{uuid.uuid4()}/similar").json()["code"] == "product.unknown"
    made = client.post("/v1/products", json={"id": "new", "title": "New"}).json()["product_id"]
    assert client.get(f"/v1/recommendations/{made}/similar").json()["items"] == [], "its words are like none"
    unseen = client.get(f"/v1/recommendations/{made}/similar?by=visual")
    assert (unseen.status_code, unseen.json()["code"]) == (409, "model.other")
    assert client.get(f"/v1/recommendations/{shop[0]}/similar?min_score=2").status_code == 422


def test_a_deleted_product_is_gone_at_once(client: TestClient, shop: list[uuid.UUID]) -> None:
    before = {one["product_id"] for one in _similar(client, shop[0], "min_score=0&limit=100")}
    assert str(shop[4]) in before
    assert client.delete(f"/v1/products/{shop[4]}").status_code == 200
    after = {one["product_id"] for one in _similar(client, shop[0], "min_score=0&limit=100")}
    assert after == before - {str(shop[4])}
