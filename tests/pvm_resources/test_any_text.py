"""No text of a user ends a job: whatever Unicode PostgreSQL holds passes from a catalogue and a folder to the
store and back; what it cannot hold is refused by name."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvm_core import ids
from pvm_core.errors import InputError, Problem
from pvm_jobs.request import JobRequest
from pvm_jobs.text import clean
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.sources.base import ProductRecord, Query
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from pvm_resources.sources.folder.videos import FolderVideos
from pvm_resources.sources.registry import product_specs
from pvm_resources.store.assembly import Store
from pvm_resources.store.galleries import Galleries, GalleryPicture
from pvm_resources.store.records import JobVideo, Product
from pvm_resources.store.source_runs import SourceState
from tests.pvm_resources import world

#: Texts that a cast, a pattern, an escape, a format or a spreadsheet would read as something else.
AWKWARD = (
    "\\", r"C:\new\x6f", "\\\\", "100%", "%s", "a'b", 'a"b', "{}", "$1", "E'\\'", "gối 枕 🛏", "NULL", "=1+1",
    "\u202e abc", "a\u0301", "\U0010ffff", "\ufffe", "\x7f", "\x1b[31m", "-- ", "[]", "\t",
    "; DROP TABLE products",
)  # fmt: skip
#: All that PostgreSQL's text holds: every character but NUL, no halves of characters.
TEXT = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from("\\%'\"{}$,;|\n"),
    max_size=40,
)
FIELDS = st.fixed_dictionaries({"id": TEXT, "title": TEXT, "brand": TEXT, "link": TEXT, "price": TEXT})
SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def written(folder: Path, rows: list[Mapping[str, str]], form: str) -> Path:
    """The rows as a catalogue; the last row is one that can always be used."""
    sure = {"id": "sure", "title": "", "brand": "", "link": "", "price": "", "image_link": "a.jpg"}
    whole = [*({**row, "image_link": row["title"] or "a.jpg"} for row in rows), sure]
    path = folder / f"c.{form}"
    if form == "jsonl":
        path.write_text("\n".join(map(json.dumps, whole)), encoding="utf-8")
        return path
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, sure, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(whole)
    path.write_bytes(buffer.getvalue().encode())
    return path


def stored(repos: Store, job: str, records: tuple[ProductRecord, ...]) -> None:
    """The records as the asset `products` stores them."""
    products = [
        Product(
            ids.product_id(r.namespace, r.external_id), r.source, r.namespace, r.external_id, r.title,
            r.brand, r.url, r.price, r.currency,
        )
        for r in records
    ]  # fmt: skip
    gallery = [
        GalleryPicture(product.product_id, n, picture.ref, str(picture.path) if picture.path else None)
        for product, record in zip(products, records, strict=True)
        for n, picture in enumerate(record.pictures)
    ]
    repos.catalogue.set_products(job, products, also=Galleries.writes(job, gallery))


@SLOW
@given(rows=st.lists(FIELDS, max_size=4), form=st.sampled_from(["csv", "jsonl"]))
@example(
    rows=[dict.fromkeys(("id", "title", "brand", "link", "price"), text) for text in AWKWARD], form="csv"
)
@example(
    rows=[dict.fromkeys(("id", "title", "brand", "link", "price"), text) for text in AWKWARD], form="jsonl"
)
@example(rows=[{"id": "a\0b", "title": "a\0b", "brand": "\0", "link": "\0", "price": "\0"}], form="jsonl")
@example(
    rows=[{"id": "a\ud800", "title": "a\ud800", "brand": "\udfff", "link": "\ud800", "price": "9"}],
    form="jsonl",
)
def test_a_catalogue_of_any_text_is_stored(
    repos: Store, database: Database, tmp_path: Path, rows: list[Mapping[str, str]], form: str
) -> None:
    job = repos.jobs.create(repos.industries.ensure("any text").slug, {}).job_id
    found = FileCatalogue(written(tmp_path, rows, form), "any-text").collect(Query(""))
    stored(repos, job, found.records)
    repos.state.start_stage(job, "products", 1)
    repos.state.write_problems(job, found.problems)
    repos.source_runs.set_states(
        job, "products", [SourceState("products", "file", "ok", *map(str, [rows, form]))]
    )

    kept = {product.asin_or_itemid for product in repos.catalogue.products(job)}
    assert kept == {record.external_id for record in found.records} >= {"sure"}
    assert len(list(repos.galleries.pictures(job))) == sum(len(record.pictures) for record in found.records)
    database.commit(Statement("DELETE FROM jobs WHERE job_id = %s", [job]))


NAMES = TEXT.map(lambda text: text.replace("/", "_")[:60]).filter(lambda text: text not in ("", ".", ".."))


@SLOW
@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True))
@example(names=[text.replace("/", "_") for text in AWKWARD])
def test_videos_of_any_name_are_stored(
    repos: Store, database: Database, tmp_path: Path, names: list[str]
) -> None:
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    for name in names:
        (folder / f"{name}.mp4").write_bytes(b"a video")
    (folder / os.fsdecode(b"\xff\xfe.mp4")).write_bytes(b"a video")
    (folder / "sure.mp4").write_bytes(b"a video")
    found = FolderVideos(folder).collect(Query(""))
    made = world.make(repos, job_id=f"v-{uuid.uuid4().hex}")
    members = [
        JobVideo(record.given_name, made.videos[0].video_id, str(record.path), 1, 1.0, n)
        for n, record in enumerate(found.records)
    ]
    repos.videos.set_videos(made.job.job_id, made.videos, members)
    assert [member.given_name for member in repos.videos.members(made.job.job_id)] == [
        member.given_name for member in members
    ]
    hidden = sum(name.startswith(".") for name in names)
    assert len(found.records) == len(names) - hidden + 1
    # No database holds the path of the one whose name is no text.
    assert [(problem.item, problem.code) for problem in found.problems] == [
        (r"\xff\xfe.mp4", "video.unreadable")
    ]
    database.commit(Statement("DELETE FROM jobs WHERE job_id = %s", [made.job.job_id]))


@SLOW
@given(name=st.text(max_size=250))
@example(name="枕" * 200)
@example(name="a\0b")
@example(name="\ud800")
@example(name="%s{}\\'\"")
def test_an_industry_of_any_name_is_kept_or_refused_by_name(repos: Store, name: str) -> None:
    if not name.split() or len(" ".join(name.split())) > 200 or clean(name) != name:
        with pytest.raises(InputError, match=r"industry\.name"):
            repos.industries.ensure(name)
        with pytest.raises(InputError, match=r"industry\.unknown"):
            repos.industries.get(name)
        return
    industry = repos.industries.ensure(name)
    # The slug of an industry names it as well.
    assert " ".join(name.split()) in (industry.name, industry.slug)
    assert repos.industries.get(name) == industry
    assert repos.jobs.create(industry.slug, {}).industry == industry.slug


@SLOW
@given(
    text=st.text(max_size=150), columns=st.dictionaries(st.sampled_from(["title", "image"]), TEXT, max_size=2)
)
def test_a_request_of_any_text_is_kept_or_refused_by_name(
    repos: Store, text: str, columns: dict[str, str]
) -> None:
    given_: dict[str, Any] = {
        "products": [f"https://s.example/{text}"],
        "queries": {"en": [text]},
        "columns": columns,
    }
    unfit = {
        "columns": any(not column.strip() for column in columns.values()),
        "queries": "\0" in text,
    }
    if any(unfit.values()):
        with pytest.raises(InputError) as refused:
            JobRequest.parse(given_)
        assert refused.value.code in [f"request.{field}" for field, is_unfit in unfit.items() if is_unfit]
        return
    request = JobRequest.parse(given_)
    job = repos.jobs.create(repos.industries.ensure("requests").slug, request.to_json())
    assert set(repos.jobs.get(job.job_id).request) >= {"products"}


@pytest.mark.parametrize("text", ["枕" * 2_000, "a" * 2_000, "\\" * 2_000])
def test_long_locations_are_labels_too(repos: Store, text: str) -> None:
    job = repos.jobs.create(repos.industries.ensure("labels").slug, {}).job_id
    specs = product_specs([f"https://s.example/{text}/1.csv", f"https://s.example/{text}/2.csv"])
    labels = [spec.label for spec in specs]
    repos.source_runs.set_states(job, "products", [SourceState("products", label, "ok") for label in labels])
    for label in labels:
        repos.source_runs.answers(job, label).put("key", {})
    assert [state.source for state in repos.source_runs.states(job)] == labels
    assert len(set(labels)) == 2


def test_a_problem_of_any_item_is_kept(repos: Store) -> None:
    job = repos.jobs.create(repos.industries.ensure("problems").slug, {}).job_id
    repos.state.start_stage(job, "products", 1)
    problems = [Problem("products", text, "catalogue.row", text) for text in (*AWKWARD, "\0", "\ud800")]
    repos.state.write_problems(job, problems)
    assert len(repos.state.problems(job)) >= len(AWKWARD)


#: Every expression that the database computes from what is stored, and every function.
_COMPUTED = """
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid
WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace
  AND p.prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
"""


def test_the_database_itself_parses_no_text_of_a_user(repos: Store, database: Database) -> None:
    """A cast from text to bytea, a number, a time or JSON fails on a text that is none."""
    computed = [row[0] for row in database.tuples(_COMPUTED)]
    assert any("text_sha256" in one for one in computed)
    parsing = re.compile(r"(?<!')\b[a-z_]+\)?::(bytea|uuid|integer|bigint|date|timestamp|jsonb?|inet)\b")
    assert parsing.search("sha256((given_name)::bytea)")
    assert [found.group() for one in computed for found in [parsing.search(one)] if found] == []
