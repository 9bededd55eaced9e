"""eBay through its official Browse API."""

from __future__ import annotations

from pvm_resources.sources.ebay.source import Ebay

__all__ = ["Ebay"]
