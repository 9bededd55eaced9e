"""Confidence bounds of proportions."""

from __future__ import annotations

from math import lgamma


def lower_bound(hits: int, n: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson lower bound on a proportion, by bisection on the binomial tail.

    Args:
        hits: successes among `n`; with none the bound is 0.
        confidence: in (0, 1).
    """
    if hits == 0:
        return 0.0
    # Loading numpy is a good part of a command's start, and most commands reach this module only.
    import numpy as np

    # Terms in logarithms: binomials of a few thousand pairs leave the range of a float.
    k = np.arange(hits, n + 1)
    ways = np.array([lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) for i in k])
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        tail = float(np.exp(ways + k * np.log(p) + (n - k) * np.log1p(-p)).sum())
        low, high = (p, high) if tail < 1 - confidence else (low, p)
    return low
