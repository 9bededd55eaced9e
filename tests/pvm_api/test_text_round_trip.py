"""Any text through every field, the whole way: a catalogue and a folder of clips to stored rows, and back by
REST and on the command line; industries, phrases and addresses by REST. NUL is refused by name."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_core import ids
from pvm_resources.sources.base import Query
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from pvm_resources.sources.folder.videos import FolderVideos
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Product
from tests.pvm_resources import world

#: Texts that a cast, a pattern, an escape, a spreadsheet, a shell or a terminal reads as something else.
AWKWARD = (
    "\\", r"C:\new\x6f", "100%s", "a'b\"c", "{0}$1", "gối 枕 🛏", "NULL", "=1+1", "\u202eabc", "a\u0301\u0323",
    "\U0010ffff", "\ufffe", "\x7f\x1b[31m", "'; DROP TABLE products; --", "👩‍👩‍👧", "وسادة", "--help",
    "[red]x[/]",
)  # fmt: skip
#: All of Unicode that PostgreSQL's text holds.
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
#: Of a row, and of the clip beside it.
NAMES = ("title", "brand", "link", "price", "id", "clip", "currency")
FIELDS = st.fixed_dictionaries(dict.fromkeys(NAMES, TEXT))
SLOW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def awkward(first: int) -> Mapping[str, str]:
    """Awkward texts in the fields, from the given one on."""
    return {name: AWKWARD[(first + n) % len(AWKWARD)] for n, name in enumerate(NAMES)}


def taken(folder: Path, given_: Mapping[str, str]) -> tuple[Product, str]:
    """The product that a catalogue of these fields gives, and the name of a clip so called."""
    folder.mkdir()
    clip = given_["clip"].replace("/", "_").lstrip(".")[:40]
    (folder / f"{clip or 'clip'}.mp4").write_bytes(b"a clip")
    sure = {**given_, "id": "sure", "image_link": "a.jpg"}
    (folder / "c.jsonl").write_text(f"{json.dumps({**sure, 'id': given_['id']})}\n{json.dumps(sure)}")
    records = FileCatalogue(folder / "c.jsonl", "any").collect(Query("")).records
    (video,) = FolderVideos(folder).collect(Query("")).records
    record = records[0]
    return Product(
        ids.product_id(record.namespace, record.external_id), record.source, record.namespace,
        record.external_id, record.title, record.brand, record.url, record.price, record.currency,
    ), video.given_name  # fmt: skip


@SLOW
@given(given_=FIELDS)
@example(given_=awkward(0))
@example(given_=awkward(6))
@example(given_=awkward(12))
def test_rows_of_any_text_come_back_as_they_were_stored(
    client: TestClient, repos: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    given_: Mapping[str, str],
) -> None:  # fmt: skip
    job = f"t-{uuid.uuid4().hex}"
    product, clip = taken(tmp_path / job, given_)
    made = world.make(repos, job_id=job)
    members = [replace(made.members[0], given_name=clip), made.members[1]]
    images = [
        replace(one, product_id=product.product_id, img_id=ids.image_id(product.product_id, one.sha256))
        for one in made.images[:2]
    ]
    made = replace(made, products=[product], images=images, members=members)
    world.write(repos, made)

    (row,) = client.get("/v1/results", params={"job": job, "min_score": 0}).json()["items"]
    assert (row["product"], row["title"], row["brand"], row["video"]) == (
        product.asin_or_itemid, product.title, product.brand, clip,
    )  # fmt: skip
    assert (row["price"], row["currency"]) == (product.price, product.currency)
    for name, value in (("PVM_HOME", str(tmp_path)), ("PVM_DATABASE_URL", database_url)):
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(app, ["results", "--job", job, "--min-score", "0", "--format", "json"])
    assert shown.exit_code == 0, shown.output
    (line,) = json.loads(shown.stdout)
    fields = ("product", "title", "brand", "price", "currency", "product_url", "video")
    assert [line[name] for name in fields] == [row[name] for name in fields]


WORDS = TEXT.filter(lambda text: bool(text.split()))


@SLOW
@given(name=WORDS, phrase=WORDS, address=TEXT, column=WORDS)
@example(name="\\x'\"%s{}", phrase="'; DROP TABLE jobs; --", address="\\?a=1#\u202e", column="\U0010ffff")
def test_requests_of_any_text_are_stored_and_come_back(
    client: TestClient, name: str, phrase: str, address: str, column: str
) -> None:
    asked = {
        "industry": name, "queries": {"vi": [phrase]}, "columns": {"title": column},
        "products": [f"https://shop.example/{address}"], "videos": ["youtube"],
    }  # fmt: skip
    answer = client.post("/v1/jobs", json=asked)
    assert answer.status_code in (202, 422), answer.text
    if answer.status_code == 422:
        # What cannot be used is named by its field, whatever text it holds.
        assert any(field in answer.text for field in asked), answer.text
        return
    industry = client.get(f"/v1/industries/{answer.json()['industry']}").json()
    assert " ".join(name.split()) in (industry["name"], industry["slug"])
    stored = client.get(answer.json()["status_url"]).json()
    assert stored["industry"] == industry["slug"]


@pytest.mark.parametrize("unfit", ["\0", "\ud800"], ids=["NUL", "half a character"])
@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("industry", "industry"),
        ("queries", "queries.vi"),
        ("products", "https://shop.example/a"),
        ("columns", "columns.title"),
    ],
)
def test_what_no_database_holds_is_refused_by_name(
    client: TestClient, field: str, named: str, unfit: str
) -> None:
    text = f"a{unfit}b"
    good = {"industry": "giày", "products": ["https://shop.example/a.csv"], "videos": ["youtube"]}
    bad = {
        "industry": text, "queries": {"vi": [text]}, "products": [f"https://shop.example/{text}"],
        "columns": {"title": text},
    }  # fmt: skip
    asked = json.dumps({**good, field: bad[field]})
    answer = client.post("/v1/jobs", content=asked, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert named in answer.text
