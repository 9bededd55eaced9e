"""Does a frame show a product? Geometry first, then appearance after the frame is warped onto the product."""

from pvm_core.verification.learned import compare_learned
from pvm_core.verification.learned_evidence import LearnedEvidence
from pvm_core.verification.pairs import verify_frame, verify_mirrored
from pvm_core.verification.types import (
    LateView,
    PairEvidence,
    VerifyParams,
    View,
    evidence_from_row,
    evidence_to_row,
    learned_to_row,
    words_to_row,
)

__all__ = [
    "LateView",
    "LearnedEvidence",
    "PairEvidence",
    "VerifyParams",
    "View",
    "compare_learned",
    "evidence_from_row",
    "evidence_to_row",
    "learned_to_row",
    "verify_frame",
    "verify_mirrored",
    "words_to_row",
]
