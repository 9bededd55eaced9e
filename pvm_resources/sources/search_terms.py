"""What a job asks its sources for: phrases per language, from the user, from the industry, or by a plug-in.

Nothing is translated. A language without given phrases has none of its own; a source that reads it searches
with the phrases under ``und`` (ISO 639-2: of no stated language): the industry as typed and its synonyms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from shlex import quote
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from pvm_core.errors import InputError
from pvm_jobs.request import JobRequest, parse_queries
from pvm_resources.settings import Settings
from pvm_resources.sources.base import Query
from pvm_resources.store.records import Industry

#: Of no stated language: the industry as typed, and its synonyms.
UND: Final = "und"
#: Languages an industry is expected to have queries in; others count where they have phrases.
LANGUAGES: Final = ("vi", "zh", "en")
#: Entry points under this group are translators that the setting PVM_TRANSLATOR may name.
GROUP: Final = "pvm.translators"
_STORED: Final = "stored"
#: Ideographs of the basic block and its first extension: every Chinese phrase has one.
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


@runtime_checkable
class QueryTranslator(Protocol):
    """Offers search phrases for an industry."""

    def phrases(self, industry: Industry, language: str) -> tuple[str, ...]:
        """Phrases in that language, best first; none where it has nothing to offer.

        Args:
            language: ISO 639 code, or ``und``.
        """
        ...


class StoredQueries:
    """What is kept in the database, and nothing else (the default)."""

    def phrases(self, industry: Industry, language: str) -> tuple[str, ...]:
        """The phrases kept; under ``und`` the industry as typed comes before its synonyms."""
        kept = parse_queries(industry.queries).get(language, ())
        return tuple(dict.fromkeys((industry.name, *kept))) if language == UND else kept


@dataclass(frozen=True)
class Terms:
    """Search phrases of one job.

    Attributes:
        phrases: per language code; ``und`` is always there, other languages where they have their own.
        missing: wanted languages without phrases of their own, in the order wanted.
    """

    phrases: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...] = ()


def terms(
    industry: Industry,
    request: JobRequest,
    translator: QueryTranslator,
    languages: Sequence[str] = LANGUAGES,
) -> Terms:
    """The phrases for `languages`: those of the request first, then the translator's.

    Raises:
        InputError: ``request.queries``: what is stored is no set of phrases.
    """
    found = {
        language: merged
        for language in (*languages, UND)
        if (merged := _merged(request.queries.get(language, ()), translator.phrases(industry, language)))
    }
    found.setdefault(UND, (industry.name,))
    wanted = dict.fromkeys(language for language in languages if language != UND)
    return Terms(MappingProxyType(found), tuple(language for language in wanted if language not in found))


def terms_for(industry: Industry, request: JobRequest, settings: Settings) -> Terms:
    """The phrases of a job by this machine's translator, in the usual languages and all that were given.

    Raises:
        InputError: ``translator.*``, ``request.queries``.
    """
    given = (*request.queries, *parse_queries(industry.queries))
    languages = tuple(dict.fromkeys((*LANGUAGES, *given)))
    return terms(industry, request, load_translator(settings.translator), languages)


def query_for(industry: Industry, request: JobRequest, settings: Settings, source: str) -> Query:
    """What the job asks that source for.

    Args:
        source: as the request names it.

    Raises:
        InputError: as `terms_for`.
    """
    phrases = terms_for(industry, request, settings).phrases
    return Query(industry.name, dict(phrases), request.top_of(source), request.recency_days)


def may_be_in(phrase: str, language: str) -> bool:
    """False where the script of a phrase shows that it is not in a language: no Han character is no Chinese,
    and English is written in ASCII."""
    if language == "zh":
        return _HAN.search(phrase) is not None
    return language != "en" or phrase.isascii()


def keep_command(industry: str, language: str) -> str:
    """The command that keeps search phrases of an industry."""
    return f'pvm industries queries {quote(industry)} --lang {language} "PHRASE"'


def load_translator(name: str) -> QueryTranslator:
    """The translator of that name: ``stored``, or what an installed package registers.

    An entry point of the group ``pvm.translators`` names a callable without arguments that makes one.

    Raises:
        InputError: ``translator.unknown``; ``translator.broken``: what is registered cannot be loaded or is
            no translator.
    """
    if name == _STORED:
        return StoredQueries()
    registered = entry_points(group=GROUP)
    if name not in registered.names:
        known = ", ".join((_STORED, *sorted(registered.names)))
        raise InputError(
            "translator.unknown", f"PVM_TRANSLATOR={name}", f"known are {known}", "Name one of them"
        )
    try:
        made = registered[name].load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise _broken(name, str(error)) from error
    if not isinstance(made, QueryTranslator):
        raise _broken(name, f"{type(made).__name__} has no method `phrases`")
    return made


def _broken(name: str, reason: str) -> InputError:
    remedy = "Install its package again, or set PVM_TRANSLATOR=stored"
    return InputError("translator.broken", f"PVM_TRANSLATOR={name}", f"it cannot be used ({reason})", remedy)


def _merged(given: Sequence[str], offered: Sequence[str]) -> tuple[str, ...]:
    cleaned = (" ".join(phrase.split()) for phrase in (*given, *offered))
    return tuple(dict.fromkeys(phrase for phrase in cleaned if phrase))
