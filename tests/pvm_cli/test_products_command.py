"""`pvm products`: lists and shows whole products, reads catalogues as changes, says what is alike."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from tests.pvm_api.drawn import embed, jpeg
from tests.pvm_resources import world

Run = Callable[..., Any]
HEAD = "product_id,image,title,price,currency,category\n"


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of a fresh home; its JSON, or its exit code where it fails."""
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)

    def command(*words: str) -> Any:
        done = CliRunner().invoke(app, ["products", *words])
        if done.exit_code:
            return done.exit_code
        return json.loads(done.stdout) if "--json" in words else done.output

    return command


def _import(run: Run, path: Path, rows: str, *more: str) -> dict[str, int]:
    path.write_text(HEAD + rows)
    found = run("import", str(path), "-i", "shop", "--json", *more)
    return {name: found[name] for name in ("created", "updated", "deleted", "unchanged")}


def _events(database: Database) -> list[str]:
    return [row[0] for row in database.tuples("SELECT name FROM outbox WHERE job_id IS NULL ORDER BY seq")]


def test_differences_of_a_catalogue_become_changes(
    run: Run, repos: Store, database: Database, tmp_path: Path
) -> None:
    repos.industries.ensure("shop")
    path = tmp_path / "c.csv"
    rows = "1,a.jpg,One,1.50,USD,Pillows\n2,b.jpg,Two,2.50,USD,Pillows\n3,c.jpg,Three,3.50,USD,Lamps\n"
    counted = {"created": 3, "updated": 0, "deleted": 0, "unchanged": 0}
    assert _import(run, path, rows, "--dry-run") == counted
    assert run("list", "--json") == []
    assert _import(run, path, rows) == counted
    assert _import(run, path, rows) == {**counted, "created": 0, "unchanged": 3}
    changed = rows.replace("2.50", "2.75").replace("3,c.jpg,Three,3.50,USD,Lamps\n", "")
    assert _import(run, path, changed) == {"created": 0, "updated": 1, "deleted": 0, "unchanged": 1}
    assert _import(run, path, changed, "--remove-missing") == {
        "created": 0, "updated": 0, "deleted": 1, "unchanged": 2,
    }  # fmt: skip
    assert _events(database) == [*["product.created"] * 3, "product.updated", "product.deleted"]
    assert {one["product"]: one["price"] for one in run("list", "--json")} == {"1": "1.50", "2": "2.75"}
    assert run("import", str(tmp_path / "none.csv"), "-i", "shop") == 2


def test_a_change_outlasts_a_catalogue_that_says_the_same(
    run: Run, repos: Store, database: Database, tmp_path: Path
) -> None:
    from pvm_resources.living_catalogue import LivingCatalogue
    from pvm_resources.media.store import MediaStore

    repos.industries.ensure("shop")
    path, row = tmp_path / "c.csv", "1,a.jpg,One,1.50,USD,Pillows\n"
    _import(run, path, row)
    catalogue = LivingCatalogue(repos, MediaStore(str(tmp_path / "media")))
    mine = {"event_type": "update", "product_id": "1", "industry": "shop", "data": {"price": "9"}}
    assert catalogue.take([mine])[0].effect == "updated"
    assert _import(run, path, row)["updated"] == 0
    assert run("show", "1", "--json")["price"] == "9"
    assert _import(run, path, row.replace("1.50", "1.75"))["updated"] == 1
    assert run("show", "1", "--json")["price"] == "1.75"
    assert catalogue.take([{**mine, "event_type": "delete", "data": None}])[0].effect == "deleted"
    assert _import(run, path, row)["created"] == 0, "what was deleted comes not back"


def test_filters_and_one_product(run: Run, repos: Store, tmp_path: Path) -> None:
    repos.industries.ensure("shop")
    _import(run, tmp_path / "c.csv", "1,a.jpg,One,1.50,USD,Pillows\n2,b.jpg,Two,,,Lamps\n")
    assert [one["product"] for one in run("list", "--category", "lamps", "--json")] == ["2"]
    assert [one["product"] for one in run("list", "--price-min", "1", "-i", "shop", "--json")] == ["1"]
    assert "Pillows" in run("list")
    shown = run("show", "1", "--json")
    assert (shown["title"], shown["pictures"]) == ("One", [])
    assert run("show", str(uuid.UUID(shown["product_id"])), "--json") == shown
    assert "1.50" in run("show", "1")
    assert [run("list", "--availability", "maybe"), run("list", "--price-max", "x"), run("show", "9")] == [
        2
    ] * 3


def test_what_is_like_a_product(run: Run, repos: Store) -> None:
    assert run("similar", "P0") == 2
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    embed(repos, {image.img_id: jpeg(n) for n, image in enumerate(made.images)})
    # The world's pictures all count as copies of each other.
    repos.database.commit(
        lambda cursor: (
            cursor.execute("UPDATE stored_images SET phash = hashtextextended(img_id::text, 0)").rowcount
        )
    )
    found = run("similar", "P0", "--min-score", "0", "--json")
    assert {one["product"] for one in found} == {"P1", "P2"}
    assert found[0]["similarity_score"] >= found[1]["similarity_score"]
    assert run("similar", "P0", "--min-score", "0", "--source", "ebay", "--json") == []
