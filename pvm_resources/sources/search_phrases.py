"""Which of a job's search phrases go to a shop, and how several share one limit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pvm_resources.sources.base import Query
from pvm_resources.sources.search_terms import UND

T = TypeVar("T")


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language.

    Attributes:
        language: its code; ``und`` for phrases as typed.
        phrases: in order, at least one.
        note: why it is not a language of the shop; "" where it is, or where none is stated.
    """

    language: str
    phrases: tuple[str, ...]
    note: str = ""


def choose_phrases(query: Query, languages: Sequence[str]) -> Phrases:
    """The phrases for a shop that reads `languages` (its own first).

    Phrases of no stated language come next: the industry as typed. Those of another language are the last
    resort, and said so: a search in a language that the shop does not read finds little.
    """
    given = _given(query.terms)
    for language in (*languages, UND):
        if language in given:
            return Phrases(language, given[language])
    if given:
        language, phrases = next(iter(given.items()))
        return Phrases(language, phrases, f"no phrases in {' or '.join(languages)}: searched in {language}")
    return Phrases(UND, (query.industry,))


def round_robin(
    streams: Sequence[Iterator[T]], key: Callable[[T], Hashable], limit: int | None = None
) -> Iterator[T]:
    """One of each stream in turn, each key once, up to `limit`; no stream is read further than that."""
    seen: set[Hashable] = set()
    open_streams = list(streams)
    while open_streams:
        for stream in list(open_streams):
            if limit is not None and len(seen) >= limit:
                return
            found = next((one for one in stream if key(one) not in seen), None)
            if found is None:
                open_streams.remove(stream)
                continue
            seen.add(key(found))
            yield found


def _given(terms: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    cleaned = {
        language: tuple(dict.fromkeys(text for phrase in phrases if (text := " ".join(phrase.split()))))
        for language, phrases in terms.items()
    }
    return {language: phrases for language, phrases in cleaned.items() if phrases}
