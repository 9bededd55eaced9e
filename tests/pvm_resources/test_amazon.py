"""Amazon as a source, through the library, against a local server that reads with Amazon's own models."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pytest
from creatorsapi_python_sdk.models.search_result import SearchResult
from hypothesis import given
from hypothesis import strategies as st

from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.sources.amazon import Amazon
from pvm_resources.sources.amazon.account import MARKETS, AmazonAccount
from pvm_resources.sources.amazon.client import RATE_S, parse_page
from pvm_resources.sources.base import Collected, ProductRecord, ProductSource, Query
from pvm_resources.sources.shop import ShopPage
from pvm_resources.store.assembly import Store
from tests.pvm_resources.shopping import SLOW, Shopping, Waits, codes, one_database, settings_of, shopping
from tests.standins.amazon import (
    CREDENTIAL_ID,
    LWA_PATH,
    NOT_ELIGIBLE,
    SEARCH,
    SECRET,
    TAG,
    THROTTLED,
    AmazonStandIn,
)
from tests.standins.wares import Ware, plain

Ask = Callable[..., Collected[ProductRecord]]
PILLOW = Query("pillow", {"en": ("pillow",)}, limit=25)
WARES = plain(32)


@pytest.fixture
def amazon() -> Iterator[AmazonStandIn]:
    with AmazonStandIn(WARES) as running:
        yield running
        assert running.violations == []


@pytest.fixture(scope="module")
def shop(server: EmbeddedServer, migrated: str) -> Iterator[Store]:
    yield from one_database(server, migrated)


@pytest.fixture
def job(shop: Store) -> Shopping:
    return shopping(shop, "amazon")


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def ask(amazon: AmazonStandIn, job: Shopping, waits: Waits) -> Ask:
    """Collects with the given query and settings."""

    def collect(query: Query = PILLOW, **given: Any) -> Collected[ProductRecord]:
        return make(amazon, job, waits, **given).collect(query)

    return collect


def make(amazon: AmazonStandIn, job: Shopping, waits: Waits, *, rate_s: float = 0.0, **given: Any) -> Amazon:
    context = job.context(settings_of(**{**credential(amazon), **given}))
    return Amazon(context, retries=waits.retries, limits=waits.limits, rate_s=rate_s)


def credential(amazon: AmazonStandIn) -> dict[str, Any]:
    return {
        "amazon_credential_id": CREDENTIAL_ID,
        "amazon_credential_secret": SECRET,
        "amazon_credential_version": amazon.version,
        "amazon_partner_tag": TAG,
        "amazon_api_url": amazon.url,
        "amazon_token_url": amazon.token_url,
    }


# -- what is found -----------------------------------------------------------------------------------


def test_products_with_brand_and_gallery_cost_one_call_for_ten(
    amazon: AmazonStandIn, ask: Ask, job: Shopping
) -> None:
    found = ask()
    assert (found.status.state, found.status.reason, found.problems) == ("ok", "", ())
    assert len(found.records) == len({record.external_id for record in found.records}) == 25
    for record in found.records:
        number = amazon.number(record.external_id)
        ware = amazon.wares[number]
        assert (record.source, record.namespace) == ("amazon", "www.amazon.com")
        assert (record.title, record.brand) == (ware.title, ware.brand)
        assert record.url.startswith(f"https://www.amazon.com/dp/{record.external_id}")
        # highRes comes back as hiRes, and only where there is one; else the large picture.
        end = ".jpg" if number % 2 == 0 else ".large.jpg"
        assert [one.ref for one in record.pictures] == [
            f"{amazon.url}/pictures/{number}/{view}{end}" for view in range(3)
        ]
    assert (amazon.count(SEARCH), amazon.count(LWA_PATH)) == (3, 1)
    assert [one.json["itemPage"] for one in amazon.requests if one.path == SEARCH] == [1, 2, 3]
    assert len(job.lines) == 3


def test_it_is_a_product_source_under_amazons_terms(
    amazon: AmazonStandIn, job: Shopping, waits: Waits
) -> None:
    source = make(amazon, job, waits)
    assert isinstance(source, ProductSource)
    assert source.name == "amazon"
    policy = source.policy
    assert (policy.store_media, policy.max_age_h, policy.may_train) == (False, 24.0, False)


def test_a_hundred_products_a_phrase_is_the_end_and_said(job: Shopping, waits: Waits) -> None:
    with AmazonStandIn(plain(130, pictures=1)) as amazon:
        found = make(amazon, job, waits).collect(Query("x", {"en": ("pillow",)}, limit=120))
        assert (found.status.state, len(found.records)) == ("ok", 100)
        assert "100 products a phrase" in found.status.reason
        assert amazon.count(SEARCH) == 10
        found = make(amazon, job, waits).collect(Query("x", {"en": ("pillow", "headrest")}, limit=120))
        assert len(found.records) == 120


def test_several_phrases_share_the_limit(amazon: AmazonStandIn, ask: Ask) -> None:
    found = ask(Query("x", {"en": ("pillow", "headrest")}, limit=8))
    assert len({record.external_id for record in found.records}) == 8
    assert amazon.count(SEARCH) == 2


def test_nothing_found_is_ok_and_says_what_was_searched_for(ask: Ask) -> None:
    found = ask(Query("x", {"en": ("nothing at all",)}))
    assert (found.status.state, found.records, found.problems) == ("ok", (), ())
    assert "'nothing at all'" in found.status.reason


def test_a_product_without_pictures_is_left_out_and_named(job: Shopping, waits: Waits) -> None:
    with AmazonStandIn([*plain(2), Ware("bare", "", ())]) as amazon:
        found = make(amazon, job, waits).collect(PILLOW)
        assert (len(found.records), codes(found)) == (2, ["amazon.no_picture"])
        assert found.status.state == "partial"


def test_partial_errors_are_told(amazon: AmazonStandIn, ask: Ask) -> None:
    amazon.partial = [{"code": "ItemNotAccessible", "message": "An item is not accessible."}]
    found = ask(Query("x", {"en": ("pillow",)}, limit=10))
    assert (found.status.state, len(found.records), codes(found)) == ("partial", 10, ["amazon.partial"])
    assert "ItemNotAccessible: An item is not accessible" in found.status.reason


@pytest.mark.parametrize(
    ("marketplace", "terms", "searched"),
    [
        ("www.amazon.de", {"de": ("Kissen",), "en": ("pillow",)}, "Kissen"),
        ("www.amazon.de", {"en": ("pillow",)}, "pillow"),
        ("www.amazon.co.jp", {"und": ("枕",), "zh": ("枕头",)}, "枕"),
        ("www.amazon.com", {"vi": ("gối",)}, "gối"),
    ],
)
def test_the_marketplaces_language_is_searched_for(
    amazon: AmazonStandIn, ask: Ask, marketplace: str, terms: dict[str, tuple[str, ...]], searched: str
) -> None:
    found = ask(Query("x", terms, limit=1), amazon_marketplace=marketplace)
    (request,) = [one for one in amazon.requests if one.path == SEARCH]
    assert (request.json["keywords"], request.headers["x-marketplace"]) == (searched, marketplace)
    assert found.records[0].namespace == marketplace
    assert ("no phrases in" in found.status.reason) == ("vi" in terms)


def test_requests_are_a_second_apart(amazon: AmazonStandIn, job: Shopping, waits: Waits) -> None:
    assert RATE_S == 1.0
    began = time.monotonic()
    make(amazon, job, waits, rate_s=0.25).collect(PILLOW)
    assert time.monotonic() - began >= 0.5


# -- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            dict.fromkeys(
                (
                    "amazon_credential_id",
                    "amazon_credential_secret",
                    "amazon_credential_version",
                    "amazon_partner_tag",
                )
            ),
            "_ID, AMAZON_CREDENTIAL_SECRET, AMAZON_CREDENTIAL_VERSION and AMAZON_PARTNER_TAG are not set",
        ),
        ({"amazon_partner_tag": None}, "AMAZON_PARTNER_TAG is not set"),
        (
            {"amazon_credential_secret": None, "amazon_partner_tag": None},
            "AMAZON_CREDENTIAL_SECRET and AMAZON_PARTNER_TAG are not set",
        ),
        ({"amazon_credential_version": "9.1"}, "AMAZON_CREDENTIAL_VERSION is '9.1'"),
        (
            {"amazon_credential_version": "2.9", "amazon_token_url": None},
            "AMAZON_CREDENTIAL_VERSION is '2.9'",
        ),
        ({"amazon_marketplace": "www.amazon.vn"}, "AMAZON_MARKETPLACE is 'www.amazon.vn'"),
        ({"amazon_api_url": "creatorsapi.amazon"}, "AMAZON_API_URL is no http(s) URL"),
        ({"amazon_token_url": "nonsense"}, "AMAZON_TOKEN_URL is no http(s) URL"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_asked(
    amazon: AmazonStandIn, ask: Ask, given: dict[str, Any], reason: str
) -> None:
    found = ask(**given)
    assert (found.status.source, found.status.state) == ("amazon", "not_configured")
    assert reason in found.status.reason
    assert found.status.remedy
    assert amazon.requests == []


def test_the_addresses_of_a_version_are_the_librarys() -> None:
    given = {"amazon_credential_id": "a", "amazon_credential_secret": "hidden", "amazon_partner_tag": "c"}
    account = AmazonAccount.of(settings_of(**given, amazon_credential_version="2.2"))
    assert account.api_url == "https://creatorsapi.amazon"
    assert account.token_url == "https://creatorsapi.auth.eu-south-2.amazoncognito.com/oauth2/token"
    assert "hidden" not in repr(account)


def test_every_marketplace_of_the_library_is_served() -> None:
    from amazon_creatorsapi.core.marketplaces import MARKETPLACES

    assert set(MARKETS) == set(MARKETPLACES.values())


# -- tokens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.1", "3.1"])
def test_both_kinds_of_credentials_are_spoken_and_share_one_token(
    job: Shopping, waits: Waits, version: str
) -> None:
    with AmazonStandIn(WARES, version=version) as amazon:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: make(amazon, job, waits).collect(PILLOW).status, range(4)))
        assert [status.state for status in found] == ["ok"] * 4
        assert len(amazon.minted) == 1
        assert amazon.violations == []


def test_a_revoked_token_is_forgotten_once_and_the_request_made_again(
    amazon: AmazonStandIn, ask: Ask, job: Shopping
) -> None:
    ask()
    amazon.revoke()
    job.forget_answers()
    amazon.forget()
    assert ask().status.state == "ok"
    assert (amazon.count(LWA_PATH), amazon.count(SEARCH)) == (1, 4)


def test_a_token_refused_twice_is_a_matter_of_the_credential(amazon: AmazonStandIn, ask: Ask) -> None:
    refusal = {"message": "The token is invalid.", "reason": "InvalidToken"}
    amazon.fail(SEARCH, status=401, times=None, body=refusal)
    found = ask()
    assert found.status.state == "not_configured"
    assert "InvalidToken" in found.status.reason
    assert (amazon.count(SEARCH), amazon.count(LWA_PATH)) == (2, 2)


def test_a_wrong_secret_is_refused_by_the_server_itself(amazon: AmazonStandIn, ask: Ask) -> None:
    found = ask(amazon_credential_secret="wrong")
    assert found.status.state == "not_configured"
    assert found.status.reason == "Amazon refuses the credential (invalid_client)"
    assert amazon.count(LWA_PATH) == 1


@pytest.mark.parametrize(
    ("fault", "state", "tries"),
    [
        ({"status": 500, "times": 2}, "ok", 3),
        ({"status": 500, "times": None}, "failed", 4),
        ({"status": 200, "times": None, "body": {"token": 1}}, "failed", 4),
        ({"kind": "content_type", "times": 1}, "ok", 2),
        ({"kind": "hang_up", "times": 1}, "ok", 2),
        ({"kind": "slow", "times": None, "seconds": 1.5}, "failed", 4),
        ({"status": 429, "times": None}, "rate_limited", 4),
        ({"status": 429, "times": None, "retry_after": "7200"}, "rate_limited", 1),
    ],
)
def test_a_token_server_that_stumbles(
    amazon: AmazonStandIn, ask: Ask, waits: Waits, fault: dict[str, Any], state: str, tries: int
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    amazon.fail(LWA_PATH, **fault)
    assert ask().status.state == state
    assert amazon.count(LWA_PATH) == tries


# -- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"status": 429, "times": 1, "retry_after": "5", "body": THROTTLED}, [6.0]),
        ({"status": 429, "times": 2, "body": THROTTLED}, [1.0, 2.0]),
        ({"status": 500, "times": 3}, [1.0, 2.0, 4.0]),
        ({"kind": "content_type", "times": 1}, [1.0]),
        ({"kind": "truncated", "times": 1}, [1.0]),
        ({"kind": "broken", "times": 1}, [1.0]),
        ({"kind": "hang_up", "times": 1}, [1.0]),
        ({"kind": "slow", "times": 1, "seconds": 1.5}, [1.0]),
        ({"kind": "drip", "times": 1, "seconds": 4}, [1.0]),
    ],
)
def test_a_search_that_stumbles_is_made_again(
    amazon: AmazonStandIn, ask: Ask, waits: Waits, fault: dict[str, Any], seconds: list[float]
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    amazon.fail(SEARCH, **fault)
    found = ask()
    assert (found.status.state, len(found.records)) == ("ok", 25)
    assert waits.seconds == seconds


@pytest.mark.parametrize(
    ("fault", "state", "reason", "remedy", "searches"),
    [
        (
            {"status": 403, "body": NOT_ELIGIBLE},
            "not_eligible",
            "AssociateNotEligible",
            "10 qualified sales",
            1,
        ),
        (
            {"status": 403, "body": {"message": "No.", "reason": "AuthorizationFailed"}},
            "not_eligible",
            "AuthorizationFailed: No.",
            "one account and region",
            1,
        ),
        ({"kind": "content_type", "status": 403}, "failed", "no JSON", "later", 4),
        (
            {"status": 400, "body": {"message": "Bad associate.", "reason": "InvalidAssociate"}},
            "not_configured",
            "AMAZON_PARTNER_TAG 'stand-in-20' for www.amazon.com",
            "registered for that marketplace",
            1,
        ),
        (
            {"status": 400, "body": {"message": "No.", "reason": "FieldValidationFailed"}},
            "failed",
            "FieldValidationFailed: No.",
            "phrase",
            1,
        ),
        ({"status": 404}, "failed", "Amazon answers 404", "AMAZON_API_URL", 1),
        ({"status": 429, "body": THROTTLED}, "rate_limited", "throttling", "later", 4),
        ({"status": 429, "retry_after": "86400"}, "rate_limited", "asks to wait 86,400 s", "later", 1),
        ({"status": 503}, "failed", "Amazon answers 503", "later", 4),
        ({"kind": "truncated"}, "failed", "cannot be used", "later", 4),
        ({"kind": "slow", "seconds": 1.5}, "failed", "does not answer in time", "later", 4),
        ({"status": 200, "body": {"searchResult": {"items": 5}}}, "failed", "cannot be used", "later", 4),
        ({"status": 200, "body": [1]}, "failed", "cannot be used", "later", 4),
    ],
)
def test_a_search_that_fails_for_good_gives_a_state_with_its_reason(
    amazon: AmazonStandIn,
    ask: Ask,
    waits: Waits,
    fault: dict[str, Any],
    state: str,
    reason: str,
    remedy: str,
    searches: int,
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    amazon.fail(SEARCH, times=None, **fault)
    found = ask()
    assert (found.status.state, found.records) == (state, ())
    assert reason in found.status.reason
    assert remedy in found.status.remedy
    assert amazon.count(SEARCH) == searches


def test_a_wrong_tag_is_refused_by_the_server_itself(ask: Ask) -> None:
    found = ask(amazon_partner_tag="other-20")
    assert found.status.state == "not_configured"
    assert "AMAZON_PARTNER_TAG 'other-20'" in found.status.reason


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ({"status": 500}, "partial"),
        ({"status": 429, "retry_after": "3600"}, "rate_limited"),
        ({"status": 403, "body": NOT_ELIGIBLE}, "not_eligible"),
    ],
)
def test_a_fault_halfway_keeps_what_was_found(
    amazon: AmazonStandIn, ask: Ask, fault: dict[str, Any], state: str
) -> None:
    amazon.fail(SEARCH, times=None, skip=2, **fault)
    found = ask()
    assert (found.status.state, len(found.records)) == (state, 20)
    assert "20 products were found" in found.status.reason


def test_one_phrase_failing_leaves_the_others(amazon: AmazonStandIn, ask: Ask) -> None:
    amazon.fail(SEARCH, status=500, times=None, query={"keywords": "headrest"})
    found = ask(Query("x", {"en": ("headrest", "pillow")}, limit=10))
    assert (found.status.state, len(found.records), codes(found)) == ("partial", 10, ["amazon.server"])


# -- again -------------------------------------------------------------------------------------------


def test_a_rerun_asks_nothing_twice(amazon: AmazonStandIn, ask: Ask) -> None:
    amazon.partial = [{"code": "ItemNotAccessible", "message": "An item is not accessible."}]
    first = ask(Query("x", {"en": ("pillow", "headrest")}, limit=30))
    amazon.forget()
    assert ask(Query("x", {"en": ("pillow", "headrest")}, limit=30)) == first
    assert amazon.requests == []


def test_a_run_ended_halfway_asks_only_for_the_rest(amazon: AmazonStandIn, ask: Ask) -> None:
    amazon.fail(SEARCH, skip=2, times=1, status=403, body=NOT_ELIGIBLE)
    ask()
    amazon.forget()
    assert len(ask().records) == 25
    assert [one.json["itemPage"] for one in amazon.requests if one.path == SEARCH] == [3]


def test_answers_older_than_a_day_are_asked_for_again(amazon: AmazonStandIn, ask: Ask, job: Shopping) -> None:
    ask()
    for age, again in (("23 hours", 0), ("25 hours", 3)):
        with job.database.transaction() as cursor:
            cursor.execute(f"UPDATE source_answers SET fetched_at = now() - interval '{age}'")
        amazon.forget()
        ask()
        assert amazon.count(SEARCH) == again


# -- secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"path": LWA_PATH, "status": 401, "body": {"error": "invalid_client"}},
        {"path": LWA_PATH, "kind": "hang_up"},
        {"path": SEARCH, "status": 401},
        {"path": SEARCH, "kind": "slow", "seconds": 1.5},
        {"path": SEARCH, "status": 500},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()) or "none",
)
def test_no_credential_stands_in_logs_statuses_problems_or_answers(
    amazon: AmazonStandIn,
    ask: Ask,
    job: Shopping,
    waits: Waits,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
) -> None:
    waits.impatient = fault.get("kind") in SLOW
    if fault:
        amazon.fail(times=None, **fault)
    # The client of Kubernetes, once some test has made one, lets urllib3 say warnings only.
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="urllib3"):
        found = ask()
    assert "127.0.0.1" in caplog.text
    said = "\n".join([caplog.text, repr(found), job.stored(), *job.lines])
    assert not any(secret in said for secret in (SECRET, "stand-in-token"))


# -- reading -----------------------------------------------------------------------------------------

_urls = st.sampled_from(["https://m.example/a.jpg", "https://m.example/b.jpg", "ftp://x/y", "", "no url"])
_size = st.one_of(st.none(), st.fixed_dictionaries({}, optional={"url": _urls, "width": st.integers(1, 9)}))
_image = st.fixed_dictionaries({}, optional=dict.fromkeys(("small", "medium", "large", "hiRes"), _size))
_value = st.fixed_dictionaries({}, optional={"displayValue": st.text(max_size=8)})
_item = st.fixed_dictionaries(
    {"asin": st.sampled_from(["B000000001", "B000000002", "", "not an asin", "\ud800"])},
    optional={
        "detailPageURL": st.text(max_size=8),
        "images": st.fixed_dictionaries(
            {}, optional={"primary": _image, "variants": st.lists(_image, max_size=3)}
        ),
        "itemInfo": st.fixed_dictionaries(
            {},
            optional={
                "title": _value,
                "byLineInfo": st.fixed_dictionaries({}, optional={"brand": _value}),
            },
        ),
    },
)


@given(
    items=st.lists(_item, max_size=10),
    total=st.one_of(st.none(), st.integers(0, 300)),
    page=st.integers(1, 10),
)
def test_whatever_the_models_hold_becomes_products_that_can_be_kept(
    items: list[dict[str, Any]], total: int | None, page: int
) -> None:
    result = SearchResult.from_dict({"items": items, "totalResultCount": total})
    assert result is not None
    found = parse_page(result, page)
    for product in found.products:
        assert product.external_id in ("B000000001", "B000000002")
        assert len(set(product.pictures)) == len(product.pictures)
        assert all(url.startswith("https://m.example/") for url in product.pictures)
        assert "\x00" not in product.title + product.brand + product.url
    assert not (found.more and (page == 10 or not items))
    assert ShopPage.from_json(asdict(found)) == found


@given(sizes=st.lists(st.sampled_from(["small", "medium", "large", "hiRes"]), min_size=1, unique=True))
def test_the_largest_size_is_taken(sizes: list[str]) -> None:
    image = {size: {"url": f"https://m.example/{size}.jpg"} for size in sizes}
    result = SearchResult.from_dict({"items": [{"asin": "B000000001", "images": {"primary": image}}]})
    assert result is not None
    best = max(sizes, key=["small", "medium", "large", "hiRes"].index)
    assert parse_page(result, 1).products[0].pictures == (f"https://m.example/{best}.jpg",)
