"""A video site on this machine, and sources that ask it through yt-dlp's own code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.settings import load_settings
from pvm_resources.sources.context import SourceContext
from tests.pvm_core.make_video import drawing, panned, write_clip
from tests.standins.videos import VideoSite

STANDINS = Path(__file__).parents[2] / "standins"
# yt-dlp looks for plug-ins once, when it is first made.
sys.path.append(str(STANDINS))


@dataclass
class Kept:
    """Answers in memory, through JSON as the database keeps them."""

    texts: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> Any | None:
        return json.loads(self.texts[key]) if key in self.texts else None

    def put(self, key: str, answer: Any) -> None:
        self.texts[key] = json.dumps(answer)


@dataclass
class Stand:
    """The site, its folder, and what makes sources for it."""

    site: VideoSite
    folder: Path
    downloads: Path
    answers: Kept
    lines: list[str]
    settings: dict[str, Any]

    def context(self, **settings: Any) -> SourceContext:
        return SourceContext(
            settings=load_settings(Path("/nonexistent"), **{**self.settings, **settings}),
            namespace="pillows",
            answers=self.answers,
            oauth_tokens=None,  # type: ignore[arg-type]  # videos have neither
            quotas=None,  # type: ignore[arg-type]
            web=None,  # type: ignore[arg-type]  # nor feeds
            policy=SourcePolicy(),
            folder=self.downloads,
            report=self.lines.append,
        )

    def put(self, *videos: dict[str, Any]) -> None:
        """The site has these videos."""
        listed = [{"title": f"Video {v['id']}", "file": "small.mp4", "duration": 4, **v} for v in videos]
        (self.folder / "videos.json").write_text(json.dumps(listed), encoding="utf-8")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``small.mp4`` (index at the end), ``front.mp4`` (index in front, so that its head alone opens),
    ``large.mp4`` of some megabytes, ``other.mp4``."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "small.mp4", panned(drawing(1, 240, 320), 4.0))
    write_clip(
        folder / "front.mp4", panned(drawing(2, 240, 320), 6.0), container={"movflags": "+faststart"}, gop=10
    )
    noisy = (drawing(n, 320, 480) for n in range(60))
    write_clip(folder / "large.mp4", noisy, options={"crf": "2"}, gop=10)
    write_clip(folder / "other.mp4", panned(drawing(3, 240, 320), 4.0))
    return folder


@pytest.fixture
def stand(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    folder = tmp_path / "site"
    folder.mkdir()
    for clip in clips.iterdir():
        (folder / clip.name).symlink_to(clip)
    with VideoSite(folder) as site:
        monkeypatch.setenv("PVM_STANDIN_VIDEOS", site.url)
        settings = {
            "youtube_search": "localsearch",
            "bilibili_search": "localsearch",
            "ytdlp_extractors": "standin.*",
            "ytdlp_sleep_s": 0,
            "fetch_allow": f"127.0.0.1:{site.port}",
        }
        yield Stand(site, folder, tmp_path / "downloads", Kept(), [], settings)


@pytest.fixture
def later() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Runs something in a thread of its own, joined at the end."""
    import threading

    threads: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        threads.append(thread)

    yield start
    for thread in threads:
        thread.join(30)
