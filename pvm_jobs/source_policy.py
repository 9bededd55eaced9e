"""What each source's terms allow with its material: one table, which a machine may set otherwise.

The shipped figures follow the sources' own licences as their pages and copies of them state them; none is
legal advice. Who has other terms with a source sets them in ``PVM_SOURCE_POLICIES``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from pvm_core.errors import InputError

VARIABLE: Final = "PVM_SOURCE_POLICIES"
_REMEDY: Final = 'Write it as {"ebay": {"max_age_h": 3}}, or leave it empty'
#: Ten years; a policy without end is written null.
_MAX_AGE_H: Final = 87_660.0
_TEXT_MAX: Final = 500


@dataclass(frozen=True)
class SourcePolicy:
    """What a source's terms allow with its material.

    Attributes:
        store_media: pictures and videos may be kept.
        max_age_h: hours after which they and everything derived from them must go; None = no limit.
        attribution: text to show beside them; "" = none required.
        may_train: labels on its material may enter a calibration.
        terms_url: where the terms stand; "" for the user's own material.
    """

    store_media: bool = True
    max_age_h: float | None = None
    attribution: str = ""
    may_train: bool = True
    terms_url: str = ""

    @property
    def restricted(self) -> bool:
        """Pictures may have to be deleted: none is copied to where it cannot be deleted, such as Dagster's
        event log, which gets a link instead."""
        return not self.store_media or self.max_age_h is not None


#: eBay API licence: listings at most 6 hours old, none of it to train on. Amazon Associates IP licence: no
#: stored pictures, links to them and all other content at most 24 hours, ids without end. The video sites
#: bind whoever downloads, and a video's rights are its maker's: by default it enters no calibration.
SHIPPED: Final[Mapping[str, SourcePolicy]] = MappingProxyType(
    {
        "file": SourcePolicy(),
        "folder": SourcePolicy(),
        "ebay": SourcePolicy(
            max_age_h=6.0,
            attribution="Item data and pictures from eBay",
            may_train=False,
            terms_url="https://developer.ebay.com/join/api-license-agreement",
        ),
        "amazon": SourcePolicy(
            store_media=False,
            max_age_h=24.0,
            attribution="Content from Amazon. As an Amazon Associate I earn from qualifying purchases.",
            may_train=False,
            terms_url="https://affiliate-program.amazon.com/help/operating/policies",
        ),
        "youtube": SourcePolicy(
            attribution="Video from YouTube", may_train=False, terms_url="https://www.youtube.com/t/terms"
        ),
        "bilibili": SourcePolicy(
            attribution="Video from bilibili",
            may_train=False,
            terms_url="https://www.bilibili.com/protocal/licence.html",
        ),
        "links": SourcePolicy(attribution="Video from the site its link names", may_train=False),
    }
)


class Policies(Mapping[str, SourcePolicy]):
    """The policy of every source by name.

    A name that stands nowhere is a site that a list of links led to, and is treated as ``links``.
    """

    def __init__(self, table: Mapping[str, SourcePolicy] = SHIPPED) -> None:
        self._table = dict(table)

    def __getitem__(self, source: str) -> SourcePolicy:
        return self._table.get(source, self._table["links"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, source: object) -> bool:
        return source in self._table

    def may_train(self, source: str) -> bool:
        """True where labels on that source's material may enter a calibration."""
        return self[source].may_train

    def restricted(self, source: str) -> bool:
        """True where that source's material may have to be deleted."""
        return self[source].restricted

    def of_platform(self, platform: str) -> SourcePolicy:
        """The policy of videos by `videos.platform`: a site's name, or ``file`` for a local folder."""
        return self["folder" if platform == "file" else platform]

    def forbidding(self, source: str, platform: str, *, then: bool) -> str | None:
        """The source whose terms forbid learning from a label; None where none does.

        Args:
            source, platform: of the product and of the video that were judged.
            then: the terms of both allowed it when the label was given.
        """
        if not self.may_train(source):
            return source
        if not self.of_platform(platform).may_train:
            return platform
        return None if then else source

    @property
    def ages_h(self) -> dict[str, float]:
        """Hours after which a source's material must go, of those sources that have such a limit."""
        return {name: policy.max_age_h for name, policy in self.items() if policy.max_age_h is not None}

    def expired(self, source: str, stored_at: datetime, now: datetime) -> bool:
        """True where material of that source, stored then, may be kept no longer.

        Args:
            stored_at, now: times with a zone.
        """
        age = self[source].max_age_h
        return age is not None and now - stored_at >= timedelta(hours=age)


def parse_policies(text: str) -> Policies:
    """The shipped table with the fields of a JSON object ``{source: {field: value}}`` in place of its own.

    Raises:
        InputError: ``settings.invalid``: no JSON object, an unknown source or field, a value out of range.
    """
    table = dict(SHIPPED)
    if text.strip():
        for source, fields in _object(_decoded(text), VARIABLE).items():
            if source not in table:
                raise _invalid(source, f"no such source; known are {', '.join(table)}")
            values = {
                name: _value(f"{source}.{name}", name, value)
                for name, value in _object(fields, source).items()
            }
            table[source] = dataclasses.replace(table[source], **values)
    return Policies(table)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise _invalid("", f"it is no JSON: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # json keeps the last of two equal names, which would hide a policy that was set.
        raise ValueError("a name stands twice")
    return found


def _object(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _invalid("" if where == VARIABLE else where, "it is no object of names and values")
    return given


def _value(where: str, name: str, given: Any) -> Any:
    if name in ("store_media", "may_train"):
        if isinstance(given, bool):
            return given
        raise _invalid(where, "it is neither true nor false")
    if name == "max_age_h":
        if given is None:
            return None
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if number and math.isfinite(given) and 0 < given <= _MAX_AGE_H:
            return float(given)
        raise _invalid(where, f"it is neither null nor a number of hours above 0, at most {_MAX_AGE_H:,.0f}")
    if name in ("attribution", "terms_url"):
        if not isinstance(given, str) or len(given) > _TEXT_MAX:
            raise _invalid(where, f"it is no text of at most {_TEXT_MAX} characters")
        if name == "terms_url" and given and not given.startswith(("https://", "http://")):
            raise _invalid(where, "it is no http(s) URL")
        return given
    known = ", ".join(field.name for field in dataclasses.fields(SourcePolicy))
    raise _invalid(where, f"no such field; known are {known}")


def _invalid(where: str, reason: str) -> InputError:
    return InputError("settings.invalid", f"{VARIABLE}: {where}" if where else VARIABLE, reason, _REMEDY)
