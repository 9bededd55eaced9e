"""`pvm evaluate`: measures and fits the calibration on labelled pictures."""

from __future__ import annotations


def evaluate() -> None:
    """Measures retrieval, terms and score on labelled pictures, and fits the calibration."""
