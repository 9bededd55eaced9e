"""eBay as a source, against a real local server that checks the contract."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvm_core.errors import Problem
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.sources.base import Collected, ProductRecord, ProductSource, Query
from pvm_resources.sources.ebay import Ebay
from pvm_resources.sources.ebay.account import EbayAccount
from pvm_resources.sources.ebay.client import MINTS_A_DAY
from pvm_resources.store.assembly import Store
from pvm_resources.store.quotas import Quotas
from tests.pvm_resources.shopping import SLOW, Shopping, Waits, codes, one_database, settings_of, shopping
from tests.standins.ebay import (
    AWAY,
    CLIENT_ID,
    CLIENT_SECRET,
    ITEM,
    SEARCH,
    TOKEN_PATH,
    WARNING,
    EbayStandIn,
)
from tests.standins.openapi import Contract, find_spec
from tests.standins.wares import Ware, plain

Ask = Callable[..., Collected[ProductRecord]]
PILLOW = Query("pillow", {"en": ("pillow",)}, limit=6)
WARES = plain(12)


@pytest.fixture
def ebay() -> Iterator[EbayStandIn]:
    with EbayStandIn(WARES) as running:
        yield running
        assert running.violations == []


@pytest.fixture(scope="module")
def shop(server: EmbeddedServer, migrated: str) -> Iterator[Store]:
    yield from one_database(server, migrated)


@pytest.fixture
def job(shop: Store) -> Shopping:
    return shopping(shop, "ebay")


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def ask(ebay: EbayStandIn, job: Shopping, waits: Waits) -> Ask:
    """Collects with the given query and settings."""

    def collect(query: Query = PILLOW, **given: Any) -> Collected[ProductRecord]:
        return make(ebay, job, waits, **given).collect(query)

    return collect


def make(ebay: EbayStandIn, job: Shopping, waits: Waits, **given: Any) -> Ebay:
    account = {"ebay_client_id": CLIENT_ID, "ebay_client_secret": CLIENT_SECRET, "ebay_api_url": ebay.url}
    return Ebay(job.context(settings_of(**{**account, **given})), retries=waits.retries, limits=waits.limits)


# -- what is found -----------------------------------------------------------------------------------


def test_listings_with_brand_and_whole_gallery_cost_one_call_each_and_one_search(
    ebay: EbayStandIn, ask: Ask, job: Shopping
) -> None:
    found = ask()
    assert (found.status.state, found.status.reason, found.problems) == ("ok", "", ())
    assert len(found.records) == len({record.external_id for record in found.records}) == 6
    for record in found.records:
        ware = ebay.wares[ebay.number(record.external_id)]
        assert (record.source, record.namespace) == ("ebay", "ebay")
        assert (record.title, record.brand) == (ware.title, ware.brand)
        assert record.url == f"https://www.ebay.com/itm/{record.external_id}"
        assert len(record.pictures) == len(ware.pictures)
    assert (ebay.count(SEARCH), ebay.count(ITEM), ebay.count(TOKEN_PATH)) == (1, 6, 1)
    assert job.lines[-1] == "eBay: 6 of 6 listings"


def test_it_is_a_product_source_under_ebays_terms(ebay: EbayStandIn, job: Shopping, waits: Waits) -> None:
    source = make(ebay, job, waits)
    assert isinstance(source, ProductSource)
    assert source.name == "ebay"
    assert (source.policy.max_age_h, source.policy.may_train, source.policy.restricted) == (6.0, False, True)


def test_variants_of_a_listing_are_one_product_with_the_pictures_of_all(ebay: EbayStandIn, ask: Ask) -> None:
    found = ask(Query("pillow", {"en": ("pillow", "neck rest", "cushion", "headrest")}, limit=12))
    assert len(found.records) == len({record.external_id for record in found.records}) == 12
    groups = [r for r in found.records if ebay.is_group(ebay.number(r.external_id))]
    assert len(groups) == 4
    assert all(len(record.pictures) == 3 for record in groups)
    assert ebay.count(ITEM) == 12


def test_nothing_of_sellers_or_affiliates_is_kept(ask: Ask, job: Shopping) -> None:
    ask()
    stored = job.stored()
    assert "Pillow number" in stored
    assert not any(word in stored for word in ("seller", "campid", "hash=", "_skw", "feedback"))


def test_a_listing_is_whole_and_lives_through_the_stored_answers(ask: Ask) -> None:
    for _ in range(2):
        found = ask(Query("pillow")).records[0]
        assert (found.price, found.currency, found.facts.category) == ("19.99", "USD", "Bed Pillows")
        assert found.facts.attributes == {"condition": "New", "Brand": found.brand}


def test_without_a_limit_it_asks_for_fifty(job: Shopping, waits: Waits) -> None:
    with EbayStandIn(plain(60, pictures=1)) as ebay:
        found = make(ebay, job, waits).collect(Query("pillow"))
        assert len(found.records) == ebay.count(ITEM) == 50


def test_nothing_found_is_ok_and_says_what_was_searched_for(
    ask: Ask,
) -> None:
    found = ask(Query("pillow", {"en": ("nothing at all",)}))
    assert (found.status.state, found.records) == ("ok", ())
    assert "'nothing at all'" in found.status.reason


def test_a_listing_without_pictures_is_left_out_and_named(job: Shopping, waits: Waits) -> None:
    with EbayStandIn([*plain(2), Ware("bare", "none", ())]) as ebay:
        found = make(ebay, job, waits).collect(PILLOW)
        assert len(found.records) == 2
        assert codes(found) == ["ebay.no_picture"]
        assert found.status.state == "partial"


# -- phrases and languages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marketplace", "terms", "locale", "searched", "note"),
    [
        ("EBAY_US", {"en": ("pillow",), "und": ("gối",)}, "en-US", ["pillow"], ""),
        ("EBAY_GB", {"de": ("Kissen",), "en": ("pillow",)}, "en-GB", ["pillow"], ""),
        ("EBAY_DE", {"de": ("Kissen",), "en": ("pillow",)}, "de-DE", ["Kissen"], ""),
        ("EBAY_CA", {"fr": ("oreiller",)}, "fr-CA", ["oreiller"], ""),
        ("EBAY_CA", {"fr": ("oreiller",), "en": ("pillow",)}, "en-CA", ["pillow"], ""),
        ("EBAY_BE", {"fr": ("oreiller",)}, "fr-BE", ["oreiller"], ""),
        ("EBAY_US", {"und": ("gối",), "zh": ("枕头",)}, "en-US", ["gối"], ""),
        ("EBAY_US", {"zh": ("枕头",)}, "en-US", ["枕头"], "no phrases in en: searched in zh"),
        ("EBAY_US", {"en": ("  ",)}, "en-US", ["gối công thái học"], ""),
        ("EBAY_US", {}, "en-US", ["gối công thái học"], ""),
    ],
)
def test_the_marketplaces_language_is_searched_for(
    ebay: EbayStandIn,
    ask: Ask,
    marketplace: str,
    terms: dict[str, tuple[str, ...]],
    locale: str,
    searched: list[str],
    note: str,
) -> None:
    found = ask(Query("gối công thái học", terms, limit=1), ebay_marketplace=marketplace)
    assert (found.status.state, found.status.reason) == ("ok", note)
    requests = [one for one in ebay.requests if one.path == SEARCH]
    assert [one.query["q"] for one in requests] == searched
    assert {one.headers["accept-language"] for one in requests} == {locale}
    assert {one.headers["x-ebay-c-marketplace-id"] for one in requests} == {marketplace}


@pytest.mark.parametrize(
    ("phrase", "searched", "problems"),
    [
        ("memory * (foam, latex)", "memory foam latex", []),
        ("word " * 30, ("word " * 20).strip(), ["ebay.phrase"]),
        ("x" * 150, "x" * 100, ["ebay.phrase"]),
        ("**", None, ["ebay.phrase"]),
    ],
)
def test_phrases_are_made_what_ebay_takes_and_cuts_are_told(
    ebay: EbayStandIn,
    ask: Ask,
    phrase: str,
    searched: str | None,
    problems: list[str],
) -> None:
    found = ask(Query("pillow", {"en": (phrase,)}, limit=1))
    assert [one.query["q"] for one in ebay.requests if one.path == SEARCH] == ([searched] if searched else [])
    assert codes(found) == problems
    assert found.status.state == "ok"


def test_several_phrases_share_the_limit_in_turn(ebay: EbayStandIn, ask: Ask) -> None:
    found = ask(Query("pillow", {"en": ("pillow", "headrest")}, limit=4))
    firsts = [
        ask(Query("pillow", {"en": (phrase,)}, limit=1)).records[0] for phrase in ("pillow", "headrest")
    ]
    assert list(found.records[:2]) == firsts
    assert len(found.records) == 4


_runs = iter(range(1_000_000))


@example(stock=450, limit=430, phrases=["a"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stock=st.integers(0, 260),
    limit=st.integers(1, 240),
    phrases=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=3, unique=True),
)
def test_paging_finds_each_listing_once_and_asks_for_no_more_pages_than_it_needs(
    job: Shopping, waits: Waits, stock: int, limit: int, phrases: list[str]
) -> None:
    job.forget_answers()
    run = next(_runs)
    with EbayStandIn([Ware(f"{run} {n}", "", (b"\xff\xd8",)) for n in range(stock)]) as ebay:
        # The pages of listings cost a call each and say nothing of paging: the first refusal ends them here.
        ebay.fail(ITEM, status=403, times=None)
        found = make(ebay, job, waits, ebay_daily_calls=10**9).collect(
            Query("x", {"en": tuple(phrases)}, limit)
        )
        assert len(found.records) == len({r.external_id for r in found.records}) == min(limit, stock)
        searches = [one.query for one in ebay.requests if one.path == SEARCH]
        assert len({tuple(sorted(query.items())) for query in searches}) == len(searches)
        size = int(searches[0]["limit"])
        assert len(searches) <= len(phrases) * (-(-min(limit, stock) // size) + 1)
        assert ebay.violations == []


# -- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason", "remedy"),
    [
        (
            {"ebay_client_id": None, "ebay_client_secret": None},
            "EBAY_CLIENT_ID and EBAY_CLIENT_SECRET are not set",
            "docs/sources.md",
        ),
        ({"ebay_client_id": None}, "EBAY_CLIENT_ID is not set", "developer.ebay.com"),
        ({"ebay_client_secret": None}, "EBAY_CLIENT_SECRET is not set", "developer.ebay.com"),
        ({"ebay_marketplace": "EBAY_VN"}, "EBAY_MARKETPLACE is 'EBAY_VN'", "EBAY_US, EBAY_AT"),
        ({"ebay_marketplace": "ebay_us"}, "EBAY_MARKETPLACE is 'ebay_us'", "EBAY_US"),
        ({"ebay_api_url": "api.ebay.com"}, "EBAY_API_URL is no http(s) URL", "leave it out"),
        ({"ebay_api_url": "http://[::1"}, "EBAY_API_URL is no http(s) URL", "leave it out"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_asked(
    ebay: EbayStandIn,
    ask: Ask,
    given: dict[str, Any],
    reason: str,
    remedy: str,
) -> None:
    found = ask(**given)
    assert (found.status.source, found.status.state) == ("ebay", "not_configured")
    assert reason in found.status.reason
    assert remedy in found.status.remedy
    assert (found.records, found.problems, ebay.requests) == ((), (), [])


# -- tokens ------------------------------------------------------------------------------------------


def test_a_revoked_token_is_forgotten_once_and_the_request_made_again(
    ebay: EbayStandIn, ask: Ask, job: Shopping
) -> None:
    ask()
    ebay.revoke()
    job.forget_answers()
    ebay.forget()
    found = ask()
    assert (found.status.state, len(found.records)) == ("ok", 6)
    assert ebay.count(TOKEN_PATH) == 1
    assert ebay.count(SEARCH) == 2


def test_a_token_refused_twice_is_a_matter_of_the_key_set(ebay: EbayStandIn, ask: Ask) -> None:
    body = {"errors": [{"errorId": 1001, "message": "Invalid access token"}]}
    ebay.fail(SEARCH, status=401, times=None, body=body)
    found = ask()
    assert found.status.state == "not_configured"
    assert "1001 Invalid access token" in found.status.reason
    assert "account deletion" in found.status.remedy
    assert (ebay.count(SEARCH), ebay.count(TOKEN_PATH), ebay.count(ITEM)) == (2, 2, 0)


@pytest.mark.parametrize(
    ("status", "error", "state", "remedy"),
    [
        (401, "invalid_client", "not_configured", "account deletion"),
        (400, "invalid_client", "not_configured", "EBAY_CLIENT_SECRET"),
        (400, "unauthorized_client", "not_configured", "production key set"),
        (400, "invalid_scope", "not_eligible", "Buy APIs"),
    ],
)
def test_a_refused_key_set_says_what_to_look_at(
    ebay: EbayStandIn,
    ask: Ask,
    status: int,
    error: str,
    state: str,
    remedy: str,
) -> None:
    ebay.fail(TOKEN_PATH, status=status, times=None, body={"error": error})
    found = ask()
    assert found.status.state == state
    assert remedy in found.status.remedy
    assert ebay.count(TOKEN_PATH) == 1
    assert ebay.count(SEARCH) == 0


def test_a_wrong_secret_is_refused_by_the_server_itself(ebay: EbayStandIn, ask: Ask) -> None:
    assert ask(ebay_client_secret="wrong").status.reason == "eBay refuses the key set (invalid_client)"


@pytest.mark.parametrize(
    "token",
    [
        {},
        [],
        {"access_token": ""},
        {"access_token": "t"},
        {"access_token": "t", "expires_in": "soon"},
        {"access_token": "t", "expires_in": float("nan")},
    ],
)
def test_an_answer_that_is_no_token_is_no_token(ebay: EbayStandIn, ask: Ask, token: Any) -> None:
    ebay.fail(TOKEN_PATH, status=200, times=None, body=token)
    found = ask()
    assert found.status.state == "failed"
    assert "no token could be had" in found.status.reason
    assert ebay.count(TOKEN_PATH) == 4


def test_a_token_server_that_stumbles_is_asked_again(ebay: EbayStandIn, ask: Ask) -> None:
    ebay.fail(TOKEN_PATH, status=503, times=2)
    assert ask().status.state == "ok"


def test_a_short_lived_token_is_used_and_not_kept(job: Shopping, waits: Waits) -> None:
    with EbayStandIn(WARES[:2], token_life_s=30) as ebay:
        assert make(ebay, job, waits).collect(PILLOW).status.state == "ok"
        assert ebay.count(TOKEN_PATH) == 3


def test_jobs_at_once_share_one_token(ebay: EbayStandIn, job: Shopping, waits: Waits) -> None:
    ebay.fail(TOKEN_PATH, "slow", seconds=0.2)
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: make(ebay, job, waits).collect(PILLOW).status.state, range(4)))
    assert states == ["ok"] * 4
    assert ebay.count(TOKEN_PATH) == 1


def test_a_loop_of_refusals_cannot_use_up_the_days_tokens(ebay: EbayStandIn, ask: Ask, job: Shopping) -> None:
    account = EbayAccount.of(
        settings_of(ebay_client_id=CLIENT_ID, ebay_client_secret="x", ebay_api_url=ebay.url)
    )
    assert Quotas(job.database).spend("ebay", f"{account.key} tokens", MINTS_A_DAY, MINTS_A_DAY)
    found = ask()
    assert found.status.state == "rate_limited"
    assert "1,000 tokens" in found.status.reason
    assert ebay.requests == []


# -- budget ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 4, 6])
def test_the_days_budget_is_never_overspent_and_what_came_is_kept(
    ebay: EbayStandIn, ask: Ask, job: Shopping, calls: int
) -> None:
    found = ask(ebay_daily_calls=calls)
    assert ebay.count(SEARCH) + ebay.count(ITEM) == calls
    assert found.status.state == "rate_limited"
    assert f"the day's {calls} calls are spent; 6 products were found" in found.status.reason
    assert "tomorrow" in found.status.remedy
    # Listings that were not looked at keep what the search showed of them, and are named.
    assert len(found.records) == 6
    assert codes(found) == ["ebay.not_asked"] * (7 - calls)
    assert sum(record.brand == "" for record in found.records) == 7 - calls
    # The next day asks for the rest and for nothing else.
    with job.database.transaction() as cursor:
        cursor.execute("UPDATE source_budgets SET day = day - 1")
    ebay.forget()
    assert ask(ebay_daily_calls=7 - calls).status.state == "ok"
    assert (ebay.count(SEARCH), ebay.count(ITEM)) == (0, 7 - calls)


def test_a_budget_of_another_key_set_is_its_own(ask: Ask, job: Shopping) -> None:
    ask()
    used = job.database.tuples("SELECT account, used FROM source_budgets ORDER BY used")
    assert [row[1] for row in used] == [1, 7]
    assert all(row[0].startswith(f"{CLIENT_ID}@127.0.0.1:") for row in used)


# -- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"status": 500, "times": 3}, [1.0, 2.0, 4.0]),
        ({"status": 503, "times": 1, "retry_after": "7"}, [8.0]),
        ({"status": 429, "times": 1, "retry_after": "3"}, [4.0]),
        ({"status": 429, "times": 2}, [1.0, 2.0]),
        ({"kind": "content_type", "times": 1}, [1.0]),
        ({"kind": "truncated", "times": 1}, [1.0]),
        ({"kind": "broken", "times": 1}, [1.0]),
        ({"kind": "hang_up", "times": 1}, [1.0]),
        ({"kind": "slow", "times": 1, "seconds": 1.5}, [1.0]),
        ({"kind": "drip", "times": 1, "seconds": 4}, [1.0]),
    ],
)
def test_a_search_that_stumbles_is_made_again(
    ebay: EbayStandIn,
    ask: Ask,
    waits: Waits,
    fault: dict[str, Any],
    seconds: list[float],
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    ebay.fail(SEARCH, **fault)
    found = ask()
    assert (found.status.state, len(found.records), found.problems) == ("ok", 6, ())
    assert waits.seconds == seconds
    assert ebay.count(SEARCH) == 1 + len(seconds)


@pytest.mark.parametrize(
    ("fault", "state", "reason", "searches"),
    [
        ({"status": 500}, "failed", "eBay answers 500", 4),
        ({"status": 429}, "rate_limited", "takes no more requests", 4),
        ({"status": 429, "retry_after": "86400"}, "rate_limited", "asks to wait 86,400 s", 1),
        ({"status": 429, "retry_after": "Fri, 31 Dec 2100 23:59:59 GMT"}, "rate_limited", "asks to wait", 1),
        ({"kind": "slow", "seconds": 1.5}, "failed", "did not answer in time", 4),
        ({"kind": "content_type"}, "failed", "no JSON object but text/html", 4),
        ({"kind": "truncated"}, "failed", "no JSON object", 4),
        ({"kind": "hang_up"}, "failed", "out of reach", 4),
        ({"status": 302}, "failed", "refuses it: 302", 1),
        (
            {"status": 400, "body": {"errors": [{"errorId": 12023, "message": "Too large."}]}},
            "failed",
            "12023 Too large",
            1,
        ),
        ({"kind": "warnings"}, "failed", "eBay warns: 12002 The conditionIds value is invalid", 1),
        (
            {"status": 403, "body": {"errors": [{"errorId": 1100, "message": "Insufficient permissions"}]}},
            "not_eligible",
            "1100 Insufficient permissions",
            1,
        ),
    ],
)
def test_a_search_that_fails_for_good_gives_a_state_with_its_reason(
    ebay: EbayStandIn,
    ask: Ask,
    waits: Waits,
    fault: dict[str, Any],
    state: str,
    reason: str,
    searches: int,
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    ebay.fail(SEARCH, times=None, **fault)
    found = ask()
    assert (found.status.state, found.records) == (state, ())
    assert reason in found.status.reason
    assert found.status.remedy
    assert ebay.count(SEARCH) == searches
    assert ebay.count(ITEM) == 0


def test_one_phrase_failing_leaves_the_others(ebay: EbayStandIn, ask: Ask) -> None:
    ebay.fail(SEARCH, "warnings", times=None, query={"q": "neck rest"})
    found = ask(Query("pillow", {"en": ("neck rest", "pillow")}, limit=6))
    assert (found.status.state, len(found.records)) == ("partial", 6)
    assert "a search failed: search 'neck rest': eBay warns: 12002" in found.status.reason
    assert codes(found) == ["ebay.warning"]


@pytest.mark.parametrize(
    ("fault", "code", "said", "again"),
    [
        ({"status": 500}, "ebay.server", "eBay answers 500", True),
        ({"kind": "content_type"}, "ebay.unreadable", "text/html", True),
        ({"kind": "slow", "seconds": 1.5}, "ebay.timeout", "in time", True),
        ({"kind": "warnings", "body": [{**WARNING, "errorId": 11502}]}, "ebay.warning", "11502", False),
        (
            {"status": 404, "body": {"errors": [{"errorId": 11001, "message": "Not found"}]}},
            "ebay.refused",
            "11001 Not found",
            False,
        ),
    ],
)
def test_a_listing_that_cannot_be_looked_at_is_used_as_the_search_showed_it(
    ebay: EbayStandIn,
    ask: Ask,
    waits: Waits,
    fault: dict[str, Any],
    code: str,
    said: str,
    again: bool,
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    ebay.fail(ebay.item_path(4), times=None, **fault)
    found = ask(Query("pillow", {"en": ("pillow",)}, limit=12))
    assert (found.status.state, len(found.records)) == ("partial", 12)
    assert found.status.reason.startswith("1 of 12 listings without their page")
    (problem,) = found.problems
    assert (problem.stage, problem.item, problem.code) == ("products", ebay.item_id(4), code)
    assert said in problem.message
    assert "used with the 2 pictures of the search" in problem.message
    assert problem.retryable is again
    poor = next(record for record in found.records if record.external_id == ebay.listing_id(4))
    assert (poor.brand, len(poor.pictures), poor.title) == ("", 2, "Pillow number 4")
    assert ebay.counts[ebay.item_path(4)] == (4 if again else 1)


def test_a_seller_on_holiday_spoils_no_listing(ebay: EbayStandIn, ask: Ask) -> None:
    ebay.fail(ITEM, "warnings", times=None, body=[AWAY])
    found = ask()
    assert (found.status.state, found.problems) == ("ok", ())
    assert all(record.brand for record in found.records)


def test_a_server_that_went_down_is_not_asked_for_every_listing(ebay: EbayStandIn, ask: Ask) -> None:
    ebay.fail(ITEM, status=500, times=None)
    found = ask(Query("pillow", {"en": ("pillow",)}, limit=12))
    assert (found.status.state, len(found.records)) == ("partial", 12)
    assert "requests in a row failed; the last: eBay answers 500" in found.status.reason
    # Three failures end it; four are under way at once, each with three retries.
    assert ebay.count(ITEM) <= (3 + 3) * 4
    assert set(codes(found)) == {"ebay.server", "ebay.not_asked"}


def test_429_halfway_keeps_what_was_found(ebay: EbayStandIn, ask: Ask) -> None:
    ebay.fail(ITEM, status=429, skip=3, times=None, retry_after="3600")
    found = ask()
    assert (found.status.state, len(found.records)) == ("rate_limited", 6)
    assert sum(bool(record.brand) for record in found.records) == 3
    assert "6 products were found" in found.status.reason


# -- again -------------------------------------------------------------------------------------------


def test_a_rerun_asks_nothing_twice(ebay: EbayStandIn, ask: Ask, job: Shopping) -> None:
    ebay.fail(ebay.item_path(4), status=404, times=None)
    first = ask(Query("pillow", {"en": ("pillow", "neck rest")}, limit=12))
    ebay.forget()
    second = ask(Query("pillow", {"en": ("pillow", "neck rest")}, limit=12))
    assert ebay.requests == []
    assert second.records == first.records
    assert [(p.item, p.code, p.retryable) for p in second.problems] == [
        (p.item, p.code, p.retryable) for p in first.problems
    ]
    assert second.status == first.status


def test_a_run_killed_halfway_asks_only_for_the_rest(
    ebay: EbayStandIn, job: Shopping, waits: Waits, ask: Ask
) -> None:
    class KilledError(BaseException):
        pass

    class Dying(list[float]):
        def append(self, seconds: float) -> None:
            raise KilledError

    ebay.fail(ITEM, status=500, skip=3, times=1)
    with pytest.raises(KilledError):
        make(ebay, job, Waits(Dying())).collect(PILLOW)
    done = [one.path for one in ebay.requests if one.path.startswith(ITEM)]
    assert 3 < len(done) <= 7
    ebay.forget()
    found = ask()
    assert (found.status.state, len(found.records)) == ("ok", 6)
    assert ebay.count(SEARCH) == ebay.count(TOKEN_PATH) == 0
    assert ebay.count(ITEM) == 6 - (len(done) - 1)


def test_answers_older_than_six_hours_are_asked_for_again(ebay: EbayStandIn, ask: Ask, job: Shopping) -> None:
    ask()
    with job.database.transaction() as cursor:
        cursor.execute("UPDATE source_answers SET fetched_at = now() - interval '6 hours 1 minute'")
    ebay.forget()
    ask()
    assert (ebay.count(SEARCH), ebay.count(ITEM)) == (1, 6)


# -- secrets -----------------------------------------------------------------------------------------

_FAULTS: list[dict[str, Any]] = [
    {},
    {"path": TOKEN_PATH, "status": 401, "body": {"error": "invalid_client"}},
    {"path": TOKEN_PATH, "kind": "hang_up"},
    {"path": SEARCH, "status": 401},
    {"path": SEARCH, "status": 403},
    {"path": SEARCH, "kind": "slow", "seconds": 1.5},
    {"path": ITEM, "status": 500},
]


@pytest.mark.parametrize(
    "fault", _FAULTS, ids=lambda fault: "-".join(str(v) for v in fault.values()) or "none"
)
def test_no_credential_stands_in_logs_statuses_problems_or_answers(
    ebay: EbayStandIn,
    ask: Ask,
    job: Shopping,
    waits: Waits,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    if fault:
        ebay.fail(times=None, **fault)
    with caplog.at_level(logging.DEBUG):
        found = ask()
    assert "127.0.0.1" in caplog.text
    said = "\n".join([caplog.text, repr(found), job.stored(), *job.lines])
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    assert not any(secret in said for secret in (CLIENT_SECRET, basic, "stand-in-token"))


def test_an_account_hides_its_secret(ebay: EbayStandIn) -> None:
    account = EbayAccount.of(settings_of(ebay_client_id="id", ebay_client_secret="hidden"))
    assert "hidden" not in repr(account)


# -- the contract ------------------------------------------------------------------------------------


@pytest.fixture
def contract(shared: object) -> Contract:
    spec = find_spec()
    if spec is None:
        pytest.skip("eBay's specification is not at hand: set PVM_SHARED to the folder of measuring material")
    return Contract(spec)


def test_every_request_and_every_answer_keeps_to_the_specification(
    contract: Contract, ebay: EbayStandIn, ask: Ask, job: Shopping
) -> None:
    assert ebay.contract is not None
    ebay.fail(ebay.item_path(1), "warnings")
    for marketplace in ("EBAY_US", "EBAY_DE"):
        ask(Query("pillow", {"en": ("pillow", "(a, b)", "x" * 300)}, limit=12), ebay_marketplace=marketplace)
    ask(Query("pillow", {"en": ("nothing",)}))
    assert ebay.count(ITEM) == 24
    assert ebay.violations == []


@pytest.mark.parametrize(
    ("path", "headers", "said"),
    [
        (f"{SEARCH}?q=a", {}, "X-EBAY-C-MARKETPLACE-ID is missing"),
        (f"{SEARCH}?q=a", {"X-EBAY-C-MARKETPLACE-ID": "EBAY_VN"}, "missing or unknown"),
        (f"{SEARCH}?q=a&page=2", {}, "unknown query parameter page"),
        (f"{SEARCH}?q={'a' * 101}", {}, "longer than 100"),
        (f"{SEARCH}?q=a&limit=201", {}, "1 to 200"),
        (f"{SEARCH}?q=a&limit=50&offset=20", {}, "no multiple"),
        (f"{SEARCH}?q=a&limit=200&offset=10000", {}, "below 10,000"),
        (f"{SEARCH}?q=a", {"X-EBAY-C-NONSENSE": "1"}, "unknown header x-ebay-c-nonsense"),
        (f"{ITEM}v1|1|0", {}, "percent-encoded"),
        ("/buy/browse/v1/items", {}, "no such path"),
    ],
)
def test_the_stand_in_refuses_what_the_specification_does_not_allow(
    contract: Contract, path: str, headers: dict[str, str], said: str
) -> None:
    import http.client

    with EbayStandIn(WARES[:1]) as ebay:
        connection = http.client.HTTPConnection(ebay.url.removeprefix("http://"), timeout=10)
        usual = {"X-EBAY-C-MARKETPLACE-ID": "EBAY_US"} if headers else {}
        connection.request("GET", path, headers={**usual, "Accept-Language": "en-US", **headers})
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == 400
        assert any(said in one for one in ebay.violations)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"itemId": "v1|1|0", "brandName": "x"}, "brandName"),
        ({"itemId": 1}, "is not of type 'string'"),
        ({"image": {"imageUrl": "x", "alt": "y"}}, "alt"),
    ],
)
def test_the_contract_finds_a_fixture_that_ebay_would_not_send(
    contract: Contract, content: dict[str, Any], said: str
) -> None:
    (fault,) = contract.answer_faults("GET", "/item/{item_id}", 200, content)
    assert said in fault
    assert contract.schema_faults("Error", WARNING) == []
    assert contract.answer_faults("GET", "/item/{item_id}", 418, {}) != []


def test_problems_are_what_the_job_shows(ebay: EbayStandIn, ask: Callable[..., Any]) -> None:
    ebay.fail(ITEM, status=404, times=1)
    assert all(isinstance(problem, Problem) for problem in ask().problems)


def test_the_database_out_of_reach_is_no_fault_of_ebay(
    ebay: EbayStandIn, job: Shopping, waits: Waits
) -> None:
    from pvm_core.errors import StoreError

    source = make(ebay, job, waits)
    gone = Shopping(Database("postgresql://127.0.0.1:1/none"), "ebay", job.job_id)
    with pytest.raises(StoreError):
        make(ebay, gone, waits).collect(PILLOW)
    assert source.collect(PILLOW).status.state == "ok"
