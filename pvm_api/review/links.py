"""Addresses that the review page links, its own among them."""

from __future__ import annotations

from pvm_core.links import at_second, web

__all__ = ["at_second", "web", "within"]


def within(path: str) -> str:
    """Where to go back to: a path of the review page, never another site."""
    fine = path == "/review" or path.startswith(("/review/", "/review?"))
    return path if fine and "\\" not in path and not any(ord(c) < 0x20 for c in path) else "/review"
