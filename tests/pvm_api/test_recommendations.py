"""Products like a product by their words and by both, and what to show beside one: over HTTP."""

from __future__ import annotations

import uuid
from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pvm_core.recommending.ranking import Ranked
from pvm_core.text_vectors.model import TextModel
from pvm_demo.shop import make_shop
from pvm_jobs.source_policy import parse_policies
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.text_index import TextIndex
from tests.pvm_resources import world
from tests.pvm_resources.world import World

SHOP = make_shop(5, 150, 0).products


def _send(client: TestClient, events: list[dict[str, Any]]) -> list[str]:
    answer = client.post("/v1/products/events", json={"events": events})
    assert answer.status_code == 200, answer.text
    assert answer.json()["refused"] == 0
    return [one["product_id"] for one in answer.json()["items"]]


@pytest.fixture
def shop(client: TestClient) -> list[str]:
    """The made-up shop's products, of words alone and embedded; ids in its order."""
    made = _send(client, [
        {"event_type": "create", "product_id": one.product_id, "version": 1,
         "data": {"name": one.name, "description": one.description, "category": one.category,
                  "price": one.price, "currency": "USD"}}
        for one in SHOP
    ])  # fmt: skip
    _followed(client)
    return made


def _followed(client: TestClient) -> None:
    """The vectors of words have caught up with what was sent."""
    assert cast(FastAPI, client.app).state.services.text_follower.wait(60)


@pytest.fixture
def index(repos: Store, settings: Settings) -> TextIndex:
    """Vectors of words of the platform."""
    return TextIndex(repos, settings)


def _similar(client: TestClient, product: str, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/v1/recommendations/{product}/similar?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_products_of_one_kind_are_found_by_their_words(
    client: TestClient, shop: list[str], index: TextIndex
) -> None:
    assert index.refit() is not None
    assert index.embed(None) == len(shop), "those of the model that serves came with the changes"
    promoted = index.promote()
    assert index.serving().model_key == promoted
    assert index.promote() is None
    groups = dict(zip(shop, (one.group for one in SHOP), strict=True))
    right = total = 0
    for product in shop[:30]:
        for one in _similar(client, product, "by=text&min_score=0&limit=1"):
            right, total = right + (groups[one["product_id"]] == groups[product]), total + 1
            assert one["product_id"] != product
            assert one["parts"] == {"text": one["similarity_score"]}
            assert one["embedding_updated_at"]
            assert "words" in one["why"]
    assert total == 30
    assert right >= 24, "of other groups are 96 in 100"
    category = SHOP[0].category or "Kitchen"
    some = _similar(client, shop[0], f"by=text&min_score=0&category={category}&price_max=100")
    assert {one["category"] for one in some} <= {category}
    assert all(float(one["product"]["price"]) <= 100 for one in some)


def test_the_old_model_serves_until_the_new_ones_vectors_are_complete(
    client: TestClient, shop: list[str], index: TextIndex, repos: Store, media: MediaStore
) -> None:
    assert index.embed(None) == 0
    empty = TextModel().key
    fresh = index.refit()
    assert (index.serving().model_key, fresh is not None) == (empty, True)
    assert index.promote() is None, "no vector of it is there yet"
    assert index.state(str(fresh)).missing == len(shop)
    index.embed(None)
    unheard = LivingCatalogue(repos, media)
    unheard.take([{"event_type": "create", "product_id": "late", "data": {"name": "Late pillow"}}])
    assert index.promote() is None, "one product came meanwhile"
    index.embed(None)
    assert index.promote() == fresh
    assert [row.model_key for row in repos.text_vectors.models()] == [fresh]
    rows = repos.database.tuples("SELECT DISTINCT model_key FROM product_text_embeddings")
    assert rows == [(fresh,)]


def test_only_what_changed_is_embedded_again(
    client: TestClient, shop: list[str], index: TextIndex, repos: Store, media: MediaStore
) -> None:
    assert index.embed(None) == 0
    LivingCatalogue(repos, media).take([
        {"event_type": "update", "product_id": SHOP[0].product_id, "version": 2, "data": {"price": "3"}},
        {"event_type": "update", "product_id": SHOP[1].product_id, "version": 2, "data": {"name": "Kettle"}},
        {"event_type": "create", "product_id": "wordless", "data": {"price": "1"}},
    ])  # fmt: skip
    key = index.serving().model_key
    assert (index.state(key).missing, index.state(key).stale) == (0, 1)
    waiting = repos.text_vectors.waiting([key])
    assert {name: one[0] for name, one in waiting.items()} == {"_unassigned": 1}
    assert index.embed("_unassigned") == 1
    assert repos.text_vectors.waiting([key]) == {}


def test_a_new_product_is_compared_by_its_words_at_once(client: TestClient, shop: list[str]) -> None:
    twin = {"name": SHOP[7].name, "description": SHOP[7].description, "category": SHOP[7].category}
    (made,) = _send(client, [{"event_type": "create", "product_id": "new", "data": twin}])
    (first,) = _similar(client, made, "limit=1")
    assert (first["product_id"], first["similarity_score"] > 0.99) == (shop[7], True)
    beside = client.get(f"/v1/recommendations/{made}").json()["items"]
    assert beside[0]["product_id"] == shop[7]
    assert beside[0]["parts"].keys() == {"text"}, "popularity does not count for what nobody saw"
    assert client.delete(f"/v1/products/{shop[7]}").status_code == 200
    assert shop[7] not in {one["product_id"] for one in _similar(client, made, "min_score=0")}


def test_both_weigh_what_is_known(client: TestClient, done: World, index: TextIndex) -> None:
    index.embed(None)
    first = done.products[0].product_id
    visual = {one["product_id"]: one for one in _similar(client, str(first), "by=visual&min_score=0")}
    both = {one["product_id"]: one for one in _similar(client, str(first), "by=both&min_score=0")}
    assert both.keys() == {str(one.product_id) for one in done.products[1:]}
    for key, one in both.items():
        look, text = one["parts"]["look"], one["parts"]["text"]
        assert one["similarity_score"] == pytest.approx((look + text) / 2, abs=1e-6)
        if key in visual:
            assert look == pytest.approx(visual[key]["similarity_score"], abs=1e-5)


def test_what_appears_in_the_same_videos_is_recommended_first(
    client: TestClient, repos: Store, done: World, index: TextIndex, shop: list[str]
) -> None:
    index.embed(None)
    one, two, three = (product.product_id for product in done.products)
    matches = {match.product_id: match.match_id for match in repos.matching.matches(done.job.job_id)}
    labels = repos.labels(parse_policies(""))
    labels.give(matches[two], "accept", "Lan")
    found = _recommended(client, one)
    assert found[0]["product_id"] == str(two)
    assert found[0]["parts"]["seen"] == 1.0
    assert "1 of the same videos" in found[0]["why"]
    repos.appearances.set_recommendations({one: [Ranked(two, 0.9, {"seen": 1.0})]})
    (stored,) = client.get(f"/v1/recommendations/{one}?limit=1").json()["items"]
    assert stored["similarity_score"] == 0.9
    assert "1 of the same videos" in stored["why"]
    repos.appearances.set_recommendations({one: []})
    labels.give(matches[two], "reject", "Lan")
    parts = {row["product_id"]: row["parts"] for row in _recommended(client, one)}
    assert parts[str(two)]["seen"] == 0.0, "a verdict stands over the score"
    client.patch(f"/v1/products/{two}", json={"availability": "out_of_stock"})
    assert str(two) not in {row["product_id"] for row in _recommended(client, one)}
    client.delete(f"/v1/products/{three}")
    assert str(three) not in {row["product_id"] for row in _recommended(client, one)}
    alias = client.get(f"/recommendations/{one}?limit=20").json()
    assert [row["product_id"] for row in alias["items"]] == [
        r["product_id"] for r in _recommended(client, one)
    ]
    assert client.get(f"/v1/recommendations/{uuid.uuid4()}").json()["code"] == "product.unknown"


def _recommended(client: TestClient, product: uuid.UUID) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/recommendations/{product}?limit=20")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    assert str(product) not in {one["product_id"] for one in found}
    return found


def test_listings_of_one_product_are_one_item(
    client: TestClient, repos: Store, done: World, index: TextIndex
) -> None:
    index.embed(None)
    one, two, three = (product.product_id for product in done.products)
    repos.catalogue.write_review(done.job.job_id, [], {two: two, three: two})
    (item,) = _similar(client, str(one), "by=text&min_score=0")
    assert {item["product_id"], *item["near_duplicates"]} == {str(two), str(three)}
    assert _similar(client, str(two), "by=text&min_score=0")[0]["product_id"] == str(one)
    grouped = _similar(client, str(two), "by=text&min_score=0&near_duplicates=group")
    assert {row["product_id"] for row in grouped} == {str(one), str(three)}
    assert len(world.matches(done)) == 3
