"""`pvm up` where the Dagster UI asks for a sign-in: it prints a link that opens it once."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

import pytest
from harness import Pvm, free_port

pytestmark = pytest.mark.slow


def _status(url: str, cookie: str = "", body: str | None = None) -> int:
    headers = {"Content-Type": "application/json", "Accept": "*/*"} | ({"Cookie": cookie} if cookie else {})
    request = urllib.request.Request(url, body.encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_link_of_pvm_up_opens_the_ui_once(pvm: Pvm) -> None:
    ports = ("--port", str(free_port()), "--api-port", str(free_port()))
    settings = {"PVM_UI_AUTH": "true", "PVM_UI_READ_ONLY": "true"}
    links = []
    for _ in range(2):
        up = pvm.cold("up", *ports, **settings)
        assert up.returncode == 0, up.stderr
        found = re.search(r"sign in +(http://127\.0\.0\.1:\d+)(/pvm/session\?token=\S+)", up.stdout)
        assert found, up.stdout
        links.append(found[1] + found[2])
    base = found[1]

    assert _status(f"{base}/server_info") == 200
    assert _status(f"{base}/graphql", body='{"query": "{version}"}') == 401
    with urllib.request.urlopen(links[0], timeout=60) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    assert _status(links[0]) == 403, "once"
    assert _status(links[1]) == 200, "each pvm up prints a new one"
    assert _status(f"{base}/graphql", cookie, '{"query": "{version}"}') == 200
    assert _status(f"{base}/graphql", cookie, '{"query": "mutation {setNuxSeen}"}') == 403
    log = (pvm.home / "logs" / "webserver.log").read_text()
    assert "token" not in log
