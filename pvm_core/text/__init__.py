"""Text on packs: who reads it."""

from pvm_core.text.reader import NONE, Line, Reader, choose_reader, load_reader

__all__ = ["NONE", "Line", "Reader", "choose_reader", "load_reader"]
