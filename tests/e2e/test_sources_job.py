"""A whole job from a shop's and a video site's own protocols to evidence, unbroken and killed on its way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import tiny
from harness import Pvm
from shops import Sites, open_sites

from pvm_resources.postgres.server import EmbeddedServer

INDUSTRY = "cardboard boxes"
_SEARCH = "/buy/browse/v1/item_summary/search"
_ITEM = "/buy/browse/v1/item/"
ASKED = ("--products", "ebay,amazon", "--videos", "youtube,bilibili", "--top", "20", "--recency-days", "365")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Pictures enough for a kill in the middle of their download."""
    case = tiny.write_case(tmp_path_factory.mktemp("shops"), products=20, clips=3)
    with open_sites(case) as found:
        yield found


@dataclass(frozen=True)
class Whole:
    """A home with one job from both sites, run without a break."""

    pvm: Pvm
    run: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def whole(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    pvm = Pvm(tmp_path_factory.mktemp("whole") / "home")
    pvm.kept_up()
    yield Whole(pvm, pvm("run", "--industry", INDUSTRY, *ASKED, "--job", "j1", **sites.environment))
    pvm.torn_down()


def _matches(pvm: Pvm, job: str = "j1") -> list[dict[str, Any]]:
    done = pvm("results", "--job", job, "--min-score", "0", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _accepted(pvm: Pvm, job: str = "j1") -> dict[str, str]:
    """The product's title by the clip's own name, whatever site it was found on."""
    found = [row for row in _matches(pvm, job) if row["status"] == "accepted"]
    return {row["video"].partition(" ")[0]: row["title"] for row in found}


def _titles(sites: Sites) -> dict[str, str]:
    return {video: f"Hộp số {product[1:]}" for video, product in sites.case.shown.items()}


def _rows(pvm: Pvm) -> dict[str, list[tuple[Any, ...]]]:
    """What collection stored, without times."""
    of_job = "WHERE job_id = 'j1' ORDER BY 1, 2"
    asked = {
        "products": "SELECT p.product_id, p.src, p.asin_or_itemid, p.title, p.brand, p.url "
        f"FROM job_products JOIN products p USING (product_id) {of_job}",
        "stored_images": "SELECT i.img_id, i.product_id, i.sha256 "
        f"FROM job_images JOIN stored_images i USING (img_id) {of_job}",
        "videos": "SELECT j.given_name, video_id, v.title "
        f"FROM job_videos j JOIN videos v USING (video_id) {of_job}",
        "source_states": f"SELECT source, kind, state, found FROM source_states {of_job}",
    }
    with EmbeddedServer(pvm.home) as server, psycopg.connect(server.uri("pvm")) as connection:
        return {table: connection.execute(query).fetchall() for table, query in asked.items()}


def _stored(pvm: Pvm) -> set[str]:
    """Paths at the shop that need not be asked for again: stored answers and pictures."""
    with EmbeddedServer(pvm.home) as server, psycopg.connect(server.uri("pvm")) as connection:
        pictures = connection.execute("SELECT source_ref FROM image_sources").fetchall()
        answers = connection.execute("SELECT key FROM source_answers WHERE source = 'ebay'").fetchall()
    keys = [key for (key,) in answers]
    found = {"/" + ref.split("/", 3)[3] for (ref,) in pictures}
    found |= {f"{_ITEM}{quote(key.split('|', 3)[3], safe='')}" for key in keys if key.startswith("item|")}
    return found | ({_SEARCH} if any(key.startswith("page|") for key in keys) else set())


def test_products_of_a_shop_are_found_in_videos_of_a_site(whole: Whole, sites: Sites) -> None:
    assert whole.run.returncode == 0, whole.run.stderr
    assert _accepted(whole.pvm) == _titles(sites)
    for row in _matches(whole.pvm):
        assert row["product"].isdecimal()
        assert row["status"] != "accepted" or Path(row["evidence"]).read_bytes()[:2] == b"\xff\xd8"
    assert sites.ebay.violations() == []


def test_each_source_is_told_with_what_it_lacks_and_the_others_go_on(whole: Whole) -> None:
    for said in ("amazon", "AMAZON_CREDENTIAL_ID", "AMAZON_PARTNER_TAG", "Chinese"):
        assert said in whole.run.stderr
    status = json.loads(whole.pvm("status", "--job", "j1", "--json").stdout)
    states = {s["source"]: s["state"] for s in status["jobs"][0]["sources"]}
    assert set(states) == {"ebay", "amazon", "youtube", "bilibili"}
    assert states["ebay"] == "ok"
    assert states["amazon"] == "not_configured"


def test_a_rerun_asks_for_nothing_that_is_stored(whole: Whole, sites: Sites) -> None:
    before = sites.asked()
    assert whole.pvm("retry", "j1", **sites.environment).returncode == 0
    assert sites.asked() == before


def test_a_shop_that_is_down_is_named_and_another_feeds_the_job(whole: Whole, sites: Sites) -> None:
    asked = ("--products", "ebay,amazon", "--videos", "youtube", "--top", "20")
    down = {**sites.with_amazon, "EBAY_API_URL": "http://127.0.0.1:9"}
    done = whole.pvm("run", "--industry", INDUSTRY, "--job", "j2", *asked, **down)

    assert done.returncode == 0, done.stderr
    assert "ebay: failed" in done.stderr
    assert _accepted(whole.pvm, "j2") == _titles(sites)
    assert all(re.fullmatch(r"B0[0-9A-Z]{8}", row["product"]) for row in _matches(whole.pvm, "j2"))


def test_no_source_that_can_answer_ends_clearly(whole: Whole, sites: Sites) -> None:
    done = whole.pvm(
        *("run", "--industry", INDUSTRY, "--job", "j3"),
        *("--products", "ebay,amazon", "--videos", sites.case.videos),
    )

    assert done.returncode == 2, done.stderr
    for name in ("EBAY_CLIENT_ID", "EBAY_CLIENT_SECRET", "AMAZON_CREDENTIAL_ID"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_killed_while_it_collects_a_rerun_asks_only_for_what_is_missing(
    whole: Whole, pvm: Pvm, sites: Sites
) -> None:
    start = sites.asked()
    sites.ebay.fail("/pictures/", "slow", seconds=20, skip=17)
    process = subprocess.Popen(
        pvm.command("run", "--industry", INDUSTRY, *ASKED, "--job", "j1"),
        env=pvm.environment(**sites.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with EmbeddedServer(pvm.home) as server:
        _wait_until(lambda: _pictures_kept(server) > 0, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    stored, before = _stored(pvm), sites.asked()
    fetched = [path for path in stored if path.startswith("/pictures/")]
    assert _SEARCH in stored
    assert 0 < len(fetched) < len(_rows(whole.pvm)["stored_images"])
    assert all(before[path] > start.get(path, 0) for path in stored)

    again = pvm("retry", "j1", **sites.environment)

    assert again.returncode == 0, again.stderr
    asked = sites.asked()
    assert [path for path in stored if asked[path] != before[path]] == []
    assert _rows(pvm) == _rows(whole.pvm)
    assert [_judged(row) for row in _matches(pvm)] == [_judged(row) for row in _matches(whole.pvm)]


def _pictures_kept(server: EmbeddedServer) -> int:
    try:
        with psycopg.connect(server.uri("pvm")) as connection:
            found = connection.execute("SELECT count(*) FROM image_sources").fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return 0
    return int(found[0]) if found else 0


def _wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 200
    while not reached():
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _judged(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["product"], row["video"], row["score"], row["ts"], row["status"]
