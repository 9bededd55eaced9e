"""From a record to a whole file on this machine, the same for searches and lists of links."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from pvm_core.errors import MediaError
from pvm_resources.settings import Settings
from pvm_resources.sources.base import Collected, Query, SourceStateName, VideoRecord
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.ytdlp import runtimes, search
from pvm_resources.sources.ytdlp.options import Extractors
from pvm_resources.sources.ytdlp.places import Place, check_whole

if TYPE_CHECKING:
    from pvm_resources.sources.ytdlp.client import Client, Extracting

#: Seconds for which the addresses of a video's particulars are used; YouTube's are good for six hours,
#: Bilibili's for two.
_FRESH_S: Final = 3_600
#: Faults of a download that newer particulars may cure: addresses that ran out.
_STALE: Final = frozenset(("video.refused", "video.unavailable", "video.login"))
#: What a check of a file finds, and a download from the start may cure where it was continued.
_BROKEN: Final = frozenset(
    f"video.{kind}"
    for kind in ("changed", "truncated", "corrupt", "type", "empty", "no_stream", "codec", "bomb")
)
#: Videos of one platform in a row that it limits before requests to it pause, and for how long, seconds.
_LIMITED_MAX: Final = 3
_PAUSE_S: Final = 300.0
#: Downloads of one source at a time: more make the sites suspicious, and one fills most lines.
_AT_ONCE: Final = 2


T = TypeVar("T")


def state_of(code: str) -> SourceStateName:
    """What a source's state is called that a fault of this code ended."""
    if code in ("video.cookies", "video.settings"):
        return "not_configured"
    return "rate_limited" if code == "video.rate_limited" else "failed"


class Lazily(Generic[T]):
    """A session that the first request opens and `stack` closes."""

    def __init__(self, stack: ExitStack, opened: Callable[[], AbstractContextManager[T]]) -> None:
        self._stack = stack
        self._opened = opened

    @cached_property
    def session(self) -> T:
        """The session."""
        return self._stack.enter_context(self._opened())


class Pauses:
    """Pauses requests to a platform that has limited several in a row; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limited: Counter[str] = Counter()
        self._until: dict[str, float] = {}

    def check(self, platform: str, subject: str) -> None:
        """Refuses without a request while the platform's pause lasts.

        Raises:
            MediaError: ``video.rate_limited``.
        """
        with self._lock:
            left = self._until.get(platform, 0.0) - time.monotonic()
        if left > 0:
            raise MediaError(
                "video.rate_limited",
                subject,
                f"{platform} limits requests from here; it is left alone for {left / 60:.0f} minutes",
                "Wait an hour, raise PVM_YTDLP_SLEEP, or give a browser's cookies in PVM_YTDLP_COOKIES",
            )

    def note(self, platform: str, code: str) -> None:
        """Counts an outcome; "" is a success."""
        with self._lock:
            if code != "video.rate_limited":
                self._limited.pop(platform, None)
                return
            self._limited[platform] += 1
            if self._limited[platform] >= _LIMITED_MAX:
                self._until[platform] = time.monotonic() + _PAUSE_S


class Fetching:
    """Particulars and files of videos; safe to use from several threads.

    Args:
        context: what the source was given.
        client: gives yt-dlp, which the first request imports.
        stop: set to end transfers and waits.
        longest_s: seconds; a longer video is refused. None = any length.
    """

    def __init__(
        self,
        context: SourceContext,
        client: Callable[[], Client],
        stop: threading.Event,
        longest_s: float | None = None,
    ) -> None:
        self._context = context
        self._client = client
        self._stop = stop
        self._longest_s = longest_s
        self._pauses = Pauses()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def known(self, key: str) -> dict[str, Any] | None:
        """Particulars that a request of this job brought, however old; None where none did."""
        answer = self._context.answers.get(key)
        return dict(answer["info"]) if answer else None

    def read_details(self, session: Extracting, platform: str, key: str, url: str) -> dict[str, Any]:
        """A video's particulars by a request, kept under `key`.

        Raises:
            MediaError: as `Extracting.video`.
        """
        self._pauses.check(platform, url)
        try:
            info = self._asked(session, key, url)
        except MediaError as error:
            self._pauses.note(platform, error.code)
            raise
        self._pauses.note(platform, "")
        return info

    def _asked(self, session: Extracting, key: str, url: str) -> dict[str, Any]:
        info = session.video(url)
        self._context.answers.put(key, {"at": int(time.time()), "info": info})
        return info

    def fetch(self, record: VideoRecord, folder: Path, key: str) -> Path:
        """The video, downloaded into `folder` where it is not there yet.

        Raises:
            MediaError: it cannot be downloaded; see `errors`, and ``video.too_long``.
        """
        place = Place(folder, record.platform, record.external_id)
        if (found := place.finished()) is not None:
            return found
        name = record.given_name
        with place.locked(self._stop, lambda: self._context.report(f"{name}: another one is fetching it")):
            if (found := place.finished() or place.recovered()) is not None:
                return found
            with self._slots:
                return self._download(record, place, key)

    def _download(self, record: VideoRecord, place: Place, key: str) -> Path:
        self._pauses.check(record.platform, record.given_name)
        stored = self._context.answers.get(key)
        found: Path | None = None
        try:
            if stored and time.time() - stored["at"] < _FRESH_S:
                found = self._unless_stale(record, place, stored["info"])
            if found is None:
                with self._client().extracting() as session:
                    info = self._asked(session, key, record.url)
                found = self._whole(record, place, info)
        except MediaError as error:
            self._pauses.note(record.platform, error.code)
            raise _named(error, record) from error
        self._pauses.note(record.platform, "")
        return found

    def _unless_stale(self, record: VideoRecord, place: Place, info: Mapping[str, Any]) -> Path | None:
        """The video by addresses that were good a while ago; None where they may have run out."""
        try:
            return self._whole(record, place, info)
        except MediaError as error:
            if error.code in _STALE:
                return None
            raise

    def _whole(self, record: VideoRecord, place: Place, info: Mapping[str, Any]) -> Path:
        self._refuse_long(record, info)
        place.drop_unknown()
        continued = place.has_part()
        place.work.mkdir(parents=True, exist_ok=True)
        watch = self._watch(record.given_name)
        try:
            path = self._client().download(info, record.given_name, place.work, watch)
            check_whole(path)
        except MediaError as error:
            if error.code in _BROKEN:
                place.start_over()
            if not continued or error.code not in _BROKEN:
                raise
            # What was there before may have been of another file under the same name.
            self._context.report(f"{record.given_name}: what was continued does not fit; from the start")
            return self._whole(record, place, info)
        return place.keep(path)

    def _refuse_long(self, record: VideoRecord, info: Mapping[str, Any]) -> None:
        length = info.get("duration")
        if self._longest_s is not None and length is not None and length > self._longest_s:
            reason = f"it is {length / 60:.0f} minutes long, over the {self._longest_s / 60:.0f} allowed"
            raise MediaError(
                "video.too_long", record.given_name, reason, "Name it in a list of links to have it"
            )

    def _watch(self, name: str) -> Any:
        def watch(here: int, whole: int | None, rate: float | None) -> None:
            of = f" of {whole / 1e6:.1f}" if whole else ""
            speed = f", {rate / 1e6:.1f} MB/s" if rate else ""
            self._context.report(f"{name}: {here / 1e6:.1f}{of} MB{speed}")

        return watch


class YtdlpSource(ABC):
    """Videos through yt-dlp; made for one job, safe to use from several threads.

    Args:
        context: what every source is given.
        longest_s: as `Fetching`.
    """

    #: The source's name in commands, statuses and rows.
    name: ClassVar[str]

    def __init__(self, context: SourceContext, longest_s: float | None = None) -> None:
        self._context = context
        self._stop = threading.Event()
        self._fetching = Fetching(context, lambda: self._client, self._stop, longest_s)
        #: What this machine sets; each site's own terms bind besides.
        self.policy = context.policy

    @abstractmethod
    def collect(self, query: Query) -> Collected[VideoRecord]:
        """Videos for the query, not fetched yet."""

    def fetch(self, record: VideoRecord, folder: Path) -> Path:
        """The video as a whole file under `folder`; one that is there already costs no request.

        Raises:
            MediaError: ``video.unavailable``, ``.geo``, ``.private``, ``.login``, ``.rate_limited``,
                ``.network``, ``.refused``, ``.unsupported``, ``.no_format``, ``.extractor``, ``.address``,
                ``.too_large``, ``.too_long``, ``.live``, ``.cancelled``, and what shows that a file is no
                whole video: ``.type``, ``.truncated``, ``.corrupt``, ``.empty``, ``.no_stream``.
        """
        return self._fetching.fetch(record, folder, self._key(record))

    def details(self, record: VideoRecord) -> VideoRecord:
        """The record with the exact date and length that this job has read since; sends no request."""
        return detailed(record, self._fetching.known(self._key(record)))

    def cancel(self) -> None:
        """Ends transfers and waits of other threads; what was downloaded stays for the next try."""
        self._stop.set()

    @cached_property
    def _client(self) -> Client:
        from pvm_resources.sources.ytdlp.client import Client

        settings = self._context.settings
        return Client(settings, self._extractors(settings), self._runtime.runtime, self._stop)

    @cached_property
    def _runtime(self) -> runtimes.JsSupport:
        return runtimes.detect()

    @abstractmethod
    def _extractors(self, settings: Settings) -> Extractors:
        """Which of yt-dlp's extractors may run."""

    @abstractmethod
    def _key(self, record: VideoRecord) -> str:
        """Under what the video's particulars are stored in this job."""


def detailed(record: VideoRecord, info: Mapping[str, Any] | None) -> VideoRecord:
    """The record with what the video's own page says of title, length, date and channel."""
    if not info:
        return record
    return replace(
        record,
        title=record.title or str(info.get("title") or ""),
        duration_s=info.get("duration") or record.duration_s,
        published_at=search.published(info) or record.published_at,
        channel=search.channel(info) or record.channel,
    )


def _named(error: MediaError, record: VideoRecord) -> MediaError:
    """The error under the name that results give the video."""
    return MediaError(error.code, record.given_name, error.reason, error.remedy, retryable=error.retryable)
