"""Requests in the form of founding document 1 (sections 4 and 7), rewritten as a `JobRequest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pvm_core.errors import InputError

#: Legacy field with the number of products of a shop -> the shop's name as a source.
TOPS: Final = {"top_amz": "amazon", "top_ebay": "ebay"}
SHOPS: Final = ("ebay", "amazon")
#: Its platforms, which are sources of videos by the same name.
PLATFORMS: Final = ("youtube", "bilibili")
#: Legacy fields that `JobRequest` does not have.
FIELDS: Final = (*TOPS, "platforms")


def from_legacy(given: Mapping[str, Any]) -> dict[str, Any]:
    """The request with its legacy fields replaced by those of `JobRequest`; other fields stay as they are.

    ``top_amz`` and ``top_ebay`` name the shops and the number of products of each, 0 leaves a shop out;
    ``platforms`` names the sources of videos. What `products` and `videos` say themselves wins.

    Raises:
        InputError: ``request.top``, ``request.platforms``.
    """
    found = {name: value for name, value in given.items() if name not in FIELDS}
    tops = {shop: given[field] for field, shop in TOPS.items() if given.get(field) is not None}
    if tops:
        for shop, top in tops.items():
            if isinstance(top, bool) or not isinstance(top, int) or top < 0:
                raise InputError("request.top", shop, f"{top!r} is no count of products", "Give 0 or more")
        wanted = [shop for shop in SHOPS if tops.get(shop)] or [shop for shop in SHOPS if shop not in tops]
        if not wanted and not found.get("products"):
            raise InputError("request.top", "top_amz, top_ebay", "both are 0", "Ask one shop at least")
        found["products"] = found.get("products") or wanted
        counted = {shop: top for shop, top in tops.items() if top}
        if counted:
            found["tops"] = {**counted, **(found.get("tops") or {})}
    platforms = given.get("platforms")
    if platforms:
        found["videos"] = found.get("videos") or _platforms(platforms)
    return found


def _platforms(given: Any) -> list[str]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(one, str) for one in listed):
        raise InputError("request.platforms", "platforms", "it is no list of names", 'Write ["youtube"]')
    names = [one.strip().lower() for one in listed]
    unknown = [name for name in names if name not in PLATFORMS]
    if unknown:
        known = ", ".join(PLATFORMS)
        raise InputError("request.platforms", unknown[0][:80], "it is no platform", f"Choose from: {known}")
    return names
