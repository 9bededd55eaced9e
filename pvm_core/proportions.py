"""Confidence bounds of proportions."""

from __future__ import annotations


def lower_bound(hits: int, n: int, confidence: float = 0.95) -> float:
    """One-sided Clopper-Pearson lower bound on a proportion.

    Args:
        hits: successes among `n`; with none the bound is 0.
        confidence: in (0, 1).
    """
    if hits == 0:
        return 0.0
    # Most commands reach this module only, and the library costs them start-up.
    from scipy.special import betaincinv

    return float(betaincinv(hits, n - hits + 1, 1 - confidence))
