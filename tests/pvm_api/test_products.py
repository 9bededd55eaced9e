"""Products over HTTP: whole, filtered, in pages."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pvm_core import ids
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Product
from tests.pvm_resources.world import World

AT = datetime(2026, 3, 4, tzinfo=UTC)


def _product(n: int, **more: Any) -> Product:
    given = {"title": f"Pillow {n}", "price": f"{n}.50", "currency": "USD", "category": "Pillows", **more}
    return Product(ids.product_id("shop", str(n)), "file", "shop", str(n), **given)


@pytest.fixture
def goods(repos: Store, done: World) -> list[Product]:
    """Four products beside those of the finished job."""
    made = [
        _product(1, availability="in_stock", brand="Soft", attributes={"color": "blue"}, updated_at=AT),
        _product(2, availability="out_of_stock", description="Warm"),
        _product(3, category="Lamps", currency="EUR"),
        _product(4, price="", currency=""),
    ]
    repos.catalogue.set_products(done.job.job_id, [*done.products, *made])
    return made


def _ids(client: TestClient, query: str) -> set[str]:
    answer = client.get(f"/v1/products?{query}")
    assert answer.status_code == 200, answer.text
    return {one["product"] for one in answer.json()["items"]}


def test_a_product_is_shown_whole(client: TestClient, goods: list[Product]) -> None:
    found = client.get(f"/v1/products/{goods[0].product_id}").json()
    assert {name: found[name] for name in ("title", "price", "currency", "category", "brand")} == {
        "title": "Pillow 1", "price": "1.50", "currency": "USD", "category": "Pillows", "brand": "Soft",
    }  # fmt: skip
    assert (found["availability"], found["attributes"]) == ("in_stock", {"color": "blue"})
    assert datetime.fromisoformat(found["updated_at"]) == AT
    plain = client.get(f"/v1/products/{goods[3].product_id}").json()
    assert plain["updated_at"] == plain["created_at"], "as new as its row where its source says nothing"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=pillows", {"1", "2", "4"}),
        ("brand=SOFT", {"1"}),
        ("availability=in_stock&availability=out_of_stock", {"1", "2"}),
        ("price_min=2&price_max=3.5", {"2", "3"}),
        ("price_min=0&currency=eur", {"3"}),
        ("text=pillow 2", {"2"}),
        ("source=ebay", set()),
        ("category=Lamps&availability=in_stock", set()),
    ],
)
def test_filters(client: TestClient, goods: list[Product], query: str, expected: set[str]) -> None:
    assert _ids(client, query) == expected


def test_an_industrys_products_and_pages_that_lose_none(
    client: TestClient, goods: list[Product], done: World
) -> None:
    everything = {"1", "2", "3", "4", "P0", "P1", "P2"}
    assert _ids(client, f"industry={done.industry.slug}") == everything
    found: list[str] = []
    following: str | None = "/products?limit=2"
    while following:
        page = client.get(following).json()
        found += [one["product"] for one in page["items"]]
        following = page["next"]
    assert (len(found), set(found)) == (7, everything)
    listed = {one["product"]: one for one in client.get("/v1/products").json()["items"]}
    assert client.get(listed["P0"]["product_api_url"]).json()["product"] == "P0"
    assert listed["P0"]["image_url"].rpartition("/")[2] in {str(image.img_id) for image in done.images}
    assert listed["1"]["image_url"] is None


def test_what_is_no_filter_is_refused(shared_client: TestClient) -> None:
    for query in ("colour=red", "availability=maybe", "price_min=-1", "currency=dollar"):
        assert shared_client.get(f"/v1/products?{query}").status_code == 422
    assert shared_client.get("/v1/products?industry=none").status_code == 404
    assert shared_client.get(f"/v1/products/{uuid.uuid4()}").json()["code"] == "product.unknown"
