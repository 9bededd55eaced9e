"""A shop and a video site on this machine, as processes, and the environment that leads `pvm` to them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import tiny

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Sites:
    """Both sites, selling and showing what one tiny case holds."""

    shop: str
    site: str
    case: tiny.Tiny

    @property
    def environment(self) -> dict[str, str]:
        """What leads `pvm` to them."""
        allowed = ",".join(url.removeprefix("http://") for url in (self.shop, self.site))
        return {
            "EBAY_API_URL": self.shop,
            "EBAY_CLIENT_ID": "stand-in-client",
            "EBAY_CLIENT_SECRET": "stand-in-secret",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "standins"))),
            "PVM_STANDIN_VIDEOS": self.site,
            "PVM_YOUTUBE_SEARCH": "localsearch",
            "PVM_BILIBILI_SEARCH": "localsearch",
            "PVM_YTDLP_EXTRACTORS": "standin.*",
            "PVM_YTDLP_SLEEP": "0",
            "PVM_FETCH_ALLOW": allowed,
        }

    def asked(self) -> dict[str, int]:
        """Requests per path, of both."""
        return {**_json(f"{self.shop}/_counts"), **_json(f"{self.site}/_counts")}

    def violations(self) -> list[Any]:
        """Requests and answers against eBay's own description."""
        found: list[Any] = _json(f"{self.shop}/_violations")
        return found

    def fail(self, *faults: dict[str, Any]) -> None:
        """Lets the shop misbehave (`tests.standins.serving.Fault`)."""
        _json(f"{self.shop}/_faults", json.dumps(faults).encode())


@contextmanager
def open_sites(case: tiny.Tiny) -> Iterator[Sites]:
    """Starts both sites; the clips were published last month."""
    published = int(time.time()) - 30 * 86_400
    clips = [
        {"id": path.stem, "file": path.name, "title": path.stem, "timestamp": published}
        for path in sorted(case.videos.glob("*.mp4"))
    ]
    (case.videos / "videos.json").write_text(json.dumps(clips), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started: list[subprocess.Popen[str]] = []
    urls = []
    try:
        for name, folder in (("ebay", case.products.parent), ("videos", case.videos)):
            command = [sys.executable, "-m", f"tests.standins.{name}", "--folder", str(folder)]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            started.append(process)
            assert process.stdout is not None
            urls.append(process.stdout.readline().strip())
        yield Sites(urls[0], urls[1], case)
    finally:
        for process in started:
            process.kill()
            process.wait()


def _json(url: str, body: bytes | None = None) -> Any:
    with urlopen(Request(url, data=body), timeout=10) as answer:
        return json.loads(answer.read())
