"""A video site on this machine: search, pages and files, with the faults real ones have.

    python -m tests.standins.videos --port 0 --folder CLIPS

prints ``http://127.0.0.1:PORT`` and serves the folder's clips until it is ended. yt-dlp reaches it through
the plug-in beside this file (``yt_dlp_plugins``), with these variables set:

    PYTHONPATH=tests/standins          PVM_STANDIN_VIDEOS=http://127.0.0.1:PORT
    PVM_YOUTUBE_SEARCH=localsearch     PVM_YTDLP_EXTRACTORS=standin.*
    PVM_BILIBILI_SEARCH=localsearch    PVM_FETCH_ALLOW=127.0.0.1:PORT      PVM_YTDLP_SLEEP=0

``videos.json`` in the folder says more about the clips: a list of objects with `id`, `file`, `title`,
`duration`, `timestamp`, `live_status`, `words` (found only by queries that hold one of them), `formats`
(each with its own `file`; one with a `protocol` is a playlist beside its pieces), and faults: `watch`
(status of its page), `says` (a kind of `refused` in the plug-in), `media` (status of its file), `cut`
(bytes after which the connection ends, one number a request), `rate` (bytes a second), `kind` (content
type), `lies` (no length stated, no ranges). Without it every clip is found by every query.

``/_counts`` answers how often each path was asked for.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PIECE = 16_384
_SUFFIXES = (".mp4", ".webm", ".mkv")


class VideoSite:
    """The site, served by threads of this process; use as a context."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.cookies: list[str] = []
        self.search_status = 200
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def videos(self) -> list[dict[str, Any]]:
        """What it has, by `videos.json` or by the clips in the folder."""
        listed = self.folder / "videos.json"
        if listed.exists():
            found: list[dict[str, Any]] = json.loads(listed.read_text(encoding="utf-8"))
            return found
        clips = sorted(p for p in self.folder.iterdir() if p.suffix in _SUFFIXES)
        return [{"id": p.stem, "file": p.name, "title": p.stem.replace("-", " ")} for p in clips]

    def video(self, video_id: str) -> dict[str, Any] | None:
        return next((v for v in self.videos() if v["id"] == video_id), None)

    def count(self, path: str) -> int:
        with self._lock:
            self.counts[path] += 1
            return self.counts[path]

    def asked(self, start: str) -> int:
        """Requests for paths that begin so."""
        with self._lock:
            return sum(n for path, n in self.counts.items() if path.startswith(start))

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def __enter__(self) -> VideoSite:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(site: VideoSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/_counts":
                self._json(dict(site.counts))
                return
            number = site.count(parts.path)
            if cookie := self.headers.get("Cookie"):
                site.cookies.append(cookie)
            place, _, name = parts.path.strip("/").partition("/")
            try:
                if place == "search":
                    self._search(parse_qs(parts.query))
                elif place == "watch":
                    self._watch(name)
                elif place == "media":
                    self._media(name, number)
                elif place == "file":
                    self._file(name)
                elif place == "goto":
                    self._goto(parse_qs(parts.query)["to"][0])
                else:
                    self._status(404)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _search(self, query: dict[str, list[str]]) -> None:
            if site.search_status != 200:
                self._status(site.search_status)
                return
            words = query["q"][0].lower().split()
            found = [v for v in site.videos() if not v.get("words") or set(words) & set(v["words"])]
            kept = ("id", "title", "duration", "live_status")
            listed = [
                {**{k: v[k] for k in kept if k in v}, "timestamp": v.get("listed", v.get("timestamp"))}
                for v in found
            ]
            self._json(listed[: int(query["n"][0])])

        def _watch(self, video_id: str) -> None:
            video = site.video(video_id)
            if video is None or video.get("watch", 200) != 200:
                self._status(404 if video is None else video["watch"])
                return
            formats = [
                {
                    "ext": Path(one["file"]).suffix[1:],
                    **{k: v for k, v in one.items() if k != "file"},
                    "url": f"{site.url}/file/{one['file']}"
                    if one.get("protocol")
                    else f"{site.url}/media/{video_id}/{one.get('format_id', n)}",
                }
                for n, one in enumerate(_formats(video))
            ]
            self._json({**video, "formats": formats})

        def _media(self, name: str, number: int) -> None:
            video_id, _, format_id = name.partition("/")
            video = site.video(video_id)
            if video is None or video.get("media", 200) != 200:
                self._status(404 if video is None else video["media"])
                return
            formats = {str(f.get("format_id", n)): f for n, f in enumerate(_formats(video))}
            data = (site.folder / formats[format_id]["file"]).read_bytes()
            begin = 0
            asked = self.headers.get("Range", "")
            if asked:
                site.ranges.append(asked)
            if asked.startswith("bytes=") and not video.get("lies"):
                begin = int(asked[6:].split("-")[0])
                if begin >= len(data):
                    self._status(416, {"Content-Range": f"bytes */{len(data)}"})
                    return
            self.send_response(206 if begin or (asked and not video.get("lies")) else 200)
            self.send_header("Content-Type", video.get("kind", "video/mp4"))
            if video.get("lies"):
                self.send_header("Connection", "close")
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(len(data) - begin))
                if asked:
                    self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            self._send(data[begin:], video, number)

        def _send(self, data: bytes, video: dict[str, Any], number: int) -> None:
            cuts = video.get("cut") or []
            limit = cuts[number - 1] if number <= len(cuts) else len(data)
            rate = video.get("rate")
            for start in range(0, min(limit, len(data)), _PIECE):
                self.wfile.write(data[start : min(start + _PIECE, limit)])
                if rate:
                    self.wfile.flush()
                    time.sleep(_PIECE / rate)
            if limit < len(data):
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

        def _file(self, name: str) -> None:
            path = site.folder / Path(name).name
            if not path.is_file():
                self._status(404)
                return
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _goto(self, to: str) -> None:
            self._status(302, {"Location": to})

        def _json(self, answer: object) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _status(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _formats(video: dict[str, Any]) -> list[dict[str, Any]]:
    formats: list[dict[str, Any]] = video.get("formats") or [
        {"file": video["file"], "format_id": "18", "vcodec": "avc1.42001E", "acodec": "none", "height": 240}
    ]
    return formats


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    site = VideoSite(given.folder, given.port)
    print(site.url, flush=True)
    site.serve()


if __name__ == "__main__":
    main()
