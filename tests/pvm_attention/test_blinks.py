"""Blinks of series with known blinks, PERCLOS, and what is not known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pvm_attention.blinks import Blink, find_blinks
from tests.pvm_attention.eye_series import EyeSeries, eye_series, turned_away


def _hits(found: tuple[Blink, ...], wanted: tuple[float, ...]) -> int:
    return sum(any(b.start_s - 0.05 <= at <= b.end_s + 0.05 for b in found) for at in wanted)


def _false_alarms(found: tuple[Blink, ...], series: EyeSeries) -> int:
    return sum(not any(b.start_s - 0.05 <= at <= b.end_s + 0.05 for at in series.blinks) for b in found)


@pytest.mark.parametrize("fps", [25.0, 29.97, 60.0])
def test_known_blinks_are_found_and_no_others(fps: float) -> None:
    rng = np.random.default_rng(int(fps))
    hits = missed = false = 0
    for n in range(20):
        series = eye_series(rng, fps)
        series = turned_away(series, rng) if n % 2 else series
        found = find_blinks(series.ts, series.ratios, series.known).blinks
        hit = _hits(found, series.blinks)
        hits, missed, false = (
            hits + hit,
            missed + len(series.blinks) - hit,
            false + _false_alarms(found, series),
        )
    f1 = 2 * hits / (2 * hits + missed + false)
    assert f1 >= 0.95, (hits, missed, false)


def test_the_minima_of_a_real_series_are_found(real_faces: Path) -> None:
    with (real_faces / "ear_score_30.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    ratios = np.array([(float(row[1]) + float(row[2])) / 2 for row in rows])
    found = find_blinks(np.arange(ratios.size) / 30, ratios, np.ones(ratios.size, bool))
    # The open eye's ratio changes slowly: the median of the open frames within four seconds.
    around = [ratios[max(0, n - 60) : n + 60] for n in range(ratios.size)]
    open_ = np.array([np.median(near[near > 0.2]) for near in around])
    deep = np.flatnonzero(ratios < open_ / 2)
    minima = np.split(deep, np.flatnonzero(np.diff(deep) > 1) + 1)
    assert len(found.blinks) + len(found.closures) == len(minima) > 0
    for group in minima:
        middle = group.mean() / 30
        assert any(b.start_s <= middle <= b.end_s for b in (*found.blinks, *found.closures))


def test_perclos_is_the_share_of_time_with_closed_eyes() -> None:
    ts = np.arange(0, 60, 1 / 30)
    shut = (ts % 10) < 1.5
    found = find_blinks(ts, np.where(shut, 0.03, 0.3), np.ones(ts.size, bool))
    assert found.perclos == pytest.approx(0.15, abs=0.01)
    assert len(found.closures) == 5, "the first one has no beginning"
    assert not found.blinks


def test_too_short_a_series_has_no_rates_and_says_its_length() -> None:
    ts = np.arange(0, 3, 1 / 30)
    found = find_blinks(ts, np.full(ts.size, 0.3), np.ones(ts.size, bool))
    assert found.perclos is None
    assert found.perclos_window_s == pytest.approx(3, abs=0.1)
    assert found.per_minute is None


def test_what_nobody_could_see_is_unknown_and_not_free_of_blinks() -> None:
    ts = np.arange(0, 10, 1 / 30)
    found = find_blinks(ts, np.full(ts.size, 0.3), np.zeros(ts.size, bool))
    assert (found.per_minute, found.perclos, found.known_s) == (None, None, 0.0)


def test_a_closing_that_a_gap_cuts_is_no_blink() -> None:
    ts = np.concatenate([np.arange(0, 5, 1 / 30), np.arange(8, 13, 1 / 30)])
    ratios = np.full(ts.size, 0.3)
    ratios[(ts > 4.9) & (ts < 5)] = 0.05
    ratios[(ts >= 8) & (ts < 8.1)] = 0.05
    assert not find_blinks(ts, ratios, np.ones(ts.size, bool)).blinks
