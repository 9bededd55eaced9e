"""A picture server that does as it is told, well or badly, down to the bytes on the wire.

In a test: ``with PictureServer() as server: server.put("/a.jpg", whole(body))``. As a process of its own it
serves a folder's files: ``python tests/standins/pictures.py FOLDER`` prints its address.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

#: Writes an answer; True where the connection may serve another request.
Answer = Callable[[socket.socket], bool]


def head(status: int = 200, content_type: str | None = "image/jpeg", **headers: object) -> bytes:
    """Status line and headers; ``content_length=3`` becomes ``Content-Length: 3``."""
    lines = [f"HTTP/1.1 {status} Said"]
    lines += [f"Content-Type: {content_type}"] if content_type is not None else []
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(
    body: bytes, content_type: str | None = "image/jpeg", status: int = 200, **headers: object
) -> Answer:
    """A proper answer."""
    declared = {"content_length": len(body), **headers}
    return raw(head(status, content_type, **declared) + body, keep=True)


def raw(data: bytes, *, keep: bool = False) -> Answer:
    """These bytes, then the end of the connection."""

    def answer(out: socket.socket) -> bool:
        out.sendall(data)
        return keep

    return answer


def redirect(location: str, status: int = 302) -> Answer:
    """A redirect to anywhere."""
    return whole(b"", None, status, location=location)


def chunked(body: bytes, content_type: str = "image/jpeg", piece: int = 1_000) -> Answer:
    """A proper answer of undeclared length."""

    def answer(out: socket.socket) -> bool:
        out.sendall(head(200, content_type, transfer_encoding="chunked"))
        for at in range(0, len(body), piece):
            part = body[at : at + piece]
            out.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        out.sendall(b"0\r\n\r\n")
        return True

    return answer


def dripping(start: bytes, piece: bytes, pause: float, before: bytes = b"") -> Answer:
    """`before`, `start` and then `piece` again and again, for ever."""

    def answer(out: socket.socket) -> bool:
        out.sendall(before + start)
        while True:
            out.sendall(piece)
            time.sleep(pause)

    return answer


def silent(seconds: float) -> Answer:
    """Nothing, then the end."""

    def answer(out: socket.socket) -> bool:
        time.sleep(seconds)
        return False

    return answer


def after(seconds: float, then: Answer) -> Answer:
    """A slow answer."""

    def answer(out: socket.socket) -> bool:
        time.sleep(seconds)
        return then(out)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One after the other; the last one stays."""
    lock, left = threading.Lock(), list(answers)

    def answer(out: socket.socket) -> bool:
        with lock:
            now = left.pop(0) if len(left) > 1 else left[0]
        return now(out)

    return answer


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        reader = self.request.makefile("rb")
        with suppress(OSError):
            while line := reader.readline():
                path = line.split(b" ")[1].decode("latin-1")
                headers = {}
                while (field := reader.readline().strip()) != b"":
                    name, _, value = field.partition(b":")
                    headers[name.decode().lower()] = value.strip().decode("latin-1")
                if not self.server.owner.serve(path, headers, self.request):
                    return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    owner: PictureServer

    def handle_error(self, request: object, client_address: object) -> None:
        raise


class PictureServer:
    """Serves on a free port of 127.0.0.1 from ``__enter__`` on.

    Attributes:
        asked: requests per path.
        hosts: Host headers seen.
        peak: most requests served at once.
    """

    def __init__(self, fallback: Callable[[str], Answer] | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self.headers: dict[str, str] = {}
        self.peak = 0
        self._answers: dict[str, Answer] = {}
        self._fallback = fallback or (lambda path: whole(b"not here", "text/plain", 404))
        self._lock = threading.Lock()
        self._now = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, path: str, answer: Answer) -> str:
        """Has `path` answered so; the URL."""
        self._answers[path] = answer
        return self.url + path

    def serve(self, path: str, headers: dict[str, str], out: socket.socket) -> bool:
        with self._lock:
            self.asked[path] += 1
            self.hosts.add(headers.get("host", ""))
            self.headers = headers
            self._now += 1
            self.peak = max(self.peak, self._now)
        try:
            return (self._answers.get(path) or self._fallback(path))(out)
        finally:
            with self._lock:
                self._now -= 1

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def files(folder: Path) -> Callable[[str], Answer]:
    """Answers with the files of a folder, straight from the page cache."""

    def answer_of(path: str) -> Answer:
        file = folder / path.rpartition("/")[2]

        def answer(out: socket.socket) -> bool:
            with file.open("rb") as opened:
                out.sendall(head(content_length=file.stat().st_size))
                out.sendfile(opened)
            return True

        return answer

    return answer_of


def main(folder: Path) -> Iterator[str]:
    """Serves the folder until the process ends; yields the address."""
    with PictureServer(files(folder)) as server:
        yield server.url
        threading.Event().wait()


if __name__ == "__main__":
    for address in main(Path(sys.argv[1])):
        print(address, flush=True)
