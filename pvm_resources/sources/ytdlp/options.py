"""The options of yt-dlp: limits, formats, the extractors that may run.

Its defaults as a library are not those of its command line: without these settings it never retries, waits
for a silent server without end and fetches the largest format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pvm_core.errors import MediaError
from pvm_resources.http.retry import RetryPolicy
from pvm_resources.settings import Settings
from pvm_resources.sources.ytdlp.runtimes import JsRuntime

#: Picture without sound, H.264 where there is one: keyframes are stored at most 960 pixels wide, and a
#: 480-line picture is 854. ``<=?`` keeps formats that do not state their height. No ``+``: nothing is merged,
#: so no ffmpeg is needed.
FORMAT: Final = "bv[vcodec^=avc1][height<=?480]/bv*[height<=?480]/b[height<=?480]/w"
#: Transfers that run through the address check of `network`; others start a program of their own.
PROTOCOLS: Final = frozenset(("http", "https", "m3u8_native", "m3u8", "http_dash_segments"))
#: Of a request that failed in transport, and of one piece of a video in pieces.
RETRIES: Final = 5
#: Seconds between two pieces of an answer; what yt-dlp's command line has.
SOCKET_TIMEOUT_S: Final = 20.0
#: The longest wait before one retry, seconds.
_BACKOFF_MAX_S: Final = 30.0
#: An hour at 480 lines and 1 Mbit/s, about the most YouTube gives that size, is 450 MB.
MAX_BYTES: Final = 500_000_000
#: The longest one download may take, seconds; its part stays for the next try.
MAX_TRANSFER_S: Final = 1_800.0

_YOUTUBE: Final = ("youtube", "youtube:.*")
_BILIBILI: Final = ("bilibili.*",)
_LINKED: Final = (
    *_YOUTUBE,
    *_BILIBILI,
    "biliintl.*",
    "dailymotion",
    "douyin",
    "facebook",
    "facebook:reel",
    "instagram",
    "ixigua",
    "tiktok",
    "tiktok:.*",
    "vimeo",
    "vimeo:.*",
    "vm\\.tiktok",
    "weibo.*",
    "xiaohongshu",
)
_GENERIC: Final = "generic"


@dataclass(frozen=True)
class Extractors:
    """Which of yt-dlp's extractors may run.

    Attributes:
        patterns: regular expressions, each for a whole name, in any case.
    """

    patterns: tuple[str, ...]

    @classmethod
    def youtube(cls, settings: Settings) -> Extractors:
        """Those of YouTube, and the setting's."""
        return cls((*_YOUTUBE, *_further(settings)))

    @classmethod
    def bilibili(cls, settings: Settings) -> Extractors:
        """Those of Bilibili, and the setting's."""
        return cls((*_BILIBILI, *_further(settings)))

    @classmethod
    def linked(cls, settings: Settings) -> Extractors:
        """Those a list of links may lead to: sites that show products, and the setting's."""
        return cls((*_LINKED, *_further(settings)))

    @property
    def generic(self) -> bool:
        """True where the one that fetches any address is named, in full."""
        return _GENERIC in (pattern.lower() for pattern in self.patterns)

    def option(self) -> list[str]:
        """As yt-dlp takes them; a wide expression does not let the generic one in."""
        return [*self.patterns, *(() if self.generic else ("-generic",))]


def _further(settings: Settings) -> tuple[str, ...]:
    found = tuple(text for part in settings.ytdlp_extractors.split(",") if (text := part.strip()))
    for pattern in found:
        try:
            re.compile(pattern)
        except re.error as error:
            raise MediaError(
                "video.settings",
                "PVM_YTDLP_EXTRACTORS",
                f"{pattern!r} is no regular expression",
                "Correct it",
            ) from error
    return found


def common(
    settings: Settings, extractors: Extractors, runtime: JsRuntime | None, logger: Any
) -> dict[str, Any]:
    """What every use of yt-dlp has in common; cookies are given apart."""
    pause = settings.ytdlp_sleep_s
    proxy = settings.ytdlp_proxy
    return {
        "quiet": True,
        "no_color": True,
        "noprogress": True,
        "logger": logger,
        "allowed_extractors": extractors.option(),
        "enable_file_urls": False,
        "noplaylist": True,
        "ignoreerrors": False,
        "cachedir": False,
        "check_formats": False,
        "retries": RETRIES,
        "fragment_retries": RETRIES,
        "extractor_retries": 3,
        "skip_unavailable_fragments": False,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), backoff(pause)),
        "sleep_interval_requests": pause,
        # Proxies of the environment are not used: a proxy resolves names itself, out of reach of the check.
        "proxy": proxy.get_secret_value() if proxy else "",
        "js_runtimes": {runtime.name: {"path": runtime.path}} if runtime else {},
    }


def searching(common: dict[str, Any]) -> dict[str, Any]:
    """For searches: hits as the list shows them, none looked into."""
    # YouTube's lists say "2 weeks ago"; without this argument yt-dlp drops it.
    return {
        **common,
        "extract_flat": "in_playlist",
        "extractor_args": {"youtubetab": {"approximate_date": [""]}},
    }


def extracting(common: dict[str, Any]) -> dict[str, Any]:
    """For one video's particulars; of a list of videos only that it is one."""
    return {**common, "format": FORMAT, "extract_flat": "in_playlist", "playlist_items": "1"}


def downloading(
    common: dict[str, Any], settings: Settings, folder: Path, hook: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """For fetching one video into `folder`, named by its format so that no other continues it."""
    pause = settings.ytdlp_sleep_s
    return {
        **common,
        "format": FORMAT,
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "%(format_id).80s.%(ext)s"},
        "restrictfilenames": True,
        "continuedl": True,
        "nopart": False,
        "overwrites": False,
        "updatetime": False,
        "fixup": "never",
        "postprocessors": [],
        # One that is not there: ffmpeg would open connections of its own, past the address check.
        "ffmpeg_location": str(folder / "no-ffmpeg"),
        "external_downloader": {"default": "native"},
        "progress_hooks": [hook],
        "sleep_interval": pause,
        "max_sleep_interval": 2 * pause,
        "ratelimit": settings.ytdlp_rate,
    }


def backoff(pause_s: float) -> Callable[[int], float]:
    """Seconds before the n-th retry (from 0), as yt-dlp asks for them: doubling from the pause between
    requests, with jitter."""
    policy = RetryPolicy(first_wait_s=pause_s, max_wait_s=_BACKOFF_MAX_S)
    return lambda n: policy.wait_s(n + 1)
