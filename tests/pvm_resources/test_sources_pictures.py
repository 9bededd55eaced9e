"""Reading pictures from files and from a real local server."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pvm_core.errors import MediaError
from pvm_resources.sources.base import PictureReader, PictureRef
from pvm_resources.sources.picture_reader import Pictures, ReadLimits, SimpleFetcher

LOCAL = ReadLimits(allow_private=True, max_bytes=50_000, total_s=0.6, read_s=0.4)


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        if kind == "ok":
            self.answer(200, b"picture:" + self.headers["Host"].encode())
        elif kind == "status":
            self.answer(int(rest), b"sorry")
        elif kind == "to":
            self.answer(302, b"", {"Location": "/" + rest if not rest.startswith("raw:") else rest[4:]})
        elif kind == "nowhere":
            self.answer(302, b"")
        elif kind == "big":
            self.answer(200, b"x" * 60_000)
        elif kind == "endless":
            self.trickle(b"x" * 4_000, 0.0)
        elif kind == "slow":
            self.trickle(b"x", 0.1)
        elif kind == "silent":
            time.sleep(1.0)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def trickle(self, piece: bytes, pause: float) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(40):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def test_files_are_read_and_fingerprinted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"bytes")
    reader = Pictures()
    picture = PictureRef("a.jpg", path)
    assert isinstance(reader, PictureReader)
    assert reader.read(picture) == b"bytes"
    before = reader.fingerprint(picture)
    path.write_bytes(b"others")
    assert reader.fingerprint(picture) != before
    assert reader.fingerprint(PictureRef("x", tmp_path / "none.jpg")) is None
    assert reader.fingerprint(PictureRef("http://x.example/a.jpg")) is None


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    big, pipe = tmp_path / "big.jpg", tmp_path / "pipe.jpg"
    big.write_bytes(b"x" * 2_000)
    os.mkfifo(pipe)
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    expected = {
        tmp_path / "none.jpg": "picture.missing",
        tmp_path: "picture.type",
        pipe: "picture.type",
        big: "picture.too_large",
        loop: "picture.unreadable",
        tmp_path / ("n" * 300): "picture.unreadable",
    }
    for path, code in expected.items():
        with pytest.raises(MediaError) as caught:
            Pictures(ReadLimits(max_bytes=1_000)).read(PictureRef("given", path))
        assert (caught.value.code, caught.value.subject) == (code, "given")


def test_a_url_is_fetched_with_its_own_host_name(server: str) -> None:
    reader = Pictures(LOCAL)
    assert reader.read(PictureRef(f"{server}/ok")) == b"picture:" + server.removeprefix("http://").encode()
    by_name = server.replace("127.0.0.1", "localhost")
    assert reader.read(PictureRef(f"{by_name}/ok")).startswith(b"picture:localhost:")
    assert reader.read(PictureRef(f"{server}/to/to/ok")).startswith(b"picture:")


@pytest.mark.parametrize(
    ("path", "code", "retryable"),
    [
        ("/status/404", "picture.http", False),
        ("/status/403", "picture.http", False),
        ("/status/429", "picture.http", True),
        ("/status/503", "picture.http", True),
        ("/big", "picture.too_large", False),
        ("/endless", "picture.too_large", False),
        ("/slow", "picture.timeout", True),
        ("/silent", "picture.timeout", True),
        ("/nowhere", "picture.redirect", False),
        ("/to/to/to/to/to/ok", "picture.redirect", False),
        ("/to/raw:ftp://x.example/a", "picture.redirect", False),
        ("/to/raw:file:///etc/passwd", "picture.redirect", False),
        ("/to/raw:http://user:pw@x.example/", "picture.redirect", False),
    ],
)
def test_faults_of_a_server(server: str, path: str, code: str, retryable: bool) -> None:
    with pytest.raises(MediaError) as caught:
        SimpleFetcher(LOCAL).get(server + path)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.subject == server + path


def test_a_reader_that_has_been_used_can_be_sent_to_a_worker_process(server: str) -> None:
    reader = Pictures(LOCAL)
    picture = PictureRef(f"{server}/ok")
    assert pickle.loads(pickle.dumps(reader)).read(picture) == reader.read(picture)
    assert pickle.loads(pickle.dumps(reader)).read(picture)


def test_a_closed_port_is_unreachable_and_may_be_tried_again() -> None:
    with pytest.raises(MediaError) as caught:
        SimpleFetcher(LOCAL).get("http://127.0.0.1:1/a.jpg")
    assert (caught.value.code, caught.value.retryable) == ("picture.unreachable", True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "10.0.0.1", "192.168.1.1",
        "172.16.0.1", "169.254.169.254", "100.64.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]",
        "[fd00::1]", "224.0.0.1", "255.255.255.255", "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_in_every_notation(host: str) -> None:
    with pytest.raises(MediaError) as caught:
        SimpleFetcher(ReadLimits(total_s=1, connect_s=0.5, read_s=0.5)).get(f"http://{host}/a.jpg")
    assert caught.value.code in ("picture.address", "picture.url", "picture.unreachable")
    if caught.value.code == "picture.unreachable":
        assert "Errno" in caught.value.reason, "the system knows no such address"


def test_a_redirect_to_a_private_address_is_refused(server: str) -> None:
    class Inside(SimpleFetcher):
        """Lets the first address pass, as a public server would be."""

        calls = 0

        def _address(self, subject: str, parts: object) -> str:
            self.calls += 1
            return "127.0.0.1" if self.calls == 1 else super()._address(subject, parts)  # type: ignore[arg-type]

    with pytest.raises(MediaError) as caught:
        Inside(ReadLimits(total_s=2)).get(f"{server}/to/raw:http://169.254.169.254/latest")
    assert caught.value.code == "picture.address"


@pytest.mark.parametrize(
    "url", ["", "ftp://x/a", "//x/a", "http://", "http://[::1", "a.jpg", "http://a b/", "http://x:99999/"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(MediaError) as caught:
        SimpleFetcher(LOCAL).get(url)
    assert caught.value.code in ("picture.url", "picture.unreachable")


def test_another_fetcher_can_be_put_in() -> None:
    class Canned:
        def get(self, url: str) -> bytes:
            return url.encode()

    assert Pictures(web=Canned()).read(PictureRef("https://x.example/a")) == b"https://x.example/a"
