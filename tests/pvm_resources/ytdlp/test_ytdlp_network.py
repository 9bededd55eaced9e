"""Where yt-dlp's connections go, and the video site as a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest
from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import RequestError

from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.sources.ytdlp.network import AddressRefusedError, CheckedYoutubeDL, Gate
from tests.pvm_resources.ytdlp.conftest import STANDINS, Stand
from tests.standins.running import ended


def gate(*addresses: str, allow: str = "", known_sites: bool = True) -> Gate:
    return Gate(AddressPolicy(AllowList.parse(allow), lambda host, port: addresses), known_sites=known_sites)


@pytest.mark.parametrize(
    ("addresses", "port", "known_sites", "refused"),
    [
        (("93.184.215.14",), 443, False, None),
        (("93.184.215.14",), 8082, True, None),
        (("93.184.215.14",), 8082, False, "fetch.port"),
        (("10.0.0.7",), 8082, True, "fetch.address"),
        (("93.184.215.14", "127.0.0.1"), 443, True, "fetch.address"),
        (("93.184.215.14", "127.0.0.1"), 8082, True, "fetch.address"),
        (("::1",), 80, True, "fetch.address"),
    ],
)
def test_public_servers_are_asked_and_no_others(
    addresses: tuple[str, ...], port: int, known_sites: bool, refused: str | None
) -> None:
    judged = gate(*addresses, known_sites=known_sites)
    if refused is None:
        assert judged.addresses("cdn.example", port, 1.0) == list(addresses)
        return
    with pytest.raises(AddressRefusedError) as caught:
        judged.addresses("cdn.example", port, 1.0)
    assert caught.value.refusal.code == refused


def test_the_connection_goes_to_the_very_address_that_was_judged(stand: Stand) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        # A name server that answers otherwise the second time.
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    allow = AllowList.parse(f"127.0.0.1:{stand.site.port}")
    checked = Gate(AddressPolicy(allow, resolver), known_sites=False)
    with CheckedYoutubeDL({"quiet": True, "proxy": ""}, checked) as ydl:
        answer = ydl.urlopen(Request(f"http://rebound.example:{stand.site.port}/_counts"))
        assert json.loads(answer.read()) == {}
        with pytest.raises(AddressRefusedError):
            ydl.urlopen(Request(f"http://rebound.example:{stand.site.port}/_counts"))
    assert asked == ["rebound.example", "rebound.example"]


@pytest.mark.parametrize(
    ("to", "says"),
    [("http://169.254.169.254/", "fetch.address"), ("http://10.1.2.3/", "fetch.address"),
     ("http://[::1]/", "fetch.address"), ("ftp://127.0.0.1/x", "unknown url type: ftp")],
)  # fmt: skip
def test_redirects_are_judged_too(stand: Stand, to: str, says: str) -> None:
    allow = AllowList.parse(f"127.0.0.1:{stand.site.port}")
    with (
        CheckedYoutubeDL({"quiet": True, "proxy": ""}, Gate(AddressPolicy(allow), known_sites=True)) as ydl,
        pytest.raises(RequestError) as caught,
    ):
        ydl.urlopen(Request(f"{stand.site.url}/goto?to={to}"))
    assert says in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "ws://127.0.0.1/x"])
def test_other_ways_than_http_are_shut(stand: Stand, url: str) -> None:
    with (
        CheckedYoutubeDL({"quiet": True, "proxy": ""}, gate("93.184.215.14")) as ydl,
        pytest.raises(RequestError, match=r"(?i)unsupported|disabled|websocket"),
    ):
        ydl.urlopen(Request(url))


def test_nothing_is_sent_to_an_address_that_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reached: list[object] = []

        def accept() -> None:
            server.settimeout(1.0)
            try:
                reached.append(server.accept())
            except TimeoutError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        port = server.getsockname()[1]
        with (
            CheckedYoutubeDL({"quiet": True, "proxy": ""}, gate("127.0.0.1")) as ydl,
            pytest.raises(AddressRefusedError),
        ):
            ydl.urlopen(Request(f"http://inner.example:{port}/"))
        thread.join()
    assert reached == []


def test_the_site_runs_as_a_process_and_counts(clips: Path) -> None:
    command = [sys.executable, "-m", "tests.standins.videos", "--folder", str(clips)]
    started = subprocess.Popen(command, cwd=STANDINS.parents[1], stdout=subprocess.PIPE, text=True)
    with ended(started) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urlopen(f"{url}/search?q=pillow&n=2") as answer:
            assert [v["id"] for v in json.load(answer)] == ["front", "large"]
        with urlopen(f"{url}/_counts") as answer:
            assert json.load(answer) == {"/search": 1}
