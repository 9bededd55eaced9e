"""The page's languages: gettext catalogues, plural forms, numbers and dates, reasons of matches.

English texts are the message ids; other languages are ``locale/<code>/LC_MESSAGES/messages.po``.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

from pvm_core.figures import score_text
from pvm_core.scoring.reason import Reason

#: Language code -> its own name, in the order of the switch.
LANGUAGES: Final = {"en": "English", "vi": "Tiếng Việt"}
_DEFAULT: Final = "en"


def N_(message: str) -> str:  # noqa: N802 - the name that extractors of messages know
    """The message itself, marked as one that is translated where it is shown."""
    return message


#: Texts of values, by what the value is.
LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "status": {"accepted": N_("Accepted"), "review": N_("For review"), "rejected": N_("Rejected")},
    "verdict": {
        "accept": N_("Judged right"), "reject": N_("Judged wrong"), "unsure": N_("Judged unsure"),
        "none": N_("Taken back"),
    },
    "act": {
        "open": N_("Not judged"), "accept": N_("Right"), "reject": N_("Wrong"), "unsure": N_("Unsure"),
    },
    "said": {
        "accept": N_("Right: %(product)s in %(video)s"), "reject": N_("Wrong: %(product)s in %(video)s"),
        "unsure": N_("Unsure: %(product)s in %(video)s"), "undo": N_("Taken back: %(product)s in %(video)s"),
    },
    "sort": {
        "best": N_("Best first"), "worst": N_("Lowest first"), "doubt": N_("Closest calls first"),
        "video": N_("By video and second"),
    },
    "job": {
        "queued": N_("queued"), "running": N_("running"), "completed": N_("completed"),
        "failed": N_("failed"), "cancelled": N_("cancelled"),
    },
    "pictures": {
        "purged": N_("The source's terms ended the keeping of these pictures."),
        "restricted": N_("The source's terms do not let these pictures be kept."),
        "none": N_("There is no picture of this match."),
    },
    "strength": {
        "strong": N_("strong"), "fair": N_("fair"), "weak": N_("weak"), "none": N_("not measured"),
    },
    "doubt": {
        "few": N_("Fewer than 12 verdicts say too little."),
        "one_product": N_("Verdicts of a single product compare nothing."),
        "one_sided": N_("All verdicts say the same, so nothing can be told apart."),
        "log_loss": N_("It fares worse: its log loss is greater."),
        "precision": N_("It fares worse: its precision is lower."),
        "net_benefit": N_(
            "It fares worse: it loses more right matches than the wrong ones it avoids are worth."
        ),
    },
    "error": {
        "missing": N_("There is no such page"), "refused": N_("That is not possible"),
        "ours": N_("It did not work"),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """One language of the page."""

    code: str
    catalogue: NullTranslations

    def gettext(self, message: str, **values: object) -> str:
        """The message in this language, with `values` put in; plain text, not HTML."""
        return str(self.catalogue.gettext(message)) % values

    def ngettext(self, one: str, many: str, n: int, **values: object) -> str:
        """The same in the plural form for `n`."""
        return str(self.catalogue.ngettext(one, many, n)) % values

    def label(self, kind: str, value: str, **values: object) -> str:
        """The text of a value of `LABELS`."""
        return self.gettext(LABELS[kind][value], **values)

    def number(self, value: int) -> str:
        """A count with its thousands set apart."""
        return format_decimal(value, locale=self.code)

    def percent(self, share: float) -> str:
        """A share in per cent, one decimal, cut and not rounded: 99.97 % never reads as all."""
        cut = math.floor(share * 1000 + 1e-9) / 10
        return f"{format_decimal(cut, '0.0', self.code)}\u00a0%"

    def day(self, at: datetime) -> str:
        """A time to the minute, UTC."""
        return format_datetime(at, "d MMM y, HH:mm", UTC, self.code)

    def strength(self, value: float | None) -> str:
        """A term of the score in a word."""
        if value is None:
            return self.label("strength", "none")
        return self.label("strength", "strong" if value >= 0.8 else "fair" if value >= 0.5 else "weak")

    def reason(self, reason: Reason) -> str | None:
        """Why a match has its status, as a sentence; None for a text of before reasons were data."""
        if reason.code == "legacy":
            return None
        text = reason.text(self.gettext)
        return f"{text[:1].upper()}{text[1:]}."


@cache
def language(code: str) -> Language:
    """A language that the page knows."""
    if code == _DEFAULT:
        return Language(code, NullTranslations())
    path = files("pvm_api.review") / "locale" / code / "LC_MESSAGES" / "messages.po"
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, code))
    compiled.seek(0)
    return Language(code, Translations(compiled))


def negotiate_language(chosen: str | None, accepted: str) -> str:
    """The language to answer in: what was chosen, else the best of an Accept-Language header."""
    if chosen in LANGUAGES:
        return chosen
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted.split(",")[:20]):
        tag, _, weight = part.strip().partition(";")
        code = tag.partition("-")[0].lower()
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", weight)
        share = float(quality[1]) if quality else 1.0
        if code in LANGUAGES and share > 0:
            ranked.append((-share, place, code))
    return min(ranked)[2] if ranked else _DEFAULT


def clock(seconds: float) -> str:
    """``m:ss.d``, hours in front from one hour on."""
    tenths = math.floor(max(seconds, 0.0) * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def figure(value: float) -> str:
    """A score as pages show it."""
    return score_text(value)
