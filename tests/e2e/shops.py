"""Two shops and a video site on this machine, as processes, and the environment that leads `pvm` to them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import tiny

from tests.standins.running import ROOT, Running, amazon_environment, ebay_environment, running


@dataclass(frozen=True)
class Sites:
    """The sites, selling and showing what one tiny case holds."""

    ebay: Running
    amazon: Running
    videos: Running
    case: tiny.Tiny

    @property
    def environment(self) -> dict[str, str]:
        """What leads `pvm` to eBay and to the video site; Amazon is not set up."""
        return {
            **ebay_environment(self.ebay),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "standins"))),
            "PVM_STANDIN_VIDEOS": self.videos.url,
            "PVM_YOUTUBE_SEARCH": "localsearch",
            "PVM_BILIBILI_SEARCH": "localsearch",
            "PVM_YTDLP_EXTRACTORS": "standin.*",
            "PVM_YTDLP_SLEEP": "0",
            "PVM_FETCH_ALLOW": ",".join(site.place for site in (self.ebay, self.amazon, self.videos)),
        }

    @property
    def with_amazon(self) -> dict[str, str]:
        """The same with Amazon set up."""
        return self.environment | amazon_environment(self.amazon)

    def asked(self) -> dict[str, int]:
        """Requests per path, of eBay and the video site."""
        return self.ebay.counts() | self.videos.counts()


@contextmanager
def open_sites(case: tiny.Tiny) -> Iterator[Sites]:
    """Starts the sites; the clips were published last month."""
    published = int(time.time()) - 30 * 86_400
    clips = [
        {"id": path.stem, "file": path.name, "title": path.stem, "timestamp": published}
        for path in sorted(case.videos.glob("*.mp4"))
    ]
    (case.videos / "videos.json").write_text(json.dumps(clips), encoding="utf-8")
    wares = ("--folder", str(case.products.parent))
    with (
        running("ebay", *wares) as ebay,
        running("amazon", *wares) as amazon,
        running("videos", "--folder", str(case.videos)) as videos,
    ):
        yield Sites(ebay, amazon, videos, case)
