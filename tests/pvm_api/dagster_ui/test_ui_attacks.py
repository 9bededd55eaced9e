"""What a page of another site can do to Dagster's own server, and cannot do to ours.

Each attack runs against both: one that did not work on Dagster's server would prove nothing about ours.
"""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.pvm_api.dagster_ui.sites import JSON, Answer, Site, World, adding, in_address

EVIL = "http://evil.example"
#: What current browsers say of a picture, and of a form, of another site.
PICTURE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FORM = {**LINK, "Origin": EVIL}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@dataclass(frozen=True)
class Attack:
    """A request that tries to add a partition.

    Attributes:
        address: where it is sent, by the mutation.
        body: what is sent, by the mutation.
        status: what our server answers.
    """

    name: str
    status: int
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    address: Callable[[str], str] = lambda mutation: "/graphql"
    body: Callable[[str], str | None] = lambda mutation: json.dumps({"query": mutation})

    def send(self, site: Site, partition: str) -> Answer:
        """Sends it."""
        mutation = adding(partition)
        body = self.body(mutation) if self.method == "POST" else None
        return site.send(self.method, self.address(mutation), self.headers, body)


def _chosen(mutation: str) -> str:
    return f"/graphql?query={quote(f'query Look {{version}} {mutation}')}&operationName=Add"


def _by_fragment(mutation: str) -> str:
    start = mutation.index("addDynamicPartition")
    inner = mutation[start : mutation.rindex("}")]
    return in_address(f"mutation Add {{...A}} fragment A on Mutation {{{inner}}}")


def _nothing(_mutation: str) -> None:
    return None


ATTACKS = (
    Attack("picture", 403, "GET", PICTURE, in_address),
    Attack("picture in an old browser", 405, "GET", {}, in_address),
    Attack("link", 405, "GET", LINK, in_address),
    Attack("GET under a name with a line feed", 400, "GET", {}, lambda m: in_address(m).replace("?", "%0A?")),
    Attack("GET of one of several operations", 405, "GET", {}, _chosen),
    Attack("GET with a fragment", 405, "GET", {}, _by_fragment),
    Attack("GET with a comment before", 405, "GET", {}, lambda m: in_address(f"# query\n{m}")),
    Attack("plain text", 415, "POST", {"Content-Type": "text/plain"}, in_address, _nothing),
    Attack("form", 403, "POST", {**FORM, **URLENCODED}, in_address, _nothing),
    Attack("form in an old browser", 415, "POST", URLENCODED, in_address, _nothing),
    Attack("multipart form", 415, "POST", MULTIPART, in_address, _nothing),
    Attack("no type at all", 415, "POST", {}, in_address, _nothing),
    Attack("JSON under the name of text", 415, "POST", {"Content-Type": "text/plain; application/json"}),
    Attack("type application/graphql", 415, "POST", {"Content-Type": "application/graphql"}, body=str),
    Attack("foreign origin", 403, "POST", {**JSON, "Origin": EVIL}),
    Attack("origin null", 403, "POST", {**JSON, "Origin": "null"}),
    Attack("cross-site without an origin", 403, "POST", {**JSON, "Sec-Fetch-Site": "cross-site"}),
    Attack("another port of this machine", 403, "POST", {**JSON, "Sec-Fetch-Site": "same-site"}),
    Attack("another port by origin", 403, "POST", {**JSON, "Origin": "http://127.0.0.1:1"}),
    Attack("rebound name", 421, "POST", {**JSON, "Host": "evil.example:3000", "Origin": "http://evil.example:3000"}),
    Attack("rebound name, said to be same-origin", 421, "POST",
           {**JSON, "Host": "evil.example", "Origin": EVIL, "Sec-Fetch-Site": "same-origin"}),
    Attack("the unspecified address", 421, "POST", {**JSON, "Host": "0.0.0.0:3000", "Origin": "http://0.0.0.0:3000"}),
    Attack("a name that begins like ours", 421, "POST", {**JSON, "Host": "localhost.evil.example"}),
    Attack("a forwarded host nobody vouches for", 421, "POST",
           {**JSON, "Host": "evil.example", "X-Forwarded-Host": "127.0.0.1"}),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_order_of_another_site_is_carried_out(
    stock: Site, ours: Site, world: World, attack: Attack
) -> None:
    on_theirs, on_ours = uuid.uuid4().hex, uuid.uuid4().hex

    attack.send(stock, on_theirs)
    answer = attack.send(ours, on_ours)

    assert on_theirs in world.partitions(), "the attack does not work at all"
    assert on_ours not in world.partitions()
    assert answer.status == attack.status, answer.text


REPORTS = ("materialization", "observation", "check")


@pytest.mark.parametrize("kind", REPORTS)
@pytest.mark.parametrize(
    "headers",
    [{"Origin": EVIL}, {"Origin": "null"}, FORM, {"Sec-Fetch-Site": "same-site"}, {"Host": "evil.example"}],
    ids=["origin", "null", "form", "same-site", "host"],
)
def test_no_page_reports_events_of_assets(
    stock: Site, ours: Site, kind: str, headers: dict[str, str]
) -> None:
    path = f"/report_asset_{kind}/keyframes?passed=true&check_name=enough_frames"

    assert stock.send("POST", path, headers).status == 200, "the attack does not work at all"
    assert ours.send("POST", path, headers).status in {403, 421}
    assert ours.send("POST", path).status == 200, "a program of this machine may"
    assert ours.send("POST", path, {"Content-Type": "text/plain"}, "{}").status == 415


@pytest.mark.parametrize("answer", ["stopSensor", "deleteRun", "launchRun"])
def test_a_mutation_by_get_does_nothing_whatever_it_is(
    stock: Site, ours: Site, world: World, answer: str
) -> None:
    mutations = {
        "stopSensor": 'mutation {stopSensor(id: "none") {__typename}}',
        "deleteRun": 'mutation {deletePipelineRun(runId: "none") {__typename}}',
        "launchRun": 'mutation {launchRun(executionParams: {selector: {jobName: "none"}}) {__typename}}',
    }
    path = in_address(mutations[answer])

    assert "data" in json.loads(stock.send("GET", path).text), "Dagster executes it"
    assert ours.send("GET", path).status == 405


@pytest.mark.parametrize(
    "headers",
    [{"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}],
    ids=["origin", "null", "cross-site", "host"],
)
def test_no_page_of_another_site_opens_a_websocket(stock: Site, ours: Site, headers: dict[str, str]) -> None:
    assert _acknowledged(stock, headers), "the attack does not work at all"
    with pytest.raises(InvalidStatus) as refused:
        _acknowledged(ours, headers)
    assert refused.value.response.status_code == 403


def test_our_own_page_and_a_program_open_websockets(ours: Site) -> None:
    assert _acknowledged(ours, {"Origin": ours.origin, "Sec-Fetch-Site": "same-origin"})
    assert _acknowledged(ours, {"Origin": ours.origin})
    assert _acknowledged(ours, {})


def test_over_a_websocket_nothing_is_changed(ours: Site, world: World) -> None:
    with _opened(ours, {}) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=30))["type"] == "connection_ack"
        payload = {"query": adding("over-a-websocket"), "operationName": "Add"}
        opened.send(json.dumps({"type": "start", "id": "1", "payload": payload}))
        assert json.loads(opened.recv(timeout=30))["type"] in {"error", "data"}
    assert "over-a-websocket" not in world.partitions()


PATHS = (
    "/", "/runs", "/graphql", "/server_info", "/dagit_info", "/logs/none", "/download_debug/none",
    "/favicon.png", "/notebook?path=x&repoLocName=pvm", "/_next/none.js",
    "/report_asset_materialization/keyframes", "/graphql%0A",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_can_be_framed(stock: Site, ours: Site, path: str) -> None:
    headers = {"Accept": "text/html"}
    answer = ours.send("GET", path, headers)

    assert "x-frame-options" not in stock.send("GET", path, headers).headers
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_dagsters_own_policy_stays(ours: Site) -> None:
    policy = ours.send("GET", "/").headers["content-security-policy"]

    assert "base-uri 'none'" in policy
    assert "script-src 'nonce-" in policy


@pytest.mark.parametrize(
    "headers",
    [
        PICTURE,
        {**PICTURE, "Sec-Fetch-Site": "same-site"},
        {**LINK, "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/logs/none", "/download_debug/none", "/server_info"])
def test_nothing_is_embedded_by_another_site(ours: Site, path: str, headers: dict[str, str]) -> None:
    assert ours.send("GET", path, headers).status == 403


def test_a_foreign_name_is_answered_nothing(stock: Site, ours: Site) -> None:
    headers = {"Host": "evil.example"}

    assert stock.send("GET", "/server_info", headers).status == 200, "the attack does not work at all"
    answer = ours.send("GET", "/server_info", headers)
    assert (answer.status, "PVM_UI_HOSTS" in answer.text) == (421, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_not_taken(ours: Site, method: str) -> None:
    assert ours.send(method, "/graphql").status == 405


BODIES: dict[str, Any] = {
    "batch": [{"query": adding("in-a-batch")}],
    "no query": {"variables": {}},
    "query as a list": {"query": [adding("in-a-list")]},
    "text": "mutation",
    "null": None,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_odd_bodies_are_refused(ours: Site, world: World, body: Any) -> None:
    before = world.partitions()
    assert ours.send("POST", "/graphql", JSON, json.dumps(body)).status == 400
    assert world.partitions() == before


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000])
def test_a_body_that_is_no_json_is_refused(ours: Site, body: str) -> None:
    assert ours.send("POST", "/graphql", JSON, body).status == 400


def test_a_large_body_is_refused(ours: Site) -> None:
    assert ours.ask("{version}", variables={"x": "y" * 10_000_000}).status == 413


def _opened(site: Site, headers: dict[str, str]) -> Any:
    given = {name: value for name, value in headers.items() if name != "Host"}
    url = f"ws://{headers.get('Host', site.host)}/graphql"
    direct = socket.create_connection(("127.0.0.1", site.port), timeout=30)
    return connect(url, sock=direct, additional_headers=given, subprotocols=["graphql-ws"])


def _acknowledged(site: Site, headers: dict[str, str]) -> bool:
    with _opened(site, headers) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        return bool(json.loads(opened.recv(timeout=30))["type"] == "connection_ack")
