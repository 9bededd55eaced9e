"""Text on packs: who reads it, and what it says about a frame and a product picture."""

from pvm_core.text.reader import NONE, Line, Reader, choose_reader, load_reader
from pvm_core.text.word_evidence import WordEvidence, rarities

__all__ = ["NONE", "Line", "Reader", "WordEvidence", "choose_reader", "load_reader", "rarities"]
