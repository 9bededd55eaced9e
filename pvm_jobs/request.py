"""What a job was asked for: the form that a job's row, the command line and the API share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pvm_core.errors import InputError

#: The most records one source is asked for; eBay's own ceiling is 10,000, a job of that size is no job.
TOP_MAX: Final = 1_000
#: Ten years: videos older than that are asked for by leaving the limit out.
RECENCY_MAX_DAYS: Final = 3_650
_QUERY_MAX: Final = 200
_QUERIES_MAX: Final = 50
_SOURCES_MAX: Final = 20
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class JobRequest:
    """A job's request.

    Attributes:
        products, videos: sources in order: a source's name (``ebay``), a path or an http(s) URL.
        top: most records wanted of each source; None = the source's own default.
        tops: the same for single sources by name; wins over `top`.
        queries: search phrases per language code, added to those the industry keeps.
        recency_days: videos younger than this only; None = any age.
        embed_model: embedder by name; None = the machine's setting.
        callback_url: told when the job has ended; None = nobody.
    """

    products: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    top: int | None = None
    tops: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    queries: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    recency_days: int | None = None
    embed_model: str | None = None
    callback_url: str | None = None

    def top_of(self, source: str) -> int | None:
        """Most records wanted of that source."""
        return self.tops.get(source, self.top)

    def to_json(self) -> dict[str, Any]:
        """As `parse` reads it; what was not asked for is left out."""
        found: dict[str, Any] = {"products": list(self.products), "videos": list(self.videos)}
        if self.tops:
            found["tops"] = dict(self.tops)
        if self.queries:
            found["queries"] = {language: list(phrases) for language, phrases in self.queries.items()}
        for name in ("top", "recency_days", "embed_model", "callback_url"):
            if getattr(self, name) is not None:
                found[name] = getattr(self, name)
        return found

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> JobRequest:
        """A request from JSON; `products` and `videos` may be one text or a list.

        Raises:
            InputError: ``request.sources``, ``request.top``, ``request.recency``, ``request.queries``.
        """
        return cls(
            products=_sources("products", given.get("products")),
            videos=_sources("videos", given.get("videos")),
            top=_count("top", given.get("top"), TOP_MAX, "request.top"),
            tops={
                str(name): count
                for name, value in _mapping("tops", given.get("tops"), "request.top").items()
                if (count := _count(f"tops.{name}", value, TOP_MAX, "request.top")) is not None
            },
            queries=parse_queries(given.get("queries")),
            recency_days=_count(
                "recency_days", given.get("recency_days"), RECENCY_MAX_DAYS, "request.recency"
            ),
            embed_model=given.get("embed_model") or None,
            callback_url=given.get("callback_url") or None,
        )


def parse_queries(given: Any) -> dict[str, tuple[str, ...]]:
    """Phrases per language from ``{"en": ["ergonomic pillow"]}``, cleaned of doubles and of white space.

    A plain list stands for phrases of no stated language, under ``und`` (ISO 639-2).

    Raises:
        InputError: ``request.queries``.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = {"und": given}
    found: dict[str, tuple[str, ...]] = {}
    for language, phrases in _mapping("queries", given, "request.queries").items():
        code = str(language).strip().lower()
        if not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
            raise InputError(
                "request.queries", f"queries.{language}", "it is no language code", "Write vi, zh, en, ..."
            )
        listed = [phrases] if isinstance(phrases, str) else phrases
        if not isinstance(listed, Sequence) or not all(isinstance(phrase, str) for phrase in listed):
            raise InputError(
                "request.queries", f"queries.{code}", "it is no list of phrases", 'Write ["phrase", ...]'
            )
        cleaned = tuple(dict.fromkeys(text for phrase in listed if (text := " ".join(phrase.split()))))
        if len(cleaned) > _QUERIES_MAX or any(len(text) > _QUERY_MAX for text in cleaned):
            reason = f"more than {_QUERIES_MAX} phrases, or one longer than {_QUERY_MAX} characters"
            raise InputError("request.queries", f"queries.{code}", reason, "Give fewer or shorter phrases")
        if cleaned:
            found[code] = cleaned
    return found


def _sources(name: str, given: Any) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else given if given is not None else []
    if not isinstance(listed, Sequence) or not all(isinstance(one, str) for one in listed):
        raise InputError("request.sources", name, "it is no list of sources", 'Write ["ebay", ...]')
    cleaned = tuple(dict.fromkeys(one.strip() for one in listed if one.strip()))
    if len(cleaned) > _SOURCES_MAX:
        raise InputError("request.sources", name, f"more than {_SOURCES_MAX} sources", "Name fewer")
    return cleaned


def _count(name: str, given: Any, most: int, code: str) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= most:
        raise InputError(code, name, f"{given!r} is no whole number from 1 to {most:,}", "Correct it")
    return given


def _mapping(name: str, given: Any, code: str) -> Mapping[str, Any]:
    if given is None:
        return _NOTHING
    if not isinstance(given, Mapping):
        raise InputError(code, name, "it is no object", "Write it as an object of names and values")
    return given
