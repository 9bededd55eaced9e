"""A job's request: one form for the command line, REST, the bus, standing industries and partitions added by
hand; and the one way its gaps are filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from pvm_core.errors import InputError
from pvm_jobs.catalogue_columns import parse_columns
from pvm_jobs.legacy_request import from_legacy
from pvm_jobs.source_kinds import KINDS, SourceKind
from pvm_jobs.text import UNSTORABLE, is_storable

#: Most records of one source; eBay's own ceiling is 10,000, a job of that size is no job.
TOP_MAX: Final = 1_000
#: Ten years; any age is the request without the limit.
RECENCY_MAX_DAYS: Final = 3_650
#: Characters of a phrase, phrases of a language, languages; there are 183 of two letters (ISO 639-1).
QUERY_MAX: Final = 200
QUERIES_MAX: Final = 50
LANGUAGES_MAX: Final = 50
#: Sources of one kind, and characters of one: a URL that servers take.
SOURCES_MAX: Final = 20
SOURCE_MAX: Final = 2_048
_CODES: Final = {"top": "request.top", "recency_days": "request.recency"}
_LIMITS: Final = {"top": TOP_MAX, "recency_days": RECENCY_MAX_DAYS}


def _sources(given: Any, info: ValidationInfo) -> tuple[str, ...]:
    name = str(info.field_name)
    listed = [given] if isinstance(given, str) else given if given is not None else []
    if not isinstance(listed, Sequence) or not all(isinstance(one, str) for one in listed):
        raise InputError("request.sources", name, "it is no list of sources", 'Write ["ebay", ...]')
    cleaned = tuple(dict.fromkeys(one.strip() for one in listed if one.strip()))
    if len(cleaned) > SOURCES_MAX:
        raise InputError("request.sources", name, f"more than {SOURCES_MAX} sources", "Name fewer")
    if any(len(one) > SOURCE_MAX for one in cleaned):
        reason = f"one is longer than {SOURCE_MAX:,} characters"
        raise InputError("request.sources", name, reason, "Give a shorter address")
    return cleaned


def _tops(given: Any) -> dict[str, int]:
    tops = _mapping("tops", given, "request.top")
    if len(tops) > SOURCES_MAX:
        raise InputError("request.top", "tops", f"more than {SOURCES_MAX} sources", "Name fewer")
    found = {str(name): top for name, top in tops.items() if top is not None}
    for name, top in found.items():
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= TOP_MAX:
            raise _no_count(f"tops.{name}", top, TOP_MAX, "request.top")
    return found


def parse_queries(given: Any) -> dict[str, tuple[str, ...]]:
    """Phrases per language from ``{"en": ["ergonomic pillow"]}``, cleaned of doubles and of white space.

    A plain list stands for phrases of no stated language, under ``und`` (ISO 639-2).

    Raises:
        InputError: ``request.queries``.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = {"und": given}
    found: dict[str, tuple[str, ...]] = {}
    if len(_mapping("queries", given, "request.queries")) > LANGUAGES_MAX:
        reason = f"more than {LANGUAGES_MAX} languages"
        raise InputError("request.queries", "queries", reason, "Give fewer")
    for language, phrases in _mapping("queries", given, "request.queries").items():
        code = str(language).strip().lower()
        if not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
            raise InputError(
                "request.queries", f"queries.{language}", "it is no language code", "Write vi, zh, en, ..."
            )
        if cleaned := _phrases(code, phrases):
            found[code] = cleaned
    return found


def _phrases(code: str, given: Any) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(phrase, str) for phrase in listed):
        raise InputError(
            "request.queries", f"queries.{code}", "it is no list of phrases", 'Write ["phrase", ...]'
        )
    cleaned = tuple(dict.fromkeys(text for phrase in listed if (text := " ".join(phrase.split()))))
    if len(cleaned) > QUERIES_MAX or any(len(text) > QUERY_MAX for text in cleaned):
        reason = f"more than {QUERIES_MAX} phrases, or one longer than {QUERY_MAX} characters"
        raise InputError("request.queries", f"queries.{code}", reason, "Give fewer or shorter phrases")
    if not all(map(is_storable, cleaned)):
        raise InputError("request.queries", f"queries.{code}", *UNSTORABLE)
    return cleaned


def _mapping(name: str, given: Any, code: str) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise InputError(code, name, "it is no object", "Write it as an object of names and values")
    return given or {}


def _no_count(name: str, given: Any, most: int, code: str) -> InputError:
    return InputError(code, name, f"{given!r} is no whole number from 1 to {most:,}", "Correct it")


_SourceName = Annotated[str, Field(max_length=SOURCE_MAX)]
_SourceNames = Annotated[list[_SourceName], Field(max_length=SOURCES_MAX)]
_Sources = Annotated[
    tuple[str, ...], BeforeValidator(_sources, json_schema_input_type=_SourceNames | _SourceName | None)
]
_Tops = Annotated[
    dict[str, int],
    BeforeValidator(
        _tops, json_schema_input_type=Annotated[dict[str, int], Field(max_length=SOURCES_MAX)] | None
    ),
]
_Phrase = Annotated[str, Field(max_length=QUERY_MAX)]
_Phrases = Annotated[list[_Phrase], Field(max_length=QUERIES_MAX)]
_Languages = Annotated[dict[str, _Phrases | _Phrase], Field(max_length=LANGUAGES_MAX)]
_Queries = Annotated[
    dict[str, tuple[str, ...]],
    BeforeValidator(parse_queries, json_schema_input_type=_Languages | _Phrases | None),
]
_Columns = Annotated[
    dict[str, str], BeforeValidator(parse_columns, json_schema_input_type=dict[str, str] | None)
]
_Text = BeforeValidator(lambda given: given or None)


class JobRequest(BaseModel):
    """A job's request. Values are immutable; unset fields are empty or None."""

    model_config = ConfigDict(frozen=True)

    products: _Sources = Field(
        default=(), description="Sources of products: `ebay`, `amazon`, a catalogue's http(s) URL, an upload."
    )
    videos: _Sources = Field(
        default=(), description="Sources of videos: `youtube`, `bilibili`, http(s) URLs."
    )
    top: int | None = Field(default=None, ge=1, le=TOP_MAX, description="Most records wanted of each source.")
    tops: _Tops = Field(default={}, description="The same for single sources by name.")
    queries: _Queries = Field(default={}, description="Search phrases per language code, or a plain list.")
    recency_days: int | None = Field(
        default=None, ge=1, le=RECENCY_MAX_DAYS, description="Videos younger than this only."
    )
    embed_model: Annotated[str | None, _Text] = Field(
        default=None, max_length=100, description="Embedder by name."
    )
    columns: _Columns = Field(
        default={},
        description="Columns of catalogues by field, where their names say it not: "
        '`{"product_id": "SKU", "image": "Image URL"}`.',
    )
    allow_outside: bool = Field(
        default=False, description="Files outside a source's folder are read: the command line alone sets it."
    )
    callback_url: Annotated[str | None, _Text] = Field(
        default=None, max_length=2000, description="Called once when the job has ended; n8n's resume URL."
    )

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """A request from JSON, legacy names included; unknown fields are ignored.

        Raises:
            InputError: ``request.sources``, ``request.top``, ``request.recency``, ``request.queries``,
                ``request.platforms``, ``request.invalid``.
        """
        try:
            return cls.model_validate(from_legacy(given))
        except ValidationError as error:
            raise _input_error(error) from error

    def top_of(self, source: str) -> int | None:
        """Most records wanted of that source."""
        return self.tops.get(source, self.top)

    def to_json(self) -> dict[str, Any]:
        """As `parse` reads it; unset fields are left out."""
        found = self.model_dump(mode="json", include=set(JobRequest.model_fields))
        return {
            name: value for name, value in found.items() if name in KINDS or value not in (None, {}, False)
        }


def _input_error(error: ValidationError) -> InputError:
    """The first of pydantic's findings in the form of all our errors."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if name in _LIMITS:
        return _no_count(name, first["input"], _LIMITS[name], _CODES[name])
    return InputError("request.invalid", name, first["msg"], "Correct it")


def complete(
    request: JobRequest,
    standing: JobRequest,
    machine: JobRequest | None = None,
    *,
    refused: Callable[[SourceKind], InputError],
) -> JobRequest:
    """The request with its gaps filled: by the industry's standing request, then by what this machine has.

    `queries` and `callback_url` belong to one job: nothing fills them.

    Args:
        standing: what the industry keeps for all its jobs.
        machine: sources that this machine is set up for; None for the command line, where a missing source
            is an error instead of a search of the web.
        refused: the error for a kind of source that is named nowhere.

    Raises:
        InputError: what `refused` makes.
    """
    layers = (request, standing, machine or JobRequest())
    fields = (*KINDS, "top", "recency_days", "embed_model", "columns")
    filled = {name: next((v for one in layers if (v := getattr(one, name))), None) for name in fields}
    for kind in KINDS:
        if not filled[kind]:
            raise refused(kind)
    merged = {"tops": {**standing.tops, **request.tops}, "columns": filled["columns"] or {}}
    return request.model_copy(update={**filled, **merged})
