"""Who gets in where the Dagster UI asks, and how they get out."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pvm_api import auth
from pvm_api.dagster_ui import links, sessions, sign_in
from pvm_api.dagster_ui.links import SECRET, new_link
from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from tests.pvm_api.dagster_ui.sites import JSON, Answer, Site, World, adding

PAGE = {"Accept": "text/html,*/*"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SESSION = "/pvm/session"


@pytest.fixture
def keys(database: Database) -> Keys:
    """The keys of the platform."""
    return Keys(database)


@pytest.fixture
def admin(keys: Keys) -> str:
    """The token of an admin's key."""
    return keys.create("Lan", ["admin"])[1]


@pytest.fixture
def closed(world: World, keys: Keys) -> Site:
    """A server that asks who one is."""
    return world.guarded(keys, ui_auth=True)


def _sign_in(site: Site, key: str, back: str = "/", **headers: str) -> Answer:
    body = urlencode({"key": key, "back": back})
    return site.send("POST", f"{SESSION}/in", {**FORM, "Origin": site.origin, **headers}, body)


def _cookie(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def _link(keys: Keys) -> str:
    parts = urlsplit(new_link("http://127.0.0.1:3000", keys.secret(SECRET)))
    return f"{parts.path}?{parts.query}"


def test_nobody_gets_in_unasked(closed: Site, world: World) -> None:
    page = closed.send("GET", "/runs?view=all", PAGE)
    assert (page.status, page.headers["location"]) == (303, f"{SESSION}?back=%2Fruns%3Fview%3Dall")
    asked = closed.ask(adding("unasked"))
    assert (asked.status, asked.headers["www-authenticate"]) == (401, 'Bearer realm="pvm"')
    for method, path in (
        ("GET", "/logs/none"), ("GET", "/download_debug/none"), ("GET", "/favicon.png"), ("HEAD", "/"),
        ("GET", "/_next/x.js"), ("GET", "/graphql"), ("POST", "/report_asset_materialization/keyframes"),
        ("POST", SESSION), ("GET", f"{SESSION}/in"), ("GET", f"{SESSION}/"), ("GET", "/server_info/"),
    ):  # fmt: skip
        assert closed.send(method, path).status == 401, path
    with pytest.raises(InvalidStatus):
        _opened(closed, {})
    assert "unasked" not in world.partitions()
    assert set(json.loads(closed.send("GET", "/server_info").text)) == {
        "dagster_webserver_version", "dagster_version", "dagster_graphql_version",
    }, "a probe needs no key, and learns versions alone"  # fmt: skip


def test_an_admin_signs_in_and_out(closed: Site, admin: str, world: World) -> None:
    form = closed.send("GET", f"{SESSION}?back=%2Fruns", PAGE)
    assert 'value="/runs"' in form.text
    assert "default-src 'none'" in form.headers["content-security-policy"]

    entered = _sign_in(closed, f" {admin} ", "/runs?view=all")
    assert (entered.status, entered.headers["location"]) == (303, "/runs?view=all")
    flags = entered.headers["set-cookie"].lower()
    assert re.match(r"pvm_ui_3000=[\w-]{43}; ", flags)
    assert all(flag in flags for flag in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    assert "secure" not in flags
    cookie = _cookie(entered)

    assert closed.send("GET", "/runs", {**PAGE, **cookie}).status == 200
    assert closed.ask(adding("signed-in"), {**cookie, "Origin": closed.origin}).status == 200
    assert "signed-in" in world.partitions()
    assert closed.ask("{version}", {**cookie, "Origin": "http://evil.example"}).status == 403
    assert "Signed in: Lan" in closed.send("GET", SESSION, {**PAGE, **cookie}).text

    left = closed.send("POST", f"{SESSION}/out", {**cookie, "Origin": closed.origin})
    assert (left.status, 'pvm_ui_3000=""' in left.headers["set-cookie"]) == (303, True)
    assert closed.ask("{version}", cookie).status == 401, "the cookie is dead on the server too"


@pytest.mark.parametrize("scope", ["read", "run", "review"])
def test_other_scopes_do_not_get_in(closed: Site, keys: Keys, scope: str) -> None:
    token = keys.create("Minh", [scope])[1]

    answer = _sign_in(closed, token)
    assert (answer.status, "set-cookie" in answer.headers) == (403, False)
    assert "no scope admin" in answer.text
    assert closed.ask("{version}", {"Authorization": f"Bearer {token}"}).status == 401


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_program_sends_its_key(closed: Site, admin: str, header: str) -> None:
    value = f"bearer {admin}" if header == "Authorization" else admin
    assert closed.ask("{version}", {header: value}).status == 200
    assert closed.ask("{version}", {header: value[:-1]}).status == 401


def test_wrong_keys_are_slowed_down_and_right_ones_never(closed: Site, admin: str) -> None:
    answers = [_sign_in(closed, f"pvm_{'a' * 8}_{'b' * 37}").status for _ in range(30)]
    assert (answers[0], answers[-1]) == (403, 429)
    assert _sign_in(closed, admin).status == 303
    assert closed.ask("{version}", {"Authorization": f"Bearer {admin}"}).status == 200


def test_a_session_ends_with_its_key(
    closed: Site, keys: Keys, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_TRUSTED_S", 0.0)
    cookie = _cookie(_sign_in(closed, admin))
    assert closed.ask("{version}", cookie).status == 200

    keys.revoke(keys.list()[0].key_id)

    assert closed.ask("{version}", cookie).status == 401
    assert closed.ask("{version}", {"Authorization": f"Bearer {admin}"}).status == 401


def test_a_session_ends_after_its_time(closed: Site, admin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LASTS_S", -1)
    cookie = _cookie(_sign_in(closed, admin))
    assert closed.ask("{version}", cookie).status == 401


def test_a_second_sign_in_of_a_browser_ends_its_first_session(closed: Site, admin: str) -> None:
    first = _cookie(_sign_in(closed, admin))
    second = _cookie(_sign_in(closed, admin, Cookie=first["Cookie"]))
    assert closed.ask("{version}", first).status == 401
    assert closed.ask("{version}", second).status == 200


def test_another_server_knows_no_session_of_this_one(
    closed: Site, world: World, keys: Keys, admin: str
) -> None:
    other = world.guarded(keys, ui_auth=True)
    assert other.ask("{version}", _cookie(_sign_in(closed, admin))).status == 401


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "evil", "",
     "/\t/evil.example", "/ /evil", "\r\nSet-Cookie: a=b"],
)  # fmt: skip
def test_signing_in_leads_to_no_other_site(closed: Site, admin: str, back: str) -> None:
    assert _sign_in(closed, admin, back).headers["location"] == "/"
    assert 'value="/"' in closed.send("GET", f"{SESSION}?back={quote(back)}", PAGE).text


def test_no_page_of_another_site_signs_somebody_in_or_out(closed: Site, admin: str) -> None:
    cookie = _cookie(_sign_in(closed, admin))
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert closed.send("POST", f"{SESSION}/out", {**cookie, **headers}).status == 403
        assert _sign_in(closed, admin, **headers).status == 403
    assert closed.ask("{version}", cookie).status == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [({"Content-Type": "text/plain"}, "key=x", 415), (FORM, "key=" + "x" * 20_000, 413), (FORM, "\xff", 403)],
)  # fmt: skip
def test_odd_forms_are_refused(closed: Site, headers: dict[str, str], body: str, status: int) -> None:
    assert closed.send("POST", f"{SESSION}/in", headers, body).status == status


# -- links of other sites -----------------------------------------------------------------------------


def test_a_link_of_another_site_is_opened_by_our_own_page(closed: Site) -> None:
    # The strict cookie does not come with the first request; the page asks again, and then it does.
    link = {
        **PAGE,
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    answer = closed.send("GET", '/runs/1?a="><script>', link)
    assert answer.status == 200
    assert 'content="0; url=/runs/1?a=&#34;&gt;&lt;script&gt;"' in answer.text
    assert 'url=/"' in closed.send("GET", "//evil.example/x", link).text


# -- links of pvm up ----------------------------------------------------------------------------------


def test_a_link_signs_one_browser_in_once(closed: Site, keys: Keys) -> None:
    link = _link(keys)
    assert "sign-in" not in closed.send("HEAD", link).headers, "a look at the address does not use it up"
    first, second = closed.send("GET", link, PAGE), closed.send("GET", link, PAGE)

    assert first.status == 200
    assert 'http-equiv="refresh" content="0; url=/"' in first.text
    assert closed.ask("{version}", _cookie(first)).status == 200
    assert "Signed in: link of pvm up" in closed.send("GET", SESSION, {**PAGE, **_cookie(first)}).text
    assert (second.status, "set-cookie" in second.headers) == (403, False)
    assert "used already" in second.text


def test_a_link_has_its_time(closed: Site, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LASTS_S", -1)
    assert closed.send("GET", _link(keys), PAGE).status == 403


def test_a_link_of_before_the_server_began_may_have_been_used(world: World, keys: Keys) -> None:
    link = _link(keys)
    time.sleep(1.1)  # Links are stamped to the second.
    site = world.guarded(keys, ui_auth=True)
    assert site.send("GET", link, PAGE).status == 403
    assert site.send("GET", _link(keys), PAGE).status == 200


@pytest.mark.parametrize("change", ["x", "", "signature"])
def test_a_link_cannot_be_made_up(closed: Site, keys: Keys, change: str) -> None:
    forged = new_link("", b"another secret") if change == "signature" else f"{SESSION}?token={change}"
    assert closed.send("GET", forged, PAGE).status == 403


def test_below_a_prefix_the_sign_in_is_below_it_too(world: World, keys: Keys, admin: str) -> None:
    site = world.guarded(keys, ui_auth=True, ui_path_prefix="/dagster")
    asked = site.send("GET", "/dagster/runs", PAGE).headers["location"]
    assert asked.startswith(f"/dagster{SESSION}?back=%2Fdagster")
    body = urlencode({"key": admin, "back": "/elsewhere"})
    entered = site.send("POST", f"/dagster{SESSION}/in", FORM, body)
    assert entered.headers["location"] == "/dagster/"
    assert "path=/dagster/" in entered.headers["set-cookie"].lower()
    answer = site.send("POST", "/dagster/graphql", {**JSON, **_cookie(entered)}, '{"query": "{version}"}')
    assert answer.status == 200


def test_behind_tls_the_cookie_is_secure(world: World, keys: Keys, admin: str) -> None:
    for proxies, secure in (("127.0.0.1", True), ("10.0.0.1", False)):
        site = world.guarded(keys, trusted_proxies=proxies)
        entered = _sign_in(site, admin, **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"})
        assert ("secure" in entered.headers["set-cookie"].lower()) is secure


def test_a_websocket_ends_with_its_session(closed: Site, admin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "_LOOK_S", 0.05)
    cookie = _cookie(_sign_in(closed, admin))
    with _opened(closed, {**cookie, "Origin": closed.origin}) as opened:
        opened.send(json.dumps({"type": "connection_init", "payload": {}}))
        assert json.loads(opened.recv(timeout=30))["type"] == "connection_ack"
        assert closed.send("POST", f"{SESSION}/out", cookie).status == 303
        with pytest.raises(ConnectionClosed):
            opened.recv(timeout=30)


def test_a_database_that_does_not_answer_lets_nobody_in(
    world: World, keys: Keys, admin: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = world.guarded(keys, ui_auth=True)
    gone = Database("postgresql://127.0.0.1:1/none")
    monkeypatch.setattr(keys, "_db", gone)
    answer = site.ask("{version}", {"Authorization": f"Bearer {admin}"})
    gone.close()
    assert answer.status == 503
    assert "127.0.0.1:1" not in answer.text


def _opened(site: Site, headers: dict[str, str]) -> Any:
    url = f"ws://{site.host}/graphql"
    return connect(url, additional_headers=headers, subprotocols=["graphql-ws"], proxy=None)
