"""Amazon through its official Creators API."""

from __future__ import annotations

from pvm_resources.sources.amazon.source import Amazon

__all__ = ["Amazon"]
