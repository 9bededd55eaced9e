"""Changes of products over HTTP: once in effect, in order, merged per field; deletes leave no trace."""

from __future__ import annotations

import itertools
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import StoreError
from pvm_jobs import contracts
from pvm_jobs.payloads import Links, Outgoing, delivered
from pvm_resources.living_catalogue import LivingCatalogue
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Product
from tests.pvm_api.drawn import embed, jpeg
from tests.pvm_resources.world import World

WHOLE = {
    "id": "prod-123", "name": "Pillow", "description": "<b>Soft</b>", "category": "Bedding", "brand": "Soft",
    "price": "19.99 USD", "availability": "in stock", "url": "https://shop.example/p",
    "attributes": {"color": "blue"}, "pictures": ["https://shop.example/p.jpg"],
}  # fmt: skip


def _events(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """The catalogue's events as delivered, each checked against its contract."""
    rows = database.tuples(
        "SELECT event_id, seq, name, payload, created_at FROM outbox WHERE job_id IS NULL ORDER BY seq"
    )
    found = []
    for event_id, seq, name, payload, created_at in rows:
        sent = delivered(Outgoing(event_id, "", seq, name, payload, created_at))
        contracts.validate(name, sent)
        assert "job_id" not in sent
        found.append((name, payload))
    return found


def _send(client: TestClient, *events: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/v1/products/events", json={"events": list(events)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _shown(client: TestClient, product_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/products/{product_id}").json()
    return found


def test_a_product_is_made_changed_and_deleted(client: TestClient, database: Database) -> None:
    made = client.post("/v1/products", json=WHOLE)
    assert made.status_code == 201, made.text
    product_id = made.json()["product_id"]
    assert made.headers["location"].endswith(f"/v1/products/{product_id}")
    found = _shown(client, product_id)
    assert {name: found[name] for name in ("product", "title", "description", "price", "currency")} == {
        "product": "prod-123", "title": "Pillow", "description": "Soft", "price": "19.99", "currency": "USD",
    }  # fmt: skip
    assert (found["availability"], found["attributes"]) == ("in_stock", {"color": "blue"})
    changed = client.patch("/products/prod-123", json={"price": 17.5, "brand": None})
    assert changed.json()["changed"] == ["brand", "price"]
    found = _shown(client, product_id)
    assert (found["price"], found["currency"], found["brand"], found["title"]) == (
        "17.5",
        "USD",
        "",
        "Pillow",
    )
    gone = client.delete(f"/v1/products/{product_id}")
    assert (gone.status_code, gone.json()["effect"]) == (200, "deleted")
    assert _shown(client, product_id)["code"] == "product.unknown"
    assert client.get("/v1/products").json()["items"] == []
    again = client.delete(f"/v1/products/{product_id}")
    assert (again.status_code, again.json()["effect"]) == (200, "none")
    events = _events(database)
    assert [name for name, _ in events] == ["product.created", "product.updated", "product.deleted"]
    assert events[1][1]["data"] == {"brand": "", "price": "17.5"}
    links = Links("https://h").of(Outgoing(uuid.uuid4(), "", 1, *events[0], datetime.now(UTC)))
    assert links["product"] == f"https://h/v1/products/{product_id}"


def test_the_founding_wire_shape_in_any_order(client: TestClient, database: Database) -> None:
    sent = [
        {"event_type": "create", "product_id": "p", "timestamp": "2024-01-01T00:00:00",
         "data": '{"name": "Pillow", "price": "1"}'},
        {"event_type": "update", "product_id": "p", "timestamp": "2024-01-01T00:00:03",
         "data": {"price": "3"}},
        {"event_type": "update", "product_id": "p", "timestamp": "2024-01-01T00:00:02",
         "data": {"price": "2", "brand": "Soft"}},
    ]  # fmt: skip
    seen = set()
    for n, order in enumerate(itertools.permutations(sent)):
        answer = _send(client, *({**one, "product_id": f"p{n}"} for one in [*order, *order]))
        assert answer["refused"] == 0
        assert answer["unchanged"] >= 3
        found = _shown(client, answer["items"][0]["product_id"])
        seen.add((found["title"], found["price"], found["brand"]))
    assert seen == {("Pillow", "3", "Soft")}


def test_versions_of_the_maker_and_a_late_delete(client: TestClient) -> None:
    def event(kind: str, version: int, **data: Any) -> dict[str, Any]:
        return {"event_type": kind, "product_id": "v", "version": version, **({"data": data} if data else {})}

    first = _send(
        client, event("create", 1, title="One"), event("delete", 5), event("update", 4, title="Late")
    )
    assert [one["effect"] for one in first["items"]] == ["created", "deleted", "none"]
    again = _send(client, event("create", 6, title="Six"), event("delete", 5))
    assert [one["effect"] for one in again["items"]] == ["created", "none"]
    assert _shown(client, again["items"][0]["product_id"])["title"] == "Six"


def test_one_bad_change_leaves_the_others_alone(client: TestClient) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"event_type": "upsert"}, "change.type"),
        ({"product_id": " "}, "change.product_id"),
        ({"data": {"colour": "red"}}, "change.field"),
        ({"data": {"price": "free"}}, "change.price"),
        ({"data": {"currency": "dollars"}}, "change.currency"),
        ({"data": {"availability": "perhaps"}}, "change.availability"),
        ({"data": {"url": "javascript:x"}}, "change.url"),
        ({"data": {"pictures": ["file:///etc/passwd"]}}, "change.pictures"),
        ({"data": {"attributes": "blue"}}, "change.attributes"),
        ({"data": "[1]"}, "change.data"),
        ({"timestamp": "yesterday"}, "change.timestamp"),
        ({"timestamp": "2999-01-01"}, "change.timestamp"),
        ({"version": -1}, "change.version"),
        ({"industry": "none"}, "industry.unknown"),
    ]
    good = {"event_type": "create", "product_id": "g", "data": {"name": "Good"}}
    found = _send(client, *({**good, **wrong} for wrong, _ in bad), good)
    assert [one["code"] for one in found["items"]] == [*(code for _, code in bad), None]
    assert (found["applied"], found["refused"], found["unchanged"]) == (1, len(bad), 0)
    unknown = client.patch("/v1/products/nothing", json={"title": "x"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "product.unknown")
    assert client.patch("/v1/products/g", json={"colour": "red"}).status_code == 422
    assert client.patch("/v1/products/g", json={"price": "free"}).json()["code"] == "change.price"


def test_a_delete_leaves_no_trace(
    client: TestClient, repos: Store, media: MediaStore, database: Database, done: World
) -> None:
    product = done.products[0]
    media.put(f"masks/{done.images[0].img_id}.png", b"mask")
    for image in done.images[:2]:
        media.put(f"kp/{image.img_id}.npz", b"points")
    embed(repos, {image.img_id: jpeg(n) for n, image in enumerate(done.images)})
    kept = {key for key in media.keys() if str(product.product_id) in key}  # noqa: SIM118 - no mapping
    assert kept
    answer = client.delete(f"/v1/products/{product.product_id}")
    assert answer.json()["effect"] == "deleted", answer.text
    ids = [str(product.product_id), *(str(image.img_id) for image in done.images[:2])]
    left = [key for key in media.keys() if any(one in key for one in ids)]  # noqa: SIM118 - no mapping
    assert left == []
    like = client.post("/v1/products/similar?limit=10", files={"picture": ("a.jpg", jpeg(0))}).json()["items"]
    assert product.asin_or_itemid not in {one["product"] for one in like}
    assert client.get(f"/v1/images/{done.images[0].img_id}").status_code == 404
    rows = client.get("/v1/results?all=true&min_score=0").json()["items"]
    assert product.asin_or_itemid not in {row["product"] for row in rows}
    for table in ("products", "stored_images", "job_products", "job_images", "matches"):
        found = database.value(f"SELECT count(*) FROM {table} WHERE product_id = %s", [product.product_id])
        assert found == 0, table
    assert database.value("SELECT count(*) FROM product_tombstones") == 1


def test_a_product_of_a_running_job_is_not_deleted(
    client: TestClient, database: Database, done: World
) -> None:
    database.commit(lambda cursor: cursor.execute("UPDATE jobs SET status = 'running'").rowcount)
    answer = client.delete(f"/v1/products/{done.products[0].product_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "change.busy")
    assert (
        client.patch(f"/v1/products/{done.products[0].product_id}", json={"brand": "New"}).status_code == 200
    )


def test_a_source_that_is_read_again(client: TestClient, repos: Store, done: World) -> None:
    """What a change has set stands until the source says otherwise than before."""
    job, first = done.job.job_id, done.products[0]
    url = f"/v1/products/{first.product_id}"
    client.patch(url, json={"price": "12", "currency": "USD", "title": "Mine"})
    repos.catalogue.set_products(job, done.products)
    found = client.get(url).json()
    assert (found["price"], found["title"], found["brand"]) == ("12", "Mine", "Brand")
    news = [replace(first, title="Theirs", brand="Other", price="9", currency="EUR"), *done.products[1:]]
    repos.catalogue.set_products(job, news)
    found = client.get(url).json()
    assert (found["price"], found["title"], found["brand"]) == ("9", "Theirs", "Other")
    old = {"event_type": "update", "product_id": str(first.product_id), "timestamp": "2020-01-01",
           "data": {"title": "Old", "category": "Bedding"}}  # fmt: skip
    _send(client, old)
    found = client.get(url).json()
    assert (found["title"], found["category"]) == ("Theirs", "Bedding"), "an older change to what nothing set"
    client.patch(url, json={"title": "Mine again", "timestamp": "2026-01-01"})
    repos.catalogue.set_products(
        job, [replace(first, title="Older", updated_at=datetime(2025, 1, 1, tzinfo=UTC))]
    )
    assert client.get(url).json()["title"] == "Theirs", "neither is newer than the reading"


def test_what_a_job_reads_otherwise_is_a_change_with_its_event(
    client: TestClient, repos: Store, database: Database, done: World
) -> None:
    job, first = done.job.job_id, done.products[0]

    def told() -> list[tuple[str, str, dict[str, Any]]]:
        rows = database.tuples(
            "DELETE FROM outbox WHERE name LIKE 'product.%%' AND job_id IS NULL RETURNING name, payload"
        )
        return sorted((row[0], row[1]["product"], row[1]["data"]) for row in rows)

    made = told()
    assert [(name, product) for name, product, _ in made] == [("product.created", f"P{n}") for n in range(3)]
    assert made[0][2] == {"title": "Gối 0", "brand": "Brand", "url": "u"}
    repos.catalogue.set_products(job, done.products)
    assert told() == [], "it says what it said before"
    client.patch(f"/v1/products/{first.product_id}", json={"title": "Mine"})
    told()
    other = replace(first, price="9", currency="EUR", attributes={"size": "L"})
    ebay = replace(first, product_id=uuid.uuid4(), src="ebay", asin_or_itemid="e1")
    repos.catalogue.set_products(job, [other, *done.products[1:], ebay])
    assert told() == [
        ("product.updated", "P0", {"price": "9", "currency": "EUR", "attributes": {"size": "L"}})
    ], "the title stands, and what eBay said goes to nobody"
    repos.catalogue.set_products(job, [other], kept=[other.product_id])
    assert told() == []


def test_a_change_names_an_industrys_product_by_its_own_id(client: TestClient, done: World) -> None:
    event = {
        "event_type": "update",
        "product_id": "P1",
        "industry": done.industry.name,
        "data": {"brand": "New"},
    }
    (found,) = _send(client, event)["items"]
    assert found["product_id"] == str(done.products[1].product_id)
    assert _shown(client, found["product_id"])["brand"] == "New"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batches_of_any_cut_end_in_one_state(
    client: TestClient, database: Database, data: st.DataObject
) -> None:
    """Interleaved products, duplicates, partial updates, deletes, re-creates; cut into batches anywhere."""
    kinds = st.sampled_from(("create", "update", "update", "delete"))
    history = [
        {"event_type": kind, "product_id": name, "version": version, "event_id": f"e{n}",
         **({} if kind == "delete" else {"data": {field: f"{n}"}})}
        for n, (kind, name, version, field) in enumerate(data.draw(st.lists(
            st.tuples(kinds, st.sampled_from("ab"), st.integers(0, 3), st.sampled_from(("title", "brand"))),
            min_size=1, max_size=8,
        )))
    ]  # fmt: skip

    def run(run: str, events: list[dict[str, Any]], cut: int) -> dict[str, Any]:
        for part in filter(None, (events[:cut], events[cut:])):
            _send(client, *({**one, "product_id": run + one["product_id"]} for one in part))
        rows = database.tuples(
            "SELECT right(asin_or_itemid, 1), title, brand, versions FROM products "
            "WHERE asin_or_itemid LIKE %s",
            [f"{run}%"],
        )
        return {row[0]: row[1:] for row in rows}

    run_id = database.value("SELECT count(*) FROM outbox")
    order = data.draw(st.permutations([*history, *history[: data.draw(st.integers(0, len(history)))]]))
    cut = data.draw(st.integers(0, len(order)))
    assert run(f"x{run_id}", order, cut) == run(f"y{run_id}", history, 0)


def test_a_product_of_many_products_is_a_row_of_its_own(client: TestClient, repos: Store) -> None:
    found = _send(client, *({"event_type": "create", "product_id": f"n{n}", "data": {}} for n in range(300)))
    assert found["applied"] == 300
    assert len({one["product_id"] for one in found["items"]}) == 300
    assert Product(found["items"][0]["product_id"], "file", "shop:", "n0").namespace == "shop:"


def test_many_writers_end_in_one_state_and_lose_no_event(
    repos: Store, media: MediaStore, database: Database
) -> None:
    """Writers side by side, each with every change in an order of its own."""
    catalogue = LivingCatalogue(repos, media)
    sent = [
        {"event_type": kind, "product_id": f"p{n}", "version": version, "event_id": f"{n}-{version}",
         **({"data": data} if data else {})}
        for n in range(4)
        for version, (kind, data) in enumerate((
            ("create", {"title": "One"}), ("update", {"price": "2"}), ("delete", None),
            ("create", {"title": "Two"}), ("update", {"price": "3"}),
            ("update", {"price": "4", "brand": "x"}),
        ))
    ]  # fmt: skip

    def write(seed: int) -> int:
        order = random.Random(seed).sample(sent, len(sent))
        return sum(one.effect is not None for part in range(0, len(sent), 3)
                   for one in catalogue.take(order[part : part + 3]))  # fmt: skip

    with ThreadPoolExecutor(6) as pool:
        effects = sum(pool.map(write, range(6)))
    rows = database.tuples("SELECT title, price, brand FROM products")
    assert rows == [("Two", "4", "x")] * 4
    events = _events(database)
    assert len(events) == effects, "one event for each effect, none invented"
    heard: dict[str, dict[str, Any]] = {}
    for name, payload in events:
        product = payload["product"]
        if name == "product.deleted":
            heard.pop(product)
        else:
            heard[product] = {**heard.get(product, {}), **payload["data"]}
    assert [(one["title"], one["price"], one["brand"]) for one in heard.values()] == rows


def test_a_change_whose_files_cannot_be_deleted_is_not_applied(
    client: TestClient, repos: Store, database: Database, done: World
) -> None:
    class Broken(MediaStore):
        def delete(self, key: str) -> None:
            raise StoreError("media.write", key, "the disk is read-only", "Repair it")

    product = str(done.products[0].product_id)
    event = {"event_type": "delete", "product_id": product}
    with pytest.raises(StoreError, match="read-only"):
        LivingCatalogue(repos, Broken("memory://x")).take([event])
    assert _shown(client, product)["product"] == "P0"
    assert {name for name, _ in _events(database)} == {"product.created"}, "of the job that read them"
    assert _send(client, event)["applied"] == 1
