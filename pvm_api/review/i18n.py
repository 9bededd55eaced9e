"""Words of the page in two languages, and the reasons of matches told in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

#: Language code -> its own name, in the order of the switch.
LANGUAGES: Final = {"en": "English", "vi": "Tiếng Việt"}
_DEFAULT: Final = "en"

#: What the aggregation says (`pvm_core.scoring.decision`), and the words for it. Tried in this order.
_REASONS: Final = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (r"looks alike \((?P<alike>[\d.]+)\) without a geometric proof: (?P<fault>.+)", "reason.alike"),
        (r"too few keypoints to compare the geometry", "reason.few_points"),
        (
            r"another product fits the same place with (?P<other>[\d.]+) against (?P<own>[\d.]+), "
            r"a lead of (?P<lead>[\d.]+) is asked for",
            "reason.rival",
        ),
        (r"the model (?P<model>.+) is not calibrated", "reason.uncalibrated"),
        (r"similarity (?P<value>\(none\)|[\d.]+) is under (?P<limit>[\d.]+)", "reason.look"),
        (r"geometry (?P<value>[\d.]+) is under (?P<limit>[\d.]+)", "reason.geometry"),
        (
            r"best pair (?P<value>[\d.]+) is under (?P<limit>[\d.]+) and only (?P<shots>\d+) of "
            r"(?P<wanted>\d+) shots agree",
            "reason.shots",
        ),
        (r"best pair (?P<value>[\d.]+) is under (?P<limit>[\d.]+)", "reason.low"),
        (r"best pair (?P<value>[\d.]+), seen in one shot", "reason.good_one"),
        (r"best pair (?P<value>[\d.]+), seen in (?P<shots>\d+) shots", "reason.good"),
        (r"best pair (?P<value>[\d.]+), and one shot agrees?", "reason.good_one"),
        (r"best pair (?P<value>[\d.]+), and (?P<shots>\d+) shots agree", "reason.good"),
    )
)


@dataclass(frozen=True)
class Words:
    """The catalogue of one language."""

    code: str
    table: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text under `key`, with `values` put in; of one thing the text ``<key>.one`` where `n` is 1."""
        found = self.table.get(f"{key}.one") if values.get("n") == 1 else None
        return (found or self.table[key]).format(**values)

    def number(self, value: int) -> str:
        """A count with its thousands set apart."""
        text = f"{value:,}"
        return text.replace(",", ".") if self.code == "vi" else text

    def percent(self, share: float) -> str:
        """A share in per cent, one decimal, cut and not rounded: 99.97 % never reads as all."""
        text = f"{math.floor(share * 1000 + 1e-9) / 10:.1f}"
        return f"{text.replace('.', ',') if self.code == 'vi' else text}\u00a0%"

    def reason(self, text: str) -> str | None:
        """What the aggregation says, in this language; None where the words for it are not known."""
        for pattern, key in _REASONS:
            if (found := pattern.fullmatch(text)) is not None:
                values: dict[str, str] = found.groupdict()
                if "fault" in values:
                    values["fault"] = self.reason(values["fault"]) or values["fault"]
                return self(key, **values)
        return None

    def strength(self, value: float | None) -> str:
        """A term in a word."""
        if value is None:
            return self("strength.none")
        return self(
            "strength.strong" if value >= 0.8 else "strength.fair" if value >= 0.5 else "strength.weak"
        )


@cache
def words(code: str) -> Words:
    """The catalogue of a language that the page knows."""
    text = (files("pvm_api.review") / "locale" / f"{code}.json").read_text(encoding="utf-8")
    return Words(code, json.loads(text))


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
    """Three decimals, cut and not rounded: a score just below a threshold never reads as that threshold."""
    return f"{math.floor(value * 1000 + 1e-6) / 1000:.3f}"
