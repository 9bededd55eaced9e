"""yt-dlp as the sources use it: searches, particulars of one video, one download."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from yt_dlp.utils import DownloadCancelled

from pvm_core.errors import MediaError
from pvm_resources.http.address_policy import AddressPolicy, AllowList
from pvm_resources.settings import Settings
from pvm_resources.sources.ytdlp import options, plain_files
from pvm_resources.sources.ytdlp.bilibili import BROKE_OFF, BiliBiliSearchIE
from pvm_resources.sources.ytdlp.cookies import read_cookies
from pvm_resources.sources.ytdlp.errors import FAULTS, explain
from pvm_resources.sources.ytdlp.network import CheckedYoutubeDL, Gate
from pvm_resources.sources.ytdlp.options import Extractors
from pvm_resources.sources.ytdlp.places import cancelled, total_note
from pvm_resources.sources.ytdlp.runtimes import JsRuntime

_log: Final = logging.getLogger(__name__)

#: Of a video's particulars, what is kept: enough to name it, to judge it and to fetch it.
_KEPT: Final = (
    "id", "title", "webpage_url", "original_url", "extractor", "extractor_key", "duration", "timestamp",
    "upload_date", "live_status", "is_live", "channel", "uploader", "_type",
)  # fmt: skip
#: Of a format, what is dropped: cookies are secrets, and the rest is worked out again.
_DROPPED: Final = frozenset(("cookies", "format", "resolution", "aspect_ratio", "dynamic_range", "rows"))
#: Seconds between two progress lines.
_REPORT_S: Final = 1.0

Watch = Callable[[int, int | None, float | None], None]


class Log:
    """Where yt-dlp's own lines go: debug level; warnings are kept for who asks."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """A line of what it does."""
        _log.debug("%s", message)

    info = debug

    def warning(self, message: str) -> None:
        """A warning."""
        self.warnings.append(message)
        _log.debug("%s", message)

    def error(self, message: str) -> None:
        """What is raised as well."""
        _log.debug("%s", message)

    @property
    def broke_off(self) -> str:
        """Why a search ended early; "" where it did not."""
        found = next((text for text in self.warnings if BROKE_OFF in text), "")
        return found[found.index(BROKE_OFF) :] if found else ""


class Client:
    """Safe to use from several threads; each session is one thread's.

    Args:
        settings: cookies, proxy, pauses, rate, own servers that are allowed.
        extractors: which may run.
        runtime: the JavaScript runtime given to YouTube's extractor.
        stop: set to end transfers that are under way.
    """

    def __init__(
        self,
        settings: Settings,
        extractors: Extractors,
        runtime: JsRuntime | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._settings = settings
        self._extractors = extractors
        self._runtime = runtime
        self._stop = stop or threading.Event()

    def _gate(self, anywhere: bool) -> Gate | None:
        """What judges connections; None where a proxy makes them.

        Args:
            anywhere: the user named the server, which may be any: it is asked on the ports of the web alone,
                and never through a disguise, whose redirects go unchecked.
        """
        if self._settings.ytdlp_proxy is not None:
            if anywhere:
                raise MediaError(
                    "video.settings",
                    "PVM_YTDLP_PROXY",
                    "behind a proxy the address of a plain file cannot be checked",
                    "Fetch the file yourself and name its folder, or unset PVM_YTDLP_PROXY",
                )
            if self._extractors.generic:
                raise MediaError(
                    "video.settings",
                    "PVM_YTDLP_EXTRACTORS",
                    "the generic extractor asks any address, and behind a proxy none can be checked",
                    "Take generic out of it, or unset PVM_YTDLP_PROXY",
                )
            return None
        allow = AllowList.parse(self._settings.fetch_allow)
        return Gate(AddressPolicy(allow), known_sites=not (anywhere or self._extractors.generic))

    @cached_property
    def _cookies(self) -> str | None:
        path = self._settings.ytdlp_cookies
        return None if path is None else read_cookies(path)

    @contextmanager
    def searching(self) -> Iterator[Searching]:
        """A session of searches, paced as one.

        Raises:
            MediaError: ``video.cookies``, ``video.settings``.
        """
        log = Log()
        with self._opened(options.searching, "search", log) as ydl:
            ydl.add_info_extractor(BiliBiliSearchIE())
            yield Searching(ydl, log)

    @contextmanager
    def extracting(self) -> Iterator[Extracting]:
        """A session of reading videos' details, paced as one.

        Raises:
            MediaError: ``video.cookies``, ``video.settings``.
        """
        with self._opened(options.extracting, "video", Log()) as ydl:
            yield Extracting(ydl, plain=not self._extractors.generic)

    def download(self, info: Mapping[str, Any], subject: str, folder: Path, watch: Watch) -> Path:
        """The file of a video in `folder`, continued where a part of the same format is there.

        Args:
            info: as `Extracting.video` gives it.
            watch: called with bytes here, bytes in all and bytes per second, about once a second.

        Raises:
            MediaError: ``video.too_large``, ``video.cancelled``, and what `errors.explain` gives.
        """
        hook = _Hook(subject, self._stop, watch)

        def made(common: dict[str, Any]) -> dict[str, Any]:
            return options.downloading(common, self._settings, folder, hook)

        with self._opened(made, subject, Log(), anywhere=plain_files.is_one(info)) as ydl:
            return _downloaded(ydl, info, subject)

    @contextmanager
    def _opened(
        self,
        made: Callable[[dict[str, Any]], dict[str, Any]],
        subject: str,
        log: Log,
        *,
        anywhere: bool = False,
    ) -> Iterator[CheckedYoutubeDL]:
        params = made(options.common(self._settings, self._extractors, self._runtime, log))
        if self._cookies is not None:
            # A copy in memory, since yt-dlp writes its cookies back.
            params["cookiefile"] = io.StringIO(self._cookies)
        try:
            ydl = CheckedYoutubeDL(params, self._gate(anywhere))
        except FAULTS as error:
            raise explain(error, subject) from error
        try:
            yield ydl
        finally:
            ydl.close()


class Searching:
    """Searches with one client."""

    def __init__(self, ydl: CheckedYoutubeDL, log: Log) -> None:
        self._ydl = ydl
        self._log = log

    def hits(self, prefix: str, phrase: str, count: int) -> tuple[list[dict[str, Any]], str]:
        """Up to `count` entries as the site lists them, and why there are fewer than it has; "" where not.

        Args:
            prefix: yt-dlp's name for the search, e.g. ``ytsearch``.

        Raises:
            MediaError: as `errors.explain`.
        """
        self._log.warnings.clear()
        try:
            answer = self._ydl.extract_info(f"{prefix}{count}:{phrase}", download=False) or {}
            found = [dict(entry) for entry in answer.get("entries") or () if entry]
        except FAULTS as error:
            raise explain(error, f"search for {phrase!r}") from error
        return found, self._log.broke_off


class Extracting:
    """Reads details of single videos with one client.

    Args:
        plain: addresses of files are taken for them; the generic extractor would ask for each.
    """

    def __init__(self, ydl: CheckedYoutubeDL, *, plain: bool) -> None:
        self._ydl = ydl
        self._plain = plain

    def video(self, url: str) -> dict[str, Any]:
        """A video's particulars with the one format that is fetched, as JSON without secrets. Those of a
        plain file (`plain_files`) without a request.

        Raises:
            MediaError: ``video.list``: the address is that of a list; ``video.live``; and as
                `errors.explain`.
        """
        if self._plain and (plain := plain_files.details(url)) is not None:
            return plain
        try:
            info = self._ydl.extract_info(url, download=False)
        except FAULTS as error:
            raise explain(error, url) from error
        if not info:
            raise MediaError("video.unsupported", url, "yt-dlp finds no video there", "Check the address")
        if info.get("_type", "video") != "video":
            reason = "it is the address of a list of videos"
            raise MediaError("video.list", url, reason, "Give the addresses of its videos")
        refuse_live(info, url)
        return _slim(self._ydl.sanitize_info(info))


def refuse_live(info: Mapping[str, Any], subject: str) -> None:
    """Refuses what has no end yet.

    Raises:
        MediaError: ``video.live``.
    """
    state = info.get("live_status")
    if info.get("is_live") or state in ("is_live", "is_upcoming", "post_live"):
        reason = "it has not begun" if state == "is_upcoming" else "it is live"
        raise MediaError("video.live", subject, reason, "Ask again when it is over")


def _slim(info: Mapping[str, Any]) -> dict[str, Any]:
    # A site that lists no formats gives its one format's fields among the video's own.
    formats = info.get("formats") or [{key: value for key, value in info.items() if key not in _KEPT}]
    chosen = [
        {key: value for key, value in one.items() if key not in _DROPPED and value is not None}
        for one in formats
        if one.get("format_id") == info.get("format_id")
    ]
    return {**{key: info[key] for key in _KEPT if info.get(key) is not None}, "formats": chosen}


def _downloaded(ydl: CheckedYoutubeDL, info: Mapping[str, Any], subject: str) -> Path:
    formats = info["formats"]
    if formats[0].get("protocol", "https") not in options.PROTOCOLS:
        reason = f"it comes by {formats[0]['protocol']}, which is not fetched here"
        raise MediaError("video.unsupported", subject, reason, "Take another video")
    size = formats[0].get("filesize")
    if size and size > options.MAX_BYTES:
        raise too_large(subject, size)
    try:
        # A copy: yt-dlp works in what it is given.
        done = ydl.process_ie_result({**info, "formats": [dict(one) for one in formats]}, download=True)
    except EndedError as ended:
        raise ended.error from ended
    except FAULTS as error:
        raise explain(error, subject) from error
    files = [Path(one["filepath"]) for one in done.get("requested_downloads") or () if one.get("filepath")]
    # yt-dlp says nothing where it left a video out.
    if len(files) != 1 or not files[0].is_file():
        raise MediaError("video.network", subject, "no file came of it", "Try again later")
    return files[0]


class EndedError(DownloadCancelled):  # type: ignore[misc]
    """Ends a transfer; `error` is what the user reads."""

    def __init__(self, error: MediaError) -> None:
        super().__init__(str(error))
        self.error = error


def too_large(subject: str, size: int) -> MediaError:
    """The error for a video of that many bytes."""
    reason = f"{size:,} bytes, over the {options.MAX_BYTES:,} allowed"
    return MediaError("video.too_large", subject, reason, "Take a shorter video")


class _Hook:
    """Called by yt-dlp with every piece."""

    def __init__(self, subject: str, stop: threading.Event, watch: Watch) -> None:
        self._subject = subject
        self._stop = stop
        self._watch = watch
        self._started = self._reported = time.monotonic()
        self._whole: int | None = None

    def __call__(self, state: Mapping[str, Any]) -> None:
        here, whole = state.get("downloaded_bytes") or 0, state.get("total_bytes")
        now = time.monotonic()
        if self._stop.is_set():
            raise EndedError(cancelled(self._subject))
        if max(here, whole or 0) > options.MAX_BYTES:
            raise EndedError(too_large(self._subject, max(here, whole or 0)))
        if state.get("status") == "downloading":
            self._compare(state)
            if now - self._started > options.MAX_TRANSFER_S:
                reason = f"it takes longer than {options.MAX_TRANSFER_S / 60:.0f} minutes"
                remedy = "Try again: what has come is kept"
                raise self._ended("video.network", reason, remedy)
        if now - self._reported >= _REPORT_S or state.get("status") == "finished":
            self._reported = now
            self._watch(here, whole or state.get("total_bytes_estimate"), state.get("speed"))

    def _compare(self, state: Mapping[str, Any]) -> None:
        """Notes beside the part how long the whole is, or finds that it was another length before."""
        whole = state.get("total_bytes")
        if self._whole == whole or whole is None or "fragment_index" in state:
            return
        self._whole = whole
        note = total_note(Path(state["tmpfilename"]))
        if note.exists():
            if note.read_text(encoding="ascii") != str(whole):
                reason = "the file has changed since its first part was fetched"
                raise self._ended("video.changed", reason, "Try again")
        else:
            note.write_text(str(whole), encoding="ascii")

    def _ended(self, code: str, reason: str, remedy: str) -> EndedError:
        return EndedError(MediaError(code, self._subject, reason, remedy, retryable=True))
