"""Blinks and PERCLOS from a series of eye aspect ratios, relative to the person's own open eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pvm_core.arrays import F64, Bools

#: Seconds around a moment whose ratios make its baseline, and which of them does: most of the time eyes are
#: open, and a ratio changes slowly with the head's turn.
_BASELINE_S: Final = 10.0
_BASELINE_QUANTILE: Final = 0.75
#: Share of the baseline below which eyes count as closing, and above which they count as open again
#: (hysteresis).
CLOSE_BELOW: Final = 0.5
OPEN_ABOVE: Final = 0.75
#: Seconds that a blink lasts, between half closed and open again. A spontaneous blink takes 100 to 400 ms;
#: what lasts longer than half a second is a closure, as drowsiness studies count it.
MIN_BLINK_S: Final = 0.05
MAX_BLINK_S: Final = 0.5
#: A gap in the series after which nothing is joined, seconds.
_MAX_GAP_S: Final = 0.2
#: Opening below which eyes are at least 80 % closed (P80, Wierwille 1994), once the ratio of shut eyes, which
#: landmarks do not bring to 0, is taken off: about 0.15 of the baseline.
_P80: Final = 0.2
_SHUT: Final = 0.15
#: Seconds of PERCLOS, and of known time below which neither it nor a rate of blinks says anything.
PERCLOS_S: Final = 60.0
_LEAST_S: Final = 5.0


@dataclass(frozen=True)
class Blink:
    """One blink.

    Attributes:
        start_s, end_s: seconds of the video: closing, open again.
        depth: smallest ratio over the baseline, [0, 1).
    """

    start_s: float
    end_s: float
    depth: float


@dataclass(frozen=True)
class BlinkSeries:
    """What a series of eye aspect ratios says.

    Attributes:
        blinks: in order.
        closures: those that lasted longer than a blink.
        known_s: seconds in which blinks could be seen.
        per_minute: blinks a minute of those; None where fewer than 5 s are known.
        perclos: greatest share of known time with eyes at least 80 % closed in any 60 s; None where fewer
            than 5 s are known.
        perclos_window_s: seconds it was taken over: 60, or all where the series is shorter.
    """

    blinks: tuple[Blink, ...]
    closures: tuple[Blink, ...]
    known_s: float
    per_minute: float | None
    perclos: float | None
    perclos_window_s: float


def baseline(ts: F64, ratios: F64) -> F64:
    """The ratio of the person's open eyes around each moment, (N,)."""
    found = np.empty_like(ratios)
    begin, end = np.searchsorted(ts, ts - _BASELINE_S / 2), np.searchsorted(ts, ts + _BASELINE_S / 2, "right")
    whole = float(np.quantile(ratios, 0.9))
    # The quantile changes slowly: it is taken every 0.2 s and interpolated.
    at = np.unique(np.searchsorted(ts, np.arange(ts[0], ts[-1] + 0.2, 0.2)).clip(0, ts.size - 1))
    coarse = [np.quantile(ratios[begin[i] : end[i]], _BASELINE_QUANTILE) for i in at]
    found[:] = np.interp(ts, ts[at], coarse)
    # Eyes shut for longer than the window must not become the baseline.
    return np.maximum(found, 0.6 * whole)


def find_blinks(ts: Sequence[float], ratios: Sequence[float], known: Sequence[bool]) -> BlinkSeries:
    """Blinks, closures and PERCLOS of one face.

    Args:
        ts: seconds, increasing.
        ratios: `eyes.eye_openness` at those.
        known: whether a ratio can be trusted: the face is seen from the front, often enough.
    """
    trusted = np.asarray(known, bool)
    times, values = np.asarray(ts, np.float64)[trusted], np.asarray(ratios, np.float64)[trusted]
    if times.size < 3:
        return BlinkSeries((), (), 0.0, None, None, 0.0)
    relative = values / np.maximum(baseline(times, values), 1e-6)
    found = _closings(times, relative)
    steps = np.minimum(np.diff(times, append=times[-1]), _MAX_GAP_S)
    steps[np.diff(times, append=times[-1]) > _MAX_GAP_S] = 0.0
    known_s = float(steps.sum())
    blinks = tuple(b for b in found if MIN_BLINK_S <= b.end_s - b.start_s <= MAX_BLINK_S)
    closures = tuple(b for b in found if b.end_s - b.start_s > MAX_BLINK_S)
    rate = 60 * len(blinks) / known_s if known_s >= _LEAST_S else None
    shut = (relative - _SHUT) / (1 - _SHUT) <= _P80
    perclos, window = _perclos(times, steps, shut, known_s)
    return BlinkSeries(blinks, closures, known_s, rate, perclos, window)


def _closings(ts: F64, relative: F64) -> list[Blink]:
    """Every fall below `CLOSE_BELOW` up to the return above `OPEN_ABOVE`; one that a gap cuts is left out."""
    found: list[Blink] = []
    broken = np.concatenate([[True], np.diff(ts) > _MAX_GAP_S])
    start: float | None = None
    was_open, depth = False, 1.0
    for n in range(ts.size):
        if broken[n]:
            start, was_open = None, False
        if relative[n] >= OPEN_ABOVE:
            if start is not None and depth < CLOSE_BELOW:
                found.append(Blink(start, _crossing(ts, relative, n), depth))
            start, was_open = None, True
        elif was_open:
            if start is None:
                start, depth = _crossing(ts, relative, n), 1.0
            depth = min(depth, float(relative[n]))
    return found


def _crossing(ts: F64, relative: F64, n: int) -> float:
    """When the series went through `OPEN_ABOVE` between samples n - 1 and n."""
    before, after = relative[n - 1], relative[n]
    share = (OPEN_ABOVE - before) / (after - before) if after != before else 0.0
    return float(ts[n - 1] + min(max(share, 0.0), 1.0) * (ts[n] - ts[n - 1]))


def _perclos(ts: F64, steps: F64, shut: Bools, known_s: float) -> tuple[float | None, float]:
    if known_s < _LEAST_S:
        return None, known_s
    if ts[-1] - ts[0] <= PERCLOS_S:
        return float((steps * shut).sum() / known_s), known_s
    closed, all_ = np.cumsum(steps * shut), np.cumsum(steps)
    first = np.searchsorted(ts, ts - PERCLOS_S)
    before = np.maximum(first - 1, 0)
    held = all_ - np.where(first > 0, all_[before], 0.0)
    part = closed - np.where(first > 0, closed[before], 0.0)
    full = held >= PERCLOS_S / 2
    if not full.any():
        return float((steps * shut).sum() / known_s), known_s
    return float((part[full] / held[full]).max()), PERCLOS_S
