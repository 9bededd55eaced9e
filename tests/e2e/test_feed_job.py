"""A job from a product feed on the net: sources not set up are named, a picture given up is replayed."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator

import pytest
import tiny
from harness import Pvm

from tests.standins.serving import Answer, Request, StandIn

pytestmark = pytest.mark.long
INDUSTRY = "Hộp từ cửa hàng"
PRODUCTS = 5
JOB = "from-a-feed"


class Shop(StandIn):
    """Serves a case: its catalogue as a packed Google feed, its pictures beside it."""

    def __init__(self, case: tiny.Tiny) -> None:
        super().__init__()
        self._folder = case.products.parent
        with case.products.open(encoding="utf-8") as file:
            items = "".join(
                f"<item><g:id>{row['product_id']}</g:id><g:title>{row['title']}</g:title>"
                f"<g:image_link>{row['image']}</g:image_link></item>"
                for row in csv.DictReader(file)
            )
        google = 'xmlns:g="http://base.google.com/ns/1.0"'
        self._feed = gzip.compress(f"<rss version='2.0' {google}><channel>{items}</channel></rss>".encode())

    def answer(self, request: Request) -> Answer:
        if request.path == "/feed.xml.gz":
            return Answer(200, self._feed, "application/gzip")
        return Answer(200, (self._folder / request.path.lstrip("/")).read_bytes(), "image/jpeg")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    return tiny.write_case(tmp_path_factory.mktemp("shop"), products=PRODUCTS, clips=2)


@pytest.fixture
def shop(case: tiny.Tiny) -> Iterator[Shop]:
    with Shop(case) as server:
        yield server


def test_a_feed_feeds_the_job_others_are_named_and_what_was_given_up_is_replayed(
    shared_pvm: Pvm, shop: Shop, case: tiny.Tiny
) -> None:
    lost = f"{shop.url}/images/p4.jpg"
    shop.fail("/images/p4.jpg", times=None, status=503)
    mine = {"PVM_FETCH_ALLOW": "127.0.0.1", "EBAY_CLIENT_ID": "", "AMAZON_CREDENTIAL_ID": ""}
    asked = ("--products", f"ebay,amazon,{shop.url}/feed.xml.gz", "--videos", str(case.videos), "--top", "20")

    done = shared_pvm("run", "--industry", INDUSTRY, *asked, "--job", JOB, **mine)

    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert any(line.startswith("ebay: not configured: EBAY_CLIENT_ID") for line in lines)
    assert any(line.startswith("amazon: not configured: AMAZON_CREDENTIAL_ID") for line in lines)
    assert any(line.endswith("[source.not_configured]") for line in lines)
    assert "c0" in done.stdout
    (job,) = json.loads(shared_pvm("status", "--job", JOB, "--json").stdout)["jobs"]
    assert {s["source"]: (s["state"], s["found"]) for s in job["sources"]} == {
        "ebay": ("not_configured", 0), "amazon": ("not_configured", 0), "file": ("ok", PRODUCTS),
        "folder": ("ok", 2),
    }  # fmt: skip
    assert [(d["item"], d["attempts"]) for d in job["dead_letters"]] == [(lost, 3)]

    shop.faults.clear()
    shop.forget()
    again = shared_pvm("retry", JOB, **mine)

    assert again.returncode == 0, again.stderr
    assert "1 item given up before: tried again" in again.stderr
    assert "0 items given up now" in again.stderr
    # The feed's answer and the other pictures are here already.
    assert dict(shop.counts) == {"/images/p4.jpg": 1}
    (job,) = json.loads(shared_pvm("status", "--job", JOB, "--json").stdout)["jobs"]
    assert (job["dead_letters"], job["counts"]["images"]) == ([], PRODUCTS)
