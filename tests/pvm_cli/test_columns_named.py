"""Columns that no name tells, said at the command line: for a job, and kept for an industry."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_cli.source_args import sources_of
from pvm_core.errors import InputError
from pvm_jobs.catalogue_columns import read_columns
from pvm_jobs.request import JobRequest, complete
from pvm_resources.store.assembly import Store


@pytest.fixture(autouse=True)
def _machine(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)


def pvm(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        (['product_id=SKU,image="Image URL"'], {"product_id": "SKU", "image": "Image URL"}),
        (["product_id=SKU", "image='a, b'"], {"product_id": "SKU", "image": "a, b"}),
        (["product_id = a=b , image= x "], {"product_id": "a=b", "image": "x"}),
        ([], {}),
    ],
)
def test_columns_are_named_in_one_text_or_several(given: list[str], columns: dict[str, str]) -> None:
    assert read_columns(given) == columns


@pytest.mark.parametrize("given", ["SKU", "sku=SKU", "image=", "image=" + "x" * 301])
def test_what_names_no_column_is_refused(given: str) -> None:
    with pytest.raises(InputError, match=r"request\.columns"):
        read_columns([given])


def test_a_catalogue_is_judged_by_the_columns_named(tmp_path: Path) -> None:
    odd = tmp_path / "odd.csv"
    odd.write_text("Ref.,Scatto\n7,a.jpg\n")
    with pytest.raises(InputError, match=r"--map.*table\.columns"):
        sources_of([str(odd)], None)
    columns = {"product_id": "Ref.", "image": "Scatto"}
    assert sources_of([str(odd)], None, columns=columns) == {"products": [str(odd)]}


def test_an_industry_keeps_columns_and_forgets_them(repos: Store) -> None:
    repos.industries.ensure("shoes")
    repos.industries.set_sources("shoes", {"videos": ["youtube"]})

    kept = pvm("industries", "map", "shoes", "product_id=Ref.", "image=Scatto 1")
    assert kept.exit_code == 0, kept.output
    assert repos.industries.get("shoes").sources == {
        "videos": ["youtube"],
        "columns": {"product_id": "Ref.", "image": "Scatto 1"},
    }
    assert pvm("industries", "map", "shoes").stdout.split() == ["product_id", "Ref.", "image", "Scatto", "1"]

    assert pvm("industries", "map", "shoes", "sku=A").exit_code == 2
    assert pvm("industries", "map", "shoes", "--clear").exit_code == 0
    assert repos.industries.get("shoes").sources == {"videos": ["youtube"]}


def test_a_jobs_columns_replace_those_that_its_industry_keeps() -> None:
    standing = JobRequest.parse({"products": ["ebay"], "videos": ["youtube"], "columns": {"image": "Foto"}})

    def refused(kind: object) -> InputError:
        raise AssertionError(kind)

    assert complete(JobRequest.parse({}), standing, refused=refused).columns == {"image": "Foto"}
    own = JobRequest.parse({"columns": {"image": "Bild"}})
    assert complete(own, standing, refused=refused).columns == {"image": "Bild"}
