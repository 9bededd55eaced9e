"""Hits of searches: read, put in order, and judged by what their list says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any, Final, Literal

#: Videos wanted where the job sets no number; also one page of YouTube's search.
DEFAULT_TOP: Final = 20
#: The longest hit that is taken, seconds: twice what the rule `video_max_s` samples by default. Longer ones
#: among hits for products are streams and compilations.
MAX_S: Final = 3_600.0
#: Hits requested beyond a phrase's share, since some are left out and phrases share hits.
_SPARE: Final = 10
#: The most hits requested for one phrase; each twenty cost a request.
_DEPTH_MAX: Final = 200
#: yt-dlp rounds "2 weeks ago" to the nearest day.
_ROUNDED: Final = timedelta(days=1)
_LIVE: Final = frozenset(("is_live", "is_upcoming", "post_live"))

Refusal = Literal["live or not begun", "too long", "too old"]


@dataclass(frozen=True)
class Hit:
    """A video as a search lists it.

    Attributes:
        id: within its platform.
        title: whole; "" where the list has none.
        duration_s: seconds; None where the list does not say.
        published_at: at the latest then ("1 year ago" says at least a year); None where the list has no date.
        live: it is live, or has not begun.
        channel: who published it; "" where the list does not say.
    """

    id: str
    url: str
    title: str
    duration_s: float | None
    published_at: datetime | None
    live: bool
    channel: str = ""


def entry_json(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of one of yt-dlp's flat entries."""
    kept = ("id", "url", "title", "duration", "timestamp", "live_status", "channel", "uploader", "view_count")
    return {key: entry[key] for key in kept if entry.get(key) is not None}


def hits(entries: Iterable[Mapping[str, Any]]) -> Iterator[Hit]:
    """Hits of kept entries; what has no id or no address is passed over."""
    for entry in entries:
        if entry.get("id") and entry.get("url"):
            yield Hit(
                id=str(entry["id"]),
                url=str(entry["url"]),
                title=" ".join(str(entry.get("title") or "").split()),
                duration_s=entry.get("duration"),
                published_at=moment(entry.get("timestamp")),
                live=entry.get("live_status") in _LIVE,
                channel=channel(entry),
            )


def moment(timestamp: object) -> datetime | None:
    """The moment of seconds since the epoch; None where it is none."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def channel(info: Mapping[str, Any]) -> str:
    """Who published a video, as its platform names them; "" where unknown."""
    return " ".join(str(info.get("channel") or info.get("uploader") or "").split())


def published(info: Mapping[str, Any]) -> datetime | None:
    """When a video was published, of its own page: to the second, or its day; None where unknown."""
    exact = moment(info.get("timestamp"))
    if exact is not None:
        return exact
    try:
        return datetime.strptime(str(info.get("upload_date")), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def depth(wanted: int, phrases: int) -> int:
    """Hits to ask each phrase for."""
    share = -(-wanted // max(1, phrases))
    return min(_DEPTH_MAX, 2 * share + _SPARE)


def in_turn(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """The best of each phrase, then the second of each, and so on; each video once."""
    found: dict[str, Hit] = {}
    for each in zip_longest(*lists):
        for hit in each:
            if hit is not None:
                found.setdefault(hit.id, hit)
    return list(found.values())


def oldest(now: datetime, recency_days: int | None) -> datetime | None:
    """Videos published before it are too old; None = none is."""
    return None if recency_days is None else now - timedelta(days=recency_days)


def refusal(hit: Hit, since: datetime | None) -> Refusal | None:
    """Why a hit is left out by what the list says; None where it is not."""
    if hit.live:
        return "live or not begun"
    if hit.duration_s is not None and hit.duration_s > MAX_S:
        return "too long"
    # "1 year ago" is said until the second is over: the true date is that or earlier, nothing young is lost.
    if since is not None and hit.published_at is not None and hit.published_at + _ROUNDED < since:
        return "too old"
    return None
