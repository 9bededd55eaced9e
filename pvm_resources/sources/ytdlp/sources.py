"""YouTube and Bilibili as video sources: search, select by the list, read details where it has too few."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pvm_core.errors import MediaError, Problem
from pvm_resources.settings import Settings
from pvm_resources.sources.base import Collected, Query, SourceStatus, VideoRecord
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.search_terms import UND, keep_command, may_be_in
from pvm_resources.sources.ytdlp import runtimes, search
from pvm_resources.sources.ytdlp.fetching import Lazily, YtdlpSource, detailed, state_of
from pvm_resources.sources.ytdlp.options import Extractors
from pvm_resources.sources.ytdlp.search import Hit

if TYPE_CHECKING:
    from pvm_resources.sources.ytdlp.client import Extracting, Searching

#: The stage these problems belong to.
STAGE: Final = "videos"
_TITLE_MAX: Final = 80
#: Faults after which further phrases would meet the same.
_ENDING: Final = frozenset(("video.rate_limited", "video.address", "video.cookies", "video.settings"))


def given_name(title: str, external_id: str) -> str:
    """What results call a video: its title, cut, and its id, which makes it unique."""
    plain = " ".join(re.sub(r"[\x00-\x1f\x7f/\\]", " ", title).split())
    short = plain if len(plain) <= _TITLE_MAX else f"{plain[: _TITLE_MAX - 1].rstrip()}…"
    return f"{short} [{external_id}]" if short else external_id


@dataclass
class _Gathering:
    """What one collection has found so far."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    fault: MediaError | None = None
    answered: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def failed(self, error: MediaError, item: str | None = None) -> None:
        self.problems.append(Problem.of(STAGE, error, item))
        self.fault = self.fault or error


@dataclass(frozen=True)
class _Young:
    """Judges by exact dates; `since` None takes any."""

    since: datetime | None
    gathering: _Gathering

    def takes(self, record: VideoRecord) -> bool:
        if record.duration_s is not None and record.duration_s > search.MAX_S:
            self.gathering.left_out["too long"] += 1
            return False
        if self.since is None:
            return True
        if record.published_at is None:
            reason = "nobody states when it was published, and younger videos only were asked for"
            remedy = "Name it in a list of links to have it"
            error = MediaError("video.date_unknown", record.given_name, reason, remedy)
            self.gathering.problems.append(Problem.of(STAGE, error))
            return False
        if record.published_at < self.since:
            self.gathering.left_out["too old"] += 1
            return False
        return True


class _SearchedVideos(YtdlpSource):
    """A site that is searched.

    Args:
        context: what every source is given.
    """

    #: The list's own dates are exact.
    _DATED: ClassVar[bool] = False

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, search.MAX_S)

    def collect(self, query: Query) -> Collected[VideoRecord]:
        """Videos for the query, best hits of each phrase in turn, each once.

        Left out are live ones, those longer than `search.MAX_S`, and, with `recency_days`, older ones and
        those without a stated date (each of these a problem). Where a list's date is not exact, hits are
        read one after the other until enough are young enough.
        """
        gathering = _Gathering()
        phrases = self._phrases(query, gathering)
        self._check_machine(gathering)
        wanted = query.limit or search.DEFAULT_TOP
        chosen: list[VideoRecord] = []
        with ExitStack() as stack:
            try:
                found = self._search(stack, phrases, wanted, gathering)
                young = _Young(search.oldest(datetime.now(UTC), query.recency_days), gathering)
                chosen = self._choose(stack, found, wanted, young)
            except MediaError as error:
                gathering.failed(error)
        self._context.report(self._summary(len(chosen), gathering))
        status = self._status(len(chosen), phrases, gathering)
        return Collected(status, tuple(chosen), tuple(gathering.problems))

    # -- what differs between sites ----------------------------------------------------------------

    @abstractmethod
    def _phrases(self, query: Query, gathering: _Gathering) -> tuple[str, ...]:
        """The phrases that the site is searched for."""

    @abstractmethod
    def _prefix(self, settings: Settings) -> tuple[str, str]:
        """The search as yt-dlp calls it, and the variable that sets it."""

    def _check_machine(self, gathering: _Gathering) -> None:  # most sites need nothing
        """Notes what this machine lacks for the site."""

    # -- what does not -----------------------------------------------------------------------------

    def _key(self, record: VideoRecord) -> str:
        return f"video|{self.name}|{record.external_id}"

    def _search(
        self, stack: ExitStack, phrases: Sequence[str], wanted: int, gathering: _Gathering
    ) -> list[Hit]:
        prefix, variable = self._prefix(self._context.settings)
        if not re.fullmatch(r"[A-Za-z]+", prefix):
            raise _no_search(prefix, variable)
        count = search.depth(wanted, len(phrases))
        opened = Lazily(stack, lambda: self._client.searching())
        lists: list[list[Hit]] = []
        for phrase in phrases:
            try:
                answer = self._answer(opened, prefix, phrase, count)
            except MediaError as error:
                if error.code == "video.unsupported":
                    error = _no_search(prefix, variable)
                gathering.failed(error, f"search: {phrase}")
                if error.code in _ENDING:
                    break
                continue
            gathering.answered += 1
            if answer["short"]:
                gathering.notes.append((f"{phrase!r}: {answer['short']}", "Run the job again later for more"))
            lists.append(list(search.hits(answer["hits"])))
            self._context.report(f"{self.name}: {len(lists[-1])} hits for {phrase!r}")
        return search.in_turn(lists)

    def _answer(self, opened: Lazily[Searching], prefix: str, phrase: str, count: int) -> dict[str, Any]:
        key = f"search|{prefix}|{phrase}|{count}"
        answer = self._context.answers.get(key)
        if answer is None:
            entries, short = opened.session.hits(prefix, phrase, count)
            answer = {"hits": [search.entry_json(entry) for entry in entries], "short": short}
            self._context.answers.put(key, answer)
        return dict(answer)

    def _choose(
        self, stack: ExitStack, found: Sequence[Hit], wanted: int, young: _Young
    ) -> list[VideoRecord]:
        opened = Lazily(stack, lambda: self._client.extracting())
        chosen: list[VideoRecord] = []
        for hit in found:
            if len(chosen) == wanted:
                break
            refused = search.refusal(hit, young.since)
            if refused is not None:
                young.gathering.left_out[refused] += 1
                continue
            record = self._record(hit)
            if young.since is not None and record.published_at is None:
                try:
                    record = self._looked_into(opened, record)
                except MediaError as error:
                    young.gathering.failed(error, record.given_name)
                    if error.code in _ENDING:
                        break
                    continue
            if young.takes(record):
                chosen.append(record)
        return chosen

    def _looked_into(self, opened: Lazily[Extracting], record: VideoRecord) -> VideoRecord:
        key = self._key(record)
        info = self._fetching.known(key)
        if info is None:
            info = self._fetching.read_details(opened.session, self.name, key, record.url)
        return detailed(record, info)

    def _record(self, hit: Hit) -> VideoRecord:
        return VideoRecord(
            source=self.name,
            platform=self.name,
            external_id=hit.id,
            given_name=given_name(hit.title, hit.id),
            title=hit.title,
            url=hit.url,
            duration_s=hit.duration_s,
            published_at=hit.published_at if self._DATED else None,
            channel=hit.channel,
        )

    def _summary(self, chosen: int, gathering: _Gathering) -> str:
        said = "".join(f", {count} {why}" for why, count in sorted(gathering.left_out.items()))
        failed = f", {len(gathering.problems)} with problems" if gathering.problems else ""
        return f"{self.name}: {chosen} videos{said}{failed}"

    def _status(self, chosen: int, phrases: Sequence[str], gathering: _Gathering) -> SourceStatus:
        fault = gathering.fault
        if fault is not None and not gathering.answered:
            state = state_of(fault.code)
            named = f"{fault.subject}: {fault.reason}" if state == "not_configured" else fault.reason
            return SourceStatus(self.name, state, named, fault.remedy)
        if fault is not None and not chosen and fault.code == "video.rate_limited":
            return SourceStatus(self.name, "rate_limited", fault.reason, fault.remedy)
        notes = list(gathering.notes)
        if not chosen:
            said = ", ".join(f"{count} {why}" for why, count in sorted(gathering.left_out.items()))
            asked = ", ".join(f"{phrase!r}" for phrase in phrases)
            reason = f"nothing usable was found for {asked}" + (f" (left out: {said})" if said else "")
            notes.insert(0, (reason, "Give other queries, or a longer time"))
        if gathering.problems:
            first = gathering.problems[0]
            notes.append(
                (f"{len(gathering.problems)} items failed; the first: {first.item}", "See the job's problems")
            )
        if not notes:
            return SourceStatus(self.name, "ok")
        reasons, remedies = zip(*notes, strict=True)
        return SourceStatus(self.name, "partial", "; ".join(reasons), ". ".join(dict.fromkeys(remedies)))


def _no_search(prefix: str, variable: str) -> MediaError:
    reason = f"yt-dlp has no search {prefix!r}, or its extractor is not among those allowed"
    return MediaError("video.settings", variable, reason, f"Unset {variable}, or set PVM_YTDLP_EXTRACTORS")


def youtube_phrases(query: Query) -> tuple[str, ...]:
    """All phrases of all languages, each once."""
    given = (phrase for phrases in query.terms.values() for phrase in phrases)
    return tuple(dict.fromkeys(given)) or (query.industry,)


def bilibili_phrases(query: Query) -> tuple[str, ...]:
    """The Chinese phrases; where there are none, the industry as typed."""
    chinese = query.terms.get("zh", ())
    return tuple(dict.fromkeys(chinese or query.terms.get(UND, ()))) or (query.industry,)


class YouTubeVideos(_SearchedVideos):
    """YouTube, searched with all phrases in all languages."""

    name = "youtube"

    def _phrases(self, query: Query, gathering: _Gathering) -> tuple[str, ...]:
        return youtube_phrases(query)

    def _prefix(self, settings: Settings) -> tuple[str, str]:
        return settings.youtube_search, "PVM_YOUTUBE_SEARCH"

    def _extractors(self, settings: Settings) -> Extractors:
        return Extractors.youtube(settings)

    @cached_property
    def _runtime(self) -> runtimes.JsSupport:
        # Another search than YouTube's own leads to another site's videos.
        is_youtube = self._context.settings.youtube_search.startswith("ytsearch")
        return runtimes.detect() if is_youtube else runtimes.JsSupport(None)

    def _check_machine(self, gathering: _Gathering) -> None:
        if self._runtime.lack:
            gathering.notes.append((self._runtime.reason, runtimes.REMEDY))
            self._context.report(f"{self.name}: {self._runtime.reason}. {runtimes.REMEDY}")


class BilibiliVideos(_SearchedVideos):
    """Bilibili, searched in Chinese where the industry has Chinese phrases, else as typed."""

    name = "bilibili"
    _DATED = True

    def _phrases(self, query: Query, gathering: _Gathering) -> tuple[str, ...]:
        typed = bilibili_phrases(query)
        if not query.terms.get("zh") and not any(may_be_in(phrase, "zh") for phrase in typed):
            said = ", ".join(f"{phrase!r}" for phrase in typed)
            reason = f"there are no Chinese queries, so it was searched as typed: {said}"
            gathering.notes.append((reason, f"Keep some: {keep_command(query.industry, 'zh')}"))
        return typed

    def _prefix(self, settings: Settings) -> tuple[str, str]:
        return settings.bilibili_search, "PVM_BILIBILI_SEARCH"

    @cached_property
    def _runtime(self) -> runtimes.JsSupport:
        return runtimes.JsSupport(None)

    def _extractors(self, settings: Settings) -> Extractors:
        return Extractors.bilibili(settings)
