"""The report as one self-contained HTML file: pictures inlined, nothing fetched, filters without a server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pvm_core.figures import clock_text, cut, score_text
from pvm_core.links import web
from pvm_core.report.model import Missing, Report, ReportMatch
from pvm_core.report.words import JUDGED, MEASURED, UNKNOWN, translated
from pvm_core.scoring.decision import STATUSES

if TYPE_CHECKING:
    from jinja2 import Environment

_MISSING: Final[Mapping[Missing, str]] = {
    "purged": "The source's terms ended the keeping of these pictures.",
    "restricted": "The source's terms do not let these pictures be passed on.",
    "none": "There is no picture of this match.",
    "left_out": "Left out to keep this file small.",
}


_PRECISION: Final = {"labels": JUDGED, "measured": MEASURED, "none": UNKNOWN}


def render_report(report: Report, language: str = "en") -> str:
    """The report as HTML, in English (``en``) or Vietnamese (``vi``).

    Every text of others is escaped; only http(s) addresses become links; its policy lets the file load
    nothing and run no script but its own.
    """
    style, script = _asset("report.css"), _asset("report.js")
    return _environment().get_template("report.html").render(
        report=report, language=language, style=style, script=script, policy=_policy(style, script),
        platforms=sorted({one.platform for one in report.matches}),
        statuses=[s for s in STATUSES if any(m.status == s for m in report.matches)],
        _=lambda message, **values: translated(message, language).format(**values),
        price=price_text, score=score_text, clock=clock_text, cut=cut, web=web, day=_day, share=_share,
        picture=_data_uri, missing=_MISSING, texts=_PRECISION, key=_search_text,
    )  # fmt: skip


def price_text(match: ReportMatch) -> str:
    """Price and currency, thousands set apart; "" where the source states none."""
    if not match.price:
        return ""
    whole, dot, rest = match.price.partition(".")
    return f"{int(whole):,}{dot}{rest} {match.currency}".strip()


def _share(value: float) -> str:
    return f"{cut(value * 100, 1):.1f} %"


def _day(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d")


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _search_text(match: ReportMatch) -> str:
    texts = (match.title, match.brand, match.product, match.video, match.channel)
    return " ".join(texts).lower()


def _policy(style: str, script: str) -> str:
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (files("pvm_core.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    options: dict[str, Any] = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}
    return Environment(
        loader=PackageLoader("pvm_core.report", "assets"), undefined=StrictUndefined, **options
    )
