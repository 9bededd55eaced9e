"""What may enter Dagster's event log, which nothing can be taken out of again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvm_assets.event_log_redactor import EventLogRedactor
from pvm_assets.preview import links_preview
from pvm_assets.services import JobServices
from pvm_jobs.source_policy import Policies
from pvm_resources.store.assembly import Store
from pvm_resources.store.matching import evidence_key
from pvm_resources.store.retention import Restricted
from tests.pvm_resources import world
from tests.pvm_resources.purge_place import Place, build


@pytest.fixture
def place(repos: Store, tmp_path: Path) -> Place:
    return build(repos, tmp_path / "home")


def _guard(place: Place, job_id: str | None = None) -> EventLogRedactor:
    bench = JobServices(place.settings, place.repos.database, place.media)
    return EventLogRedactor(bench, job_id or place.job_id)


def test_of_a_mixed_job_only_what_is_restricted_is_kept_out(place: Place) -> None:
    pictures = [i.local_path for i in place.made.images]
    evidence = [evidence_key(place.job_id, m.match_id) for m in world.matches(place.made)[:2]]
    frames = [f.local_path or "" for f in place.made.frames]
    hidden = _guard(place).restricted([*reversed(pictures), *evidence, *frames])
    assert list(hidden) == [*reversed(pictures[2:]), evidence[1]]
    assert [h.source for h in hidden.values()] == ["amazon", "amazon", "ebay", "ebay", "ebay"]


def test_addresses_are_named_by_their_host_where_a_source_ends_their_keeping(place: Place) -> None:
    address = "https://i.shop.example/a/1.jpg?x=1"
    assert _guard(place).label(address) == "a picture of i.shop.example"
    assert _guard(place).label("images/p1.jpg") == "images/p1.jpg"
    place.repos.jobs.create(place.made.industry.slug, {}, "free")
    place.repos.catalogue.set_products("free", place.made.products[:1])
    assert _guard(place, "free").label(address) == address


def _one(
    key: str, name: str = "v1|123|0", url: str = "https://www.ebay.com/itm/123", source: str = "ebay"
) -> Restricted:
    return Restricted(key, source, name, url)


def test_links_name_the_product_its_page_and_whose_it_is() -> None:
    text = links_preview([_one("a"), _one("b"), _one("c", "B0", "", "amazon")], Policies())
    assert text.count("https://www.ebay.com/itm/123") == 1
    assert r"- [v1\|123\|0](https://www.ebay.com/itm/123)" in text
    assert "2 of ebay not shown" in text
    assert "Item data and pictures from eBay" in text
    assert "1 of amazon not shown" in text
    assert "\n- B0" in text


def test_names_of_others_become_no_markup() -> None:
    sly = _one("a", "x](javascript:alert(1)) <img src=x>\n# y", "https://shop/a) [b](c")
    text = links_preview([sly, _one("b", "plain", "javascript:alert(1)")], Policies())
    assert "javascript:alert\\(1\\)" in text
    assert "(https://shop/a%29%20%5Bb%5D%28c)" in text
    assert "<img" not in text.replace("\\<img", "")
    assert "- plain\n" in f"{text}\n"


def test_a_long_list_is_cut() -> None:
    text = links_preview([_one(str(n), f"item {n}", f"https://shop/{n}") for n in range(40)], Policies())
    assert "40 of ebay" in text
    assert text.count("https://shop/") == 12
    assert text.endswith("- and 28 more")
