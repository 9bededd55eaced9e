"""Bilibili's search, with all that its answer says of each video.

yt-dlp's own keeps the address alone, so that title, length and date would cost a request each.
"""

from __future__ import annotations

import html
import itertools
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from yt_dlp.extractor.bilibili import BiliBiliSearchIE as _TheirSearchIE
from yt_dlp.utils import ExtractorError

_SEARCH: Final = "https://api.bilibili.com/x/web-interface/search/type"
#: Codes in an answer of status 200 by which the site turns away what it takes for a bot.
_TURNED_AWAY: Final = frozenset((-352, -401, -412, 352, 401, 412))
#: Begins the warning that marks a search that ended early.
BROKE_OFF: Final = "the search broke off"


class BiliBiliSearchIE(_TheirSearchIE):  # type: ignore[misc]
    """``bilisearchN:phrase`` with title, length, date, author and plays."""

    _SEARCH_KEY = "bilisearch"
    _TESTS: Final[list[Any]] = []

    def _search_results(self, query: str) -> Iterator[dict[str, Any]]:
        if not self._get_cookies("https://api.bilibili.com").get("buvid3"):
            self._set_cookie(".bilibili.com", "buvid3", f"{uuid.uuid4()}infoc")
        for page in itertools.count(1):
            try:
                found = self._page(query, page)
            except ExtractorError as error:
                if page == 1:
                    raise
                # What the pages before it said is worth keeping.
                self.report_warning(f"{BROKE_OFF} at page {page}: {error.orig_msg}")
                return
            if not found:
                return
            yield from (entry for video in found if (entry := self._entry(video)))

    def _page(self, query: str, page: int) -> list[Mapping[str, Any]]:
        answer = self._download_json(
            _SEARCH,
            query,
            note=f"Extracting results from page {page}",
            # As yt-dlp asks; the site turns away what looks unlike it sooner.
            query={
                "Search_key": query,
                "keyword": query,
                "page": page,
                "context": "",
                "duration": 0,
                "tids_2": "",
                "__refresh__": "true",
                "search_type": "video",
                "tids": 0,
                "highlight": 1,
            },
        )
        code, data = answer.get("code", 0), answer.get("data") or {}
        if code in _TURNED_AWAY:
            raise ExtractorError(f"Request is blocked by server ({code})", expected=True)
        if code:
            raise ExtractorError(f"Bilibili says: {answer.get('message')} ({code})", expected=True)
        if "v_voucher" in data:
            raise ExtractorError("Bilibili asks for a captcha (v_voucher)", expected=True)
        return data.get("result") or []

    def _entry(self, video: Mapping[str, Any]) -> dict[str, Any] | None:
        known = video.get("bvid") or (f"av{video['aid']}" if video.get("aid") else "")
        # Courses stand among the videos and are sold.
        if not known or video.get("type", "video") != "video":
            return None
        entry: dict[str, Any] = self.url_result(
            f"https://www.bilibili.com/video/{known}",
            "BiliBili",
            known,
            plain(video.get("title") or ""),
            duration=seconds(video.get("duration")),
            timestamp=video.get("pubdate") or None,
            uploader=video.get("author"),
            view_count=video.get("play"),
        )
        return entry


def plain(title: str) -> str:
    """A title without the marks around what was searched for."""
    return html.unescape(re.sub(r"<[^>]+>", "", title)).strip()


def seconds(length: object) -> float | None:
    """Seconds of ``m:ss`` or ``h:mm:ss``, whose first part has no limit; None where it is neither."""
    parts = str(length).split(":")
    if not all(part.isascii() and part.isdigit() for part in parts) or len(parts) > 3:
        return None
    return float(sum(int(part) * 60**place for place, part in enumerate(reversed(parts)))) or None
