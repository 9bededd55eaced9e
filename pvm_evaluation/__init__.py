"""How well the platform finds what it should: the whole path in one process, from files to figures.

A *photo set* is a folder with `reference/`, `scene/` and `pairs.csv` (its positives; every other combination
is a negative); a *case* is a catalogue, a folder of videos and `truth.csv`. `measure` turns either into
`RawPair`s; from these calibrations are fitted, and scores, decisions and tables are computed without looking
at a picture again.
"""

from pvm_evaluation.ablations import Ablation, ablate
from pvm_evaluation.diagram import draw_reliability
from pvm_evaluation.fitting import Fitted, cross_validate, fit, fit_on, to_samples
from pvm_evaluation.folders import CaseFolder, PhotoSet, open_folder
from pvm_evaluation.measure import RawPair, Setting, measure
from pvm_evaluation.metrics import (
    Bin,
    Decided,
    Precision,
    Ranking,
    decide_pairs,
    precision_of,
    rank_terms,
    reliability,
    retrieval_recall,
    score_pairs,
    true_count,
)

__all__ = [
    "Ablation",
    "Bin",
    "CaseFolder",
    "Decided",
    "Fitted",
    "PhotoSet",
    "Precision",
    "Ranking",
    "RawPair",
    "Setting",
    "ablate",
    "cross_validate",
    "decide_pairs",
    "draw_reliability",
    "fit",
    "fit_on",
    "measure",
    "open_folder",
    "precision_of",
    "rank_terms",
    "reliability",
    "retrieval_recall",
    "score_pairs",
    "to_samples",
    "true_count",
]
