"""Numbers as people read them: one rounding everywhere."""

from __future__ import annotations

import math


def cut(value: float, decimals: int = 3) -> float:
    """`value` cut after `decimals`, not rounded: a score just below a threshold never reads as it."""
    # 0.29 * 1000 is 289.999...: a nudge far below the last decimal keeps exact scores exact.
    scale = float(10**decimals)
    return math.floor(value * scale + 1e-6) / scale


def score_text(value: float) -> str:
    """A score, a term or a threshold: three decimals, `cut`."""
    return f"{cut(value):.3f}"


def prose_text(value: float) -> str:
    """The same number within a sentence: without zeros at its end beyond two decimals."""
    text = score_text(value)
    return text[:-1] if text.endswith("0") else text


def clock_text(seconds: float) -> str:
    """``m:ss.d``, hours in front from one hour on; not a number, or before the start: ``--:--``."""
    if not math.isfinite(seconds * 10) or seconds < 0:
        return "--:--"
    tenths = math.floor(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"
