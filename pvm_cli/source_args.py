"""The arguments of `pvm run` as a `JobRequest`: sources, counts, search phrases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from pvm_core.errors import InputError
from pvm_jobs.source_kinds import SourceKind

if TYPE_CHECKING:
    from pvm_jobs.request import JobRequest
    from pvm_resources.settings import Settings
    from pvm_resources.store.records import Industry


def sources_of(
    products: Sequence[str] | None,
    videos: Sequence[str] | None,
    *,
    allow_outside: bool = False,
    columns: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """The given sources, paths made absolute, as a job's request and an industry keep them.

    Files and folders are opened, without reading a pixel, so that a wrong one is refused before a job exists.
    No request goes to the net.

    Args:
        allow_outside: pictures and links may lead out of a source's folder.
        columns: columns of catalogues that the user named, by field.

    Raises:
        InputError: ``source.unknown``, ``source.missing``, ``source.folder``, and what a file's own source
            says of it: ``table.*``, ``catalogue.*``, ``videos.*``, ``links.*``.
    """
    given: dict[SourceKind, Sequence[str] | None] = {"products": products, "videos": videos}
    reading = _Reading(allow_outside, columns or {})
    found: dict[str, list[str]] = {}
    for kind, values in given.items():
        tokens = dict.fromkeys(token for value in values or () for token in split(value, named(kind)))
        if tokens:
            found[kind] = [_checked(kind, token, reading) for token in tokens]
    return found


def check_usable(given: Mapping[str, Sequence[str]], settings: Settings) -> None:
    """Refuses sources of which none can be asked on this machine, before a job exists.

    Where another of the kind is left, the job goes on with it and says what the others lack.

    Raises:
        InputError: ``request.not_configured``, naming the setting.
    """
    from pvm_resources.sources.readiness import unconfigured

    for tokens in given.values():
        faults = [unconfigured(token, settings) for token in tokens]
        lacking = [fault for fault in faults if fault is not None]
        if lacking and len(lacking) == len(tokens):
            raise _together(lacking)


def _together(faults: Sequence[InputError]) -> InputError:
    """One error that names what each source lacks."""
    first = faults[0]
    if len(faults) == 1:
        return first
    reason = "; ".join(f"{fault.subject}: {fault.reason}" for fault in faults)
    return InputError(first.code, ", ".join(fault.subject for fault in faults), reason, first.remedy)


def named(kind: SourceKind) -> tuple[str, ...]:
    """Sources of that kind that go by a name."""
    from pvm_resources.sources.registry import PRODUCT_SOURCES, STORED, VIDEO_SOURCES

    return (*(PRODUCT_SOURCES if kind == "products" else VIDEO_SOURCES), STORED)


def split(given: str, names: Sequence[str]) -> list[str]:
    """The sources that one option names, separated by commas.

    A path that is there stays one whatever commas it holds. An address ends where a comma is followed by a
    name, a path that is there, or another address.
    """
    pieces = given.split(",")
    found: list[str] = []
    at = 0
    while at < len(pieces):
        end = next((e for e in range(len(pieces), at, -1) if _exists(",".join(pieces[at:e]))), at + 1)
        token = ",".join(pieces[at:end])
        one = token.strip()
        known = one in names or _is_url(one) or _exists(token)
        if found and _is_url(found[-1]) and not known:
            found[-1] += f",{token}"
        elif one:
            found.append(token if _exists(token) else one)
        at = end
    return found


def request_of(
    industry: Industry,
    given: dict[str, list[str]],
    *,
    top: Sequence[str] = (),
    recency_days: int | None = None,
    queries: Sequence[str] = (),
    embed_model: str | None = None,
    allow_outside: bool = False,
    columns: Mapping[str, str] | None = None,
) -> JobRequest:
    """A job's request: what the command line gives, completed by the industry's standing request.

    Args:
        top: ``20``, or ``ebay=50`` for one source.
        queries: ``en=ergonomic pillow``, or a phrase of no stated language.

    Raises:
        InputError: ``run.source``: a kind of source is named nowhere; ``request.*``.
    """
    from pvm_jobs.request import JobRequest, complete

    fields = {**given, **_tops(top), "recency_days": recency_days, "queries": phrases(queries)}
    reading = {"embed_model": embed_model, "allow_outside": allow_outside, "columns": columns}
    return complete(
        JobRequest.parse({**fields, **reading}),
        JobRequest.parse(industry.sources),
        refused=lambda kind: InputError(
            "run.source",
            f"--{kind}",
            f"it is not given, and the industry {industry.name} has no standing source of it",
            f"Name it, or keep it for all jobs: pvm industries add {quote(industry.name)} --{kind} SOURCE",
        ),
    )


def phrases(given: Sequence[str]) -> dict[str, list[str]]:
    """Phrases per language of ``en=ergonomic pillow`` and of phrases alone, which are of none stated."""
    found: dict[str, list[str]] = {}
    for one in given:
        language, separator, phrase = one.partition("=")
        code = language.strip().lower()
        stated = bool(separator) and code.isascii() and code.isalpha() and 2 <= len(code) <= 3
        found.setdefault(code if stated else "und", []).append(phrase if stated else one)
    return found


def _tops(given: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"tops": {}}
    for one in given:
        source, separator, count = one.rpartition("=")
        if not count.strip().isdecimal():
            raise InputError(
                "request.top", f"--top {one}", "it is no whole number", "Write --top 20, or --top ebay=50"
            )
        if separator:
            found["tops"][source.strip()] = int(count)
        else:
            found["top"] = int(count)
    return found


@dataclass(frozen=True)
class _Reading:
    """How the user wants files to be read."""

    allow_outside: bool
    columns: Mapping[str, str]


def _checked(kind: SourceKind, token: str, reading: _Reading) -> str:
    from pvm_resources.sources.registry import product_specs, video_specs

    if token in named(kind) or _is_url(token):
        return token
    try:
        source = (product_specs([token]) if kind == "products" else video_specs([token]))[0].name
    except OSError:
        # Too long for a name of any file: refused below as missing.
        source = ""
    place = _existing(Path(token), f"--{kind}")
    _check_content(source, place, reading)
    return str(place)


def _existing(path: Path, option: str) -> Path:
    place = path.expanduser().absolute()
    try:
        place.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be opened"
        raise InputError("source.missing", f"{option} {path}", reason, "Check the path") from error
    if option == "--products" and place.is_dir():
        raise InputError(
            "source.folder", f"{option} {path}", "it is a folder", "Name the catalogue file in it"
        )
    return place


def _check_content(source: str, place: Path, reading: _Reading) -> None:
    """Raises where the source itself cannot use that file or folder."""
    from pvm_resources.settings import load_settings
    from pvm_resources.sources.base import Query
    from pvm_resources.sources.confined import Confinement

    confinement = Confinement.of(load_settings(), anywhere=reading.allow_outside)

    if source == "file":
        from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

        FileCatalogue(place, "", confinement, reading.columns).collect(Query(""))
    elif source == "folder":
        from pvm_resources.sources.folder.videos import FolderVideos

        FolderVideos(place, confinement).collect(Query(""))
    elif source == "links":
        _check_list(place)


def _check_list(place: Path) -> None:
    from pvm_resources.sources.ytdlp.links import read_links

    try:
        data = place.read_bytes()
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise InputError("links.unreadable", str(place), reason, "Check its permissions") from error
    links, problems = read_links(data, str(place))
    if not links:
        first = problems[0]
        reason = f"no link in it can be used; the first: {first.item}: {first.message}"
        raise InputError(first.code, str(place), reason, "Correct the list")


def _is_url(token: str) -> bool:
    return token.lower().startswith(("http://", "https://"))


def _exists(path: str) -> bool:
    try:
        return bool(path.strip()) and Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        # Too long for a name, a zero byte, ~somebody: no path.
        return False
