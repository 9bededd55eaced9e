"""Eye openings with known blinks: lids that close and open along a curve, a camera, noise, turning heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvm_core.arrays import F64, Bools


@dataclass(frozen=True)
class EyeSeries:
    """A series and its truth: `blinks` are the seconds of fullest closure."""

    ts: F64
    ratios: F64
    known: Bools
    blinks: tuple[float, ...]


def eye_series(rng: np.random.Generator, fps: float, length_s: float = 60.0) -> EyeSeries:
    """A minute of a person who blinks, squints, and turns her head.

    A lid falls within 60 to 110 ms, rests and rises in 120 to 200 ms, each along half a cosine; the ratio of
    closed and of open eyes is the person's own. Time stamps tremble as containers round them.
    """
    open_, shut = rng.uniform(0.24, 0.38), rng.uniform(0.02, 0.07)
    ts = np.sort(np.arange(0, length_s, 1 / fps) + rng.uniform(-0.1, 0.1, int(np.ceil(length_s * fps))) / fps)
    lid, blinks, at = np.ones_like(ts), [], rng.uniform(1, 3)
    while at < length_s - 2:
        fall, rest, rise = rng.uniform(0.06, 0.11), rng.uniform(0.01, 0.08), rng.uniform(0.12, 0.2)
        lid = np.minimum(lid, _lid(ts - at, fall, rest, rise))
        blinks.append(at + fall + rest / 2)
        at += rng.uniform(1.5, 6)
    squint = 1 - 0.2 * np.exp(-((ts - rng.uniform(10, 50)) ** 2) / 4)
    drift = 1 + 0.12 * np.sin(ts / rng.uniform(5, 12))
    ratios = shut + (open_ * squint * drift - shut) * lid + rng.normal(0, 0.012, ts.size)
    return EyeSeries(ts, np.clip(ratios, 0, None), np.ones(ts.size, bool), tuple(blinks))


def turned_away(series: EyeSeries, rng: np.random.Generator) -> EyeSeries:
    """The same with the head turned far away for 5 seconds: ratios of no meaning there, and known as such."""
    start = rng.uniform(15, 40)
    away = (series.ts >= start) & (series.ts <= start + 5)
    ratios = np.where(away, rng.uniform(0, 0.6, series.ts.size), series.ratios)
    kept = tuple(b for b in series.blinks if not start - 0.3 <= b <= start + 5.3)
    return EyeSeries(series.ts, ratios, ~away, kept)


def _lid(since: F64, fall: float, rest: float, rise: float) -> F64:
    closing = 0.5 + 0.5 * np.cos(np.pi * np.clip(since / fall, 0, 1))
    opening = 0.5 - 0.5 * np.cos(np.pi * np.clip((since - fall - rest) / rise, 0, 1))
    return np.where(since < fall + rest, closing, opening)
