"""A real browser: pages of other sites against the Dagster UI, and the UI itself through the guards."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pvm_api.dagster_ui.links import SECRET, SESSION_PATH, new_link
from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from tests.pvm_api.dagster_ui.sites import Site, World, adding, in_address

pytestmark = [pytest.mark.browser]

_PATIENCE_MS = 60_000


@dataclass
class Evil:
    """A site whose page does what a test says.

    Attributes:
        port: where it is served; a browser takes ``localhost`` and ``127.0.0.1`` for two sites.
        page: its HTML.
    """

    port: int
    page: str = ""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://localhost:{self.port}/"


@pytest.fixture(scope="module")
def evil() -> Iterator[Evil]:
    """The other site."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = found.page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Evil(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page with no cookies."""
    context = browser.new_context(viewport={"width": 1300, "height": 800})
    yield context.new_page()
    context.close()


ATTACKS = {
    "picture": '<img src="{origin}{address}">',
    "form": '<form id="f" method="post" action="{origin}{address}"></form><script>f.submit()</script>',
    "text form": '<form id="f" method="post" enctype="text/plain" action="{origin}{address}">'
    '<input name="a" value="b"></form><script>f.submit()</script>',
    "fetch as text": "<script>fetch('{origin}{address}', {{method: 'POST', mode: 'no-cors', body: 'x'}})"
    "</script>",
    "beacon": "<script>navigator.sendBeacon('{origin}{address}', 'x')</script>",
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_no_page_of_another_site_changes_anything(
    page: Any, evil: Evil, stock: Site, ours: Site, world: World, name: str
) -> None:
    for site in (stock, ours):
        address = in_address(adding(f"{name} to {site.port}"))
        body = ATTACKS[name].format(origin=site.origin, address=address)
        evil.page = f"<title>evil</title>{body}"
        before = site.answered.count("/graphql")
        page.goto(evil.url)
        deadline = time.monotonic() + _PATIENCE_MS / 1_000
        while site.answered.count("/graphql") == before:
            assert time.monotonic() < deadline, "the browser sent nothing"
            page.wait_for_timeout(50)

    assert f"{name} to {stock.port}" in world.partitions(), "the attack does not work at all"
    assert f"{name} to {ours.port}" not in world.partitions()


def test_no_page_of_another_site_frames_the_ui(page: Any, evil: Evil, stock: Site, ours: Site) -> None:
    shown = {}
    for site in (stock, ours):
        evil.page = f'<iframe src="{site.origin}/" width="900" height="600"></iframe>'
        page.goto(evil.url, wait_until="load")
        page.wait_for_timeout(1_000)
        frame = page.frames[1]
        shown[site.port] = frame.url.startswith(site.origin) and "Dagster" in frame.title()

    assert shown == {stock.port: True, ours.port: False}


def test_no_page_of_another_site_opens_a_websocket(page: Any, evil: Evil, stock: Site, ours: Site) -> None:
    said = {}
    for site in (stock, ours):
        evil.page = f"""<script>
            const socket = new WebSocket("ws://{site.host}/graphql", "graphql-ws");
            socket.onopen = () => socket.send('{{"type": "connection_init"}}');
            socket.onmessage = (event) => document.title = JSON.parse(event.data).type;
            socket.onerror = () => document.title = "refused";
        </script>"""
        page.goto(evil.url)
        page.wait_for_function("document.title", timeout=_PATIENCE_MS)
        said[site.port] = page.title()

    assert said == {stock.port: "connection_ack", ours.port: "refused"}


def test_the_ui_works_and_gets_its_live_data(page: Any, ours: Site, world: World) -> None:
    sockets, refused, complaints = [], [], []
    page.on("websocket", lambda opened: sockets.append(opened))
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)

    page.goto(f"{ours.origin}/assets/keyframes?view=partitions")
    page.get_by_text("keyframes").filter(visible=True).first.wait_for(timeout=_PATIENCE_MS)
    page.reload()
    page.get_by_text("keyframes").filter(visible=True).first.wait_for(timeout=_PATIENCE_MS)
    answer = page.evaluate(
        """async (query) => (await fetch("/graphql", {method: "POST",
            headers: {"Content-Type": "application/json"}, body: JSON.stringify({query})})).status""",
        adding("by-the-page-itself"),
    )

    assert answer == 200
    assert "by-the-page-itself" in world.partitions()
    assert sockets, "the UI follows the state of code locations over a websocket"
    assert not any(socket.is_closed() for socket in sockets[-1:])
    assert (refused, complaints) == ([], [])


def test_the_read_only_ui_asks_for_nothing_that_is_refused(page: Any, world: World) -> None:
    site = world.guarded(ui_read_only=True)
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)

    for path in ("/assets/keyframes?view=overview", "/runs", "/automation"):
        page.goto(f"{site.origin}{path}")
        page.get_by_text("Runs").filter(visible=True).first.wait_for(timeout=_PATIENCE_MS)
        page.wait_for_timeout(500)

    assert refused == []


def test_graphiql_works(page: Any, ours: Site) -> None:
    page.goto(f"{ours.origin}/graphql")
    with page.expect_response(lambda answer: answer.request.method == "POST", timeout=_PATIENCE_MS) as asked:
        page.locator(".graphiql-execute-button").click(timeout=_PATIENCE_MS)
    assert asked.value.status in {200, 400}, "400: the editor holds no query yet"


def test_signing_in_and_out(page: Any, evil: Evil, world: World, database: Database) -> None:
    keys = Keys(database)
    token = keys.create("Lan", ["admin"])[1]
    site = world.guarded(keys, ui_auth=True)

    page.goto(f"{site.origin}/assets/keyframes?view=overview")
    page.get_by_label("API key").fill("pvm_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for(timeout=_PATIENCE_MS)
    page.get_by_label("API key").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/assets/keyframes?view=overview**", timeout=_PATIENCE_MS)
    page.get_by_text("keyframes").filter(visible=True).first.wait_for(timeout=_PATIENCE_MS)

    evil.page = f'<a href="{site.origin}/runs">runs</a>'
    page.goto(evil.url)
    page.get_by_role("link").click()
    page.wait_for_url(f"{site.origin}/runs**", timeout=_PATIENCE_MS)
    page.get_by_text("Runs").filter(visible=True).first.wait_for(timeout=_PATIENCE_MS)

    page.goto(f"{site.origin}/pvm/session")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").wait_for(timeout=_PATIENCE_MS)
    page.goto(f"{site.origin}/runs")
    page.get_by_label("API key").wait_for(timeout=_PATIENCE_MS)


def test_a_link_of_pvm_up_signs_in(page: Any, evil: Evil, world: World, database: Database) -> None:
    keys = Keys(database)
    site = world.guarded(keys, ui_auth=True)
    # From a page of another site, as a terminal in the browser is.
    evil.page = f'<a href="{new_link(site.origin, keys.secret(SECRET))}">link</a>'
    page.goto(evil.url)
    page.get_by_role("link").click()
    page.get_by_text("Runs").filter(visible=True).first.wait_for(timeout=_PATIENCE_MS)
    assert SESSION_PATH not in page.url
    assert page.evaluate("document.cookie") == "", "no script reads the cookie"
