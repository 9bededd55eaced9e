"""What a notification says of an ended job, and when it is worth one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pvm_core.figures import score_text
from pvm_core.wording import counted, shortened

#: Events that people are told of.
EVENTS: Final = ("job.completed", "job.failed", "job.cancelled")
#: Matches named in a notification; the rest is a link.
SHOWN: Final = 5
_TITLE_MAX: Final = 80


@dataclass(frozen=True)
class NewMatch:
    """An accepted match that no earlier job of the industry had."""

    product: str
    video: str
    score: float
    ts: float


@dataclass(frozen=True)
class JobNews:
    """What an ended job is worth telling.

    Attributes:
        industry: its name.
        scheduled: a schedule started it, nobody waits for it.
        accepted: accepted matches; `new` of them no earlier completed job of the industry had.
        best: the best of the new ones, at most `SHOWN`.
        error: why it failed; empty where it did not.
    """

    job_id: str
    industry: str
    scheduled: bool
    accepted: int
    new: int
    best: Sequence[NewMatch] = ()
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Notice:
    """A notification: plain text."""

    title: str
    body: str


def notice_of(event: str, news: JobNews, review_url: str) -> Notice | None:
    """The notification of an event; None where there is nothing to tell.

    A scheduled job that found nothing new is not told: a standing industry runs every day.
    """
    industry = _short(news.industry)
    if event == "job.failed":
        error = news.error or {}
        why = ". ".join(str(error[key]) for key in ("subject", "reason", "remedy") if error.get(key))
        return Notice(f"{industry}: the job failed", f"{why or 'See pvm status.'}\nJob {news.job_id}")
    if event == "job.cancelled":
        return None if news.scheduled else Notice(f"{industry}: the job was cancelled", f"Job {news.job_id}")
    if news.scheduled and not news.new:
        return None
    found = counted(news.new, "new match", "new matches")
    lines = [_line(match) for match in news.best]
    if news.new > len(news.best):
        lines.append(f"and {news.new - len(news.best):,} more")
    lines.append(f"{counted(news.accepted, 'accepted match', 'accepted matches')} in all: {review_url}")
    return Notice(f"{industry}: {found}", "\n".join(lines))


def _line(match: NewMatch) -> str:
    minutes, seconds = divmod(int(match.ts), 60)
    place = f"{_short(match.product)} in {_short(match.video)}"
    return f"{place}, {score_text(match.score)}, at {minutes:02}:{seconds:02}"


def _short(text: str) -> str:
    return shortened(" ".join(text.split()), _TITLE_MAX)
