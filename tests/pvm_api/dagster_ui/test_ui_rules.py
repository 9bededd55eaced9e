"""What the guarded Dagster UI lets through, and what its settings change."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from dagster_graphql import DagsterGraphQLClient

from pvm_api.dagster_ui.options import Options
from pvm_core.errors import InputError
from pvm_resources.settings import load_settings
from tests.pvm_api.dagster_ui.sites import JSON, Site, World, adding, in_address

OWN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
PAGE = {"Accept": "text/html,*/*"}


def test_a_program_of_this_machine_gives_orders(ours: Site, world: World) -> None:
    assert ours.ask(adding("by-a-program")).status == 200
    assert (
        ours.ask(adding("by-a-program-2"), {"Content-Type": "application/json; charset=utf-8"}).status == 200
    )
    assert {"by-a-program", "by-a-program-2"} <= world.partitions()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:gql")
def test_dagsters_own_client_is_answered(ours: Site) -> None:
    client = DagsterGraphQLClient("127.0.0.1", port_number=ours.port)
    answer = client.reload_repository_location("pvm")
    assert answer.failure_type == "ReloadNotSupported", "Dagster itself says so of this location"


@pytest.mark.parametrize("more", [OWN, {}], ids=["current browser", "old browser"])
def test_our_own_page_gives_orders(ours: Site, world: World, more: dict[str, str]) -> None:
    key = f"by-our-page-{len(more)}"
    assert ours.ask(adding(key), {"Origin": ours.origin, **more}).status == 200
    assert key in world.partitions()


@pytest.mark.parametrize(
    "host",
    ["localhost:{}", "LOCALHOST:{}", "localhost.:{}", "[::1]:{}", "127.0.0.1:8000", "localhost"],
)
def test_every_name_of_this_machine_is_answered(ours: Site, host: str) -> None:
    given = host.format(ours.port)
    # Another port: one that ssh forwards.
    answer = ours.ask("{version}", {"Host": given, "Origin": f"http://{given}"})
    assert (answer.status, "data" in json.loads(answer.text)) == (200, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {},
    ],
    ids=["typed", "reload", "link", "old browser"],
)
@pytest.mark.parametrize("path", ["/", "/runs", "/graphql"])
def test_pages_open_by_address_reload_and_link(ours: Site, path: str, headers: dict[str, str]) -> None:
    answer = ours.send("GET", path, {**PAGE, **headers})
    assert (answer.status, "<html" in answer.text) == (200, True)


def test_graphiql_is_a_page_whatever_its_address_asks(ours: Site, world: World) -> None:
    answer = ours.send("GET", in_address(adding("by-graphiql")), PAGE)
    assert (answer.status, "graphiql" in answer.text) == (200, True)
    assert "by-graphiql" not in world.partitions()


def test_an_error_of_the_query_is_answered_as_dagster_does(stock: Site, ours: Site) -> None:
    for query in ("{", "{nothing}", "mutation {nothing}"):
        assert ours.ask(query).status == stock.ask(query).status == 400
        assert ours.ask(query).text == stock.ask(query).text


@pytest.mark.parametrize("name", ["Host", "Origin", "Content-Type", "Sec-Fetch-Site", "Authorization"])
def test_a_header_that_decides_comes_once(ours: Site, name: str) -> None:
    own = {"Host": ours.host, "Content-Type": "application/json", "Origin": ours.origin}
    twice = {"Host": ours.host, "Sec-Fetch-Site": "none", **own}.get(name, "x")
    lines = [f"{key}: {value}" for key, value in own.items() if key != name] + [f"{name}: {twice}"] * 2
    head = "\r\n".join(["POST /graphql HTTP/1.1", *lines, "Content-Length: 2", "Connection: close", "", "{}"])
    with socket.create_connection(("127.0.0.1", ours.port), timeout=30) as raw:
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")


def test_further_hosts_are_answered_behind_a_proxy_that_ends_tls(world: World) -> None:
    site = world.guarded(ui_hosts="pvm.example.org")
    own = {"Host": "pvm.example.org", "Origin": "https://pvm.example.org"}

    assert site.ask("{version}", own).status == 200
    assert site.ask("{version}", {**own, "Host": "other.example.org"}).status == 421
    assert site.ask("{version}", {**own, "Origin": "https://other.example.org"}).status == 403


def test_a_named_proxy_says_which_host_was_asked(world: World) -> None:
    site = world.guarded(ui_hosts="pvm.example.org", trusted_proxies="127.0.0.1")
    asked = {"X-Forwarded-Host": "pvm.example.org", "Origin": "https://pvm.example.org"}

    assert site.ask("{version}", asked).status == 200
    assert site.ask("{version}", {**asked, "Origin": "http://evil.example"}).status == 403
    assert site.ask("{version}", {"X-Forwarded-Host": "evil.example"}).status == 421
    assert site.ask("{version}", {**asked, "Host": "evil.example"}).status == 421, "a page chose that header"
    assert site.ask("{version}", {"X-Forwarded-Host": "pvm.example.org, evil.example"}).status == 421

    strange = world.guarded(ui_hosts="pvm.example.org", trusted_proxies="10.0.0.1")
    assert strange.ask("{version}", asked).status == 403, "the header of a stranger counts for nothing"


def test_a_path_prefix_has_the_same_guards(world: World) -> None:
    site = world.guarded(ui_path_prefix="/dagster")
    address = f"/dagster{in_address(adding('below-a-prefix'))}"

    assert "/dagster/_next/" in site.send("GET", "/dagster/", PAGE).text
    assert site.send("POST", "/dagster/graphql", JSON, '{"query": "{version}"}').status == 200
    assert site.send("GET", address).status == 405
    assert site.send("POST", address, {"Content-Type": "text/plain"}).status == 415
    assert site.send("GET", address.replace("?", "%0A?")).status == 400
    assert site.send("POST", "/dagster/graphql", JSON, json.dumps([{"query": "{version}"}])).status == 400
    assert "below-a-prefix" not in world.partitions()


@pytest.mark.parametrize("prefix", ["dagster", "/dagster/", "/", "/a b", "//x", "/a?b"])
def test_a_prefix_that_cannot_be_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match="PVM_UI_PATH_PREFIX"):
        load_settings(Path("none.env"), ui_path_prefix=prefix)


# -- read-only ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read_only(world: World) -> Site:
    """A server that changes nothing."""
    return world.guarded(ui_read_only=True)


ORDERS: dict[str, dict[str, Any]] = {
    "mutation": {"query": adding("ro-1")},
    "one of two": {"query": f"query Look {{version}} {adding('ro-2')}", "operationName": "Add"},
    "beside one that is asked for": {"query": f"query Q {{version}} {adding('ro-3')}", "operationName": "Q"},
    "by a fragment": {"query": "mutation {...A} fragment A on Mutation {setNuxSeen}"},
    "after comments": {"query": f"# query {{version}}\n,,,\ufeff{adding('ro-4')}"},
    "one that Dagster would let pass": {"query": "mutation {setNuxSeen}"},
    "words that say query": {"query": adding("query-ro-5")},
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_read_only_refuses_every_document_with_a_mutation(
    read_only: Site, world: World, order: dict[str, Any]
) -> None:
    before = world.partitions()
    answer = read_only.send("POST", "/graphql", JSON, json.dumps(order))
    assert (answer.status, "ui.read_only" in answer.text) == (403, True)
    assert world.partitions() == before


@pytest.mark.parametrize(
    "query",
    [
        "{version}",
        "query mutation {version}",
        "{mutation: version}",
        '{__type(name: "mutation {a}") {name}}',
        "query A {version} query B {version}",
        "# mutation\n{version}",
        "query ($mutation: String!) {__type(name: $mutation) {name}}",
    ],
)
def test_read_only_answers_queries_whatever_words_they_have(read_only: Site, query: str) -> None:
    more = {"operationName": "B"} if " B " in query else {}
    answer = read_only.ask(query, variables={"mutation": "mutation"}, **more)
    assert (answer.status, "data" in json.loads(answer.text)) == (200, True), answer.text


def test_read_only_refuses_reports_and_shows_it(read_only: Site) -> None:
    assert read_only.send("POST", "/report_asset_materialization/keyframes").status == 403
    allowed = json.loads(read_only.ask("{permissions {permission value}}").text)["data"]["permissions"]
    assert allowed
    assert not any(one["value"] for one in allowed), "the UI shows no button that would be refused"


@pytest.mark.parametrize("query", ["{", "", "{a" * 20_000, "{" + "a " * 60_000 + "}", "\x00"])
def test_read_only_refuses_what_it_cannot_read(read_only: Site, query: str) -> None:
    assert read_only.ask(query).status == 400


# -- who has to sign in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "settings", "asked"),
    [
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
        ("::1", {}, False),
        ("0.0.0.0", {}, True),
        ("::", {}, True),
        ("", {}, True),
        ("192.168.1.5", {}, True),
        ("127.0.0.1", {"ui_hosts": "pvm.example.org"}, True),
        ("127.0.0.1", {"trusted_proxies": "127.0.0.1"}, True),
        ("127.0.0.1", {"ui_auth": True}, True),
        ("0.0.0.0", {"ui_auth": False}, False),
        ("127.0.0.1", {"ui_hosts": "pvm.example.org", "ui_auth": False}, False),
    ],
)
def test_one_signs_in_unless_this_machine_alone_reaches_it(
    host: str, settings: dict[str, Any], asked: bool
) -> None:
    assert Options.of(load_settings(Path("none.env"), **settings), host, 3000).sign_in is asked


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000/x"),
        ("0.0.0.0", "http://127.0.0.1:3000/x"),
        ("::", "http://[::1]:3000/x"),
        ("fd00::1", "http://[fd00::1]:3000/x"),
        ("pvm.lan", "http://pvm.lan:3000/x"),
    ],
)
def test_the_address_that_is_printed_leads_there(host: str, url: str) -> None:
    assert Options.of(load_settings(Path("none.env"), ui_path_prefix="/x"), host, 3000).url == url
