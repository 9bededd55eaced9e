"""Does a frame show a product? Geometry first, then appearance after the frame is warped onto the product."""

from pvm_core.verification.pairs import verify_frame, verify_mirrored
from pvm_core.verification.types import (
    PairEvidence,
    VerifyParams,
    View,
    evidence_from_row,
    evidence_to_row,
)

__all__ = [
    "PairEvidence",
    "VerifyParams",
    "View",
    "evidence_from_row",
    "evidence_to_row",
    "verify_frame",
    "verify_mirrored",
]
