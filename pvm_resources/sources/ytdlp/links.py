"""Lists of links: videos of any site that is allowed, named one by one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pvm_core.errors import InputError, MediaError, Problem
from pvm_resources.settings import Settings
from pvm_resources.sources.base import Collected, Query, SourceStatus, VideoRecord
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.urls import is_web_url
from pvm_resources.sources.ytdlp import runtimes, search
from pvm_resources.sources.ytdlp.fetching import Lazily, YtdlpSource, state_of
from pvm_resources.sources.ytdlp.options import Extractors
from pvm_resources.sources.ytdlp.sources import STAGE, given_name

if TYPE_CHECKING:
    from pvm_resources.sources.ytdlp.client import Extracting

#: Bytes and lines of a list; more videos than that would take days to fetch.
_BYTES_MAX: Final = 1_000_000
_LINES_MAX: Final = 1_000
_LINK_MAX: Final = 2_000
_NAME_MAX: Final = 120
#: Hosts that only redirect; where to is unknown before a request.
_SHORT: Final = frozenset(
    (
        "v.douyin.com", "v.iesdouyin.com", "xhslink.com", "www.xhslink.com", "b23.tv", "bili2233.cn",
        "v.kuaishou.com", "t.co", "bit.ly", "goo.gl", "tinyurl.com", "t.cn", "dwz.cn",
    )
)  # fmt: skip
#: yt-dlp's names of sites that searches go by another name.
_PLATFORMS: Final = {"youtube": "youtube", "bilibili": "bilibili"}


@dataclass(frozen=True)
class Link:
    """One line of a list: where it stands, its address, the name the user gives it ("" where none)."""

    line: int
    url: str
    name: str


def read_links(data: bytes, subject: str) -> tuple[list[Link], list[Problem]]:
    """The links of a list: one a line, ``#`` begins a comment, ``address | name`` names the video.

    Raises:
        InputError: ``links.encoding``, ``links.too_large``, ``links.none``.
    """
    if len(data) > _BYTES_MAX:
        raise InputError("links.too_large", subject, f"over {_BYTES_MAX:,} bytes", "Split it")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("links.encoding", subject, "it is not UTF-8 text", "Save it as UTF-8") from error
    links: list[Link] = []
    problems: list[Problem] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        link = _link(number, line)
        try:
            _check(link)
        except MediaError as error:
            problems.append(_problem(link, error))
        else:
            links.append(link)
    if not links and not problems:
        raise InputError("links.none", subject, "it holds no address", "Write one http(s) address a line")
    if len(links) > _LINES_MAX:
        raise InputError("links.too_large", subject, f"over {_LINES_MAX:,} addresses", "Split it")
    return links, problems


def links_of(location: str) -> tuple[list[Link], list[Problem]]:
    """The links of a list at a path, or the one link that `location` is.

    Raises:
        InputError: ``links.missing``, ``links.unreadable``, and what `read_links` raises.
    """
    if re.match(r"https?://", location, re.IGNORECASE):
        return read_links(location.encode(), location)
    try:
        with Path(location).open("rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise InputError("links.missing", location, "there is no such file", "Check the name") from error
    except (OSError, ValueError) as error:
        reason = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        raise InputError("links.unreadable", location, reason, "Check its permissions") from error
    return read_links(data, location)


def _link(number: int, line: str) -> Link:
    url, _, name = line.partition("|")
    # A "#" inside an address begins its fragment; a comment stands apart from it.
    url = re.split(r"\s#", url, maxsplit=1)[0].strip()
    shown = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", name).split())[:_NAME_MAX].strip()
    return Link(number, url, shown)


def _check(link: Link) -> None:
    if not is_web_url(link.url, _LINK_MAX):
        raise MediaError("links.url", link.url[:200], "it is no http(s) address", "Correct the line")
    parts = urlsplit(link.url)
    if parts.username is not None or parts.password is not None:
        reason = "it carries a user name or password"
        raise MediaError("links.url", parts.hostname or "", reason, "Give a plain address")
    if (parts.hostname or "").lower() in _SHORT:
        reason = "it is a short link, which only leads on to another address"
        raise MediaError("links.short", link.url, reason, "Open it in a browser and give the long address")


def _problem(link: Link, error: MediaError) -> Problem:
    return Problem.of(STAGE, error, f"line {link.line}: {error.subject if not link.name else link.name}")


class LinkList(YtdlpSource):
    """A list of links (a text file), or one link.

    The user has chosen these videos: `Query.limit` and `Query.recency_days` do not apply, nor does the
    longest length of a search.

    Args:
        location: path of the list, or an http(s) address of one video.
        context: what every source is given.
    """

    name = "links"

    def __init__(self, location: str, context: SourceContext) -> None:
        super().__init__(context)
        self._location = location

    def collect(self, query: Query) -> Collected[VideoRecord]:
        """The videos of the list, in its order; what cannot be used is a problem each.

        Raises:
            InputError: ``links.missing``, ``links.unreadable``, ``links.encoding``, ``links.too_large``,
                ``links.none``.
        """
        links, problems = links_of(self._location)
        records: dict[tuple[str, str], VideoRecord] = {}
        codes = [problem.code for problem in problems]
        with ExitStack() as stack:
            opened = Lazily(stack, lambda: self._client.extracting())
            for link in links:
                try:
                    record = self._record(opened, link)
                    key = (record.platform, record.external_id)
                    if key in records:
                        reason = f"it is the same video as {records[key].given_name!r}"
                        raise MediaError("links.repeated", link.url, reason, "Remove the line")
                except MediaError as error:
                    problems.append(_problem(link, error))
                    codes.append(error.code)
                else:
                    records[key] = record
                    self._context.report(f"links: {len(records)} of {len(links)} looked into")
        found = tuple(_unique(records.values()))
        status = self._status(len(found), problems, codes)
        if status.state == "ok" and self._runtime.lack and any(r.platform == "youtube" for r in found):
            status = SourceStatus(self.name, "partial", self._runtime.reason, runtimes.REMEDY)
        return Collected(status, found, tuple(problems))

    def _extractors(self, settings: Settings) -> Extractors:
        return Extractors.linked(settings)

    def _key(self, record: VideoRecord) -> str:
        return _key(record.url)

    def _record(self, opened: Lazily[Extracting], link: Link) -> VideoRecord:
        key = _key(link.url)
        info = self._fetching.known(key)
        if info is None:
            host = (urlsplit(link.url).hostname or "").removeprefix("www.")
            try:
                info = self._fetching.read_details(opened.session, host, key, link.url)
            except MediaError as error:
                if error.code != "video.unsupported":
                    raise
                raise _unsupported(link.url, self._context.settings) from error
        return _recorded(self.name, link, info)

    def _status(self, found: int, problems: list[Problem], codes: list[str]) -> SourceStatus:
        if not problems:
            return SourceStatus(self.name, "ok")
        first = problems[0]
        if found:
            reason = f"{len(problems)} of {found + len(problems)} links cannot be used"
            return SourceStatus(self.name, "partial", reason, "See the job's problems")
        state = state_of(codes[0]) if len(set(codes)) == 1 else "failed"
        reason = f"no link can be used; the first: {first.item}: {first.message}"
        return SourceStatus(self.name, state, reason, "See the job's problems")


def _key(url: str) -> str:
    return f"link|{url}"


def _recorded(source: str, link: Link, info: Mapping[str, Any]) -> VideoRecord:
    platform = str(info.get("extractor_key") or info.get("extractor") or "site").lower()
    platform = _PLATFORMS.get(platform, platform)
    external_id = _id_of(str(info["id"]), link.url)
    if platform == "bilibili":
        # The first part of a video in parts is what a search calls the video.
        external_id = external_id.removesuffix("_p1")
    title = " ".join(str(info.get("title") or "").split())
    return VideoRecord(
        source=source,
        platform=platform,
        external_id=external_id,
        given_name=link.name or given_name(title, external_id),
        title=title,
        url=link.url,
        duration_s=info.get("duration"),
        published_at=search.published(info),
        channel=search.channel(info),
    )


def _id_of(given: str, url: str) -> str:
    """The video's id; a hash stands for the query that yt-dlp makes part of the id of a plain file."""
    name, mark, _ = given.partition("?")
    return f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:10]}" if mark else given


def _unique(records: Iterable[VideoRecord]) -> Iterator[VideoRecord]:
    """The records under names of which no two are the same."""
    taken: set[str] = set()
    for record in records:
        name = record.given_name
        if name in taken:
            name = f"{name} [{record.external_id}]"
        number = 2
        while name in taken:
            name, number = f"{record.given_name} ({number})", number + 1
        taken.add(name)
        yield replace(record, given_name=name)


def _unsupported(url: str, settings: Settings) -> MediaError:
    """Why no extractor takes the address: one that is not allowed would, or none knows its site."""
    from yt_dlp.extractor import gen_extractor_classes

    able = (one for one in gen_extractor_classes() if one.IE_NAME != "generic" and one.suitable(url))
    site = next((str(one.IE_NAME) for one in able), None)
    own_page = "Give the address of a video's own page"
    if site is None and Extractors.linked(settings).generic:
        return MediaError("video.unsupported", url, "yt-dlp finds no video at this address", own_page)
    if site is None:
        reason = "yt-dlp knows no site at this address, and its generic extractor is not allowed"
        remedy = f"{own_page}, or set {_allowing('generic', settings)} to look for videos in any page"
        return MediaError("video.unsupported", url, reason, remedy)
    return MediaError(
        "video.unsupported",
        url,
        f"videos of {site} are not among those allowed",
        f"Set {_allowing(site, settings)} to allow them",
    )


def _allowing(extractor: str, settings: Settings) -> str:
    """The setting as it is to be: what it holds now, and that extractor."""
    kept = [part for text in settings.ytdlp_extractors.split(",") if (part := text.strip())]
    return f"PVM_YTDLP_EXTRACTORS={','.join([*kept, extractor])}"
