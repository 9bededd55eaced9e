"""Requests from outside: the sources they may name, and those this machine falls back to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pvm_core.errors import InputError
from pvm_core.file_type import VIDEO_SUFFIXES
from pvm_core.shown_url import HIDDEN, shown_url
from pvm_jobs.request import SOURCE_MAX, JobRequest, complete
from pvm_jobs.text import clean
from pvm_resources.settings import Settings
from pvm_resources.sources.confined import source_roots
from pvm_resources.sources.readiness import unconfigured
from pvm_resources.sources.registry import PRODUCT_SOURCES, STORED, VIDEO_SOURCES, is_url
from pvm_resources.store.records import Industry

_UPLOADS: Final = {
    PRODUCT_SOURCES: re.compile(r"upload:([0-9a-f]{64}\.(?:csv|tsv|txt|jsonl|json|xml|xlsx|xlsm|xls|ods))"),
    VIDEO_SOURCES: re.compile(
        rf"upload:([0-9a-f]{{64}}\.(?:{'|'.join(sorted(ending[1:] for ending in VIDEO_SUFFIXES))}))"
    ),
}


@dataclass(frozen=True)
class Places:
    """Which files of this machine a request from outside may name as a source.

    Attributes:
        uploads: folder of what callers uploaded; named as ``upload:<sha256>.csv``.
        roots: folders whose files any caller may name; none by default.
    """

    uploads: Path
    roots: tuple[Path, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """The places this machine's settings allow."""
        return cls(settings.home / "uploads", source_roots(settings))

    def admit(self, request: JobRequest, *, used: bool = True) -> JobRequest:
        """The request with every location checked, uploads as the files they are.

        Args:
            used: a job uses the uploads that it names: they are kept longer.

        Raises:
            InputError: ``source.forbidden``, ``source.url``, ``upload.unknown``.
        """
        if request.allow_outside:
            reason = "only the command line of this machine can allow files outside a source's folder"
            raise InputError("source.forbidden", "allow_outside", reason, "Leave it out")
        return request.model_copy(
            update={
                "products": tuple(self._admit(token, PRODUCT_SOURCES, used) for token in request.products),
                "videos": tuple(self._admit(token, VIDEO_SOURCES, used) for token in request.videos),
            }
        )

    def shown(self, token: str) -> str:
        """A source as callers may see it: an upload or a file by its name, never by its folder; an address
        without what may be a key in it."""
        if not token.startswith("/"):
            return shown_url(token)
        path = Path(token)
        return f"upload:{path.name}" if path.parent == self.uploads else path.name

    def _admit(self, token: str, names: tuple[str, ...], used: bool) -> str:
        if token in names or token == STORED:
            return token
        try:
            if is_url(token):
                return _url(token)
        except ValueError as error:
            raise InputError("source.url", token[:200], str(error), "Write http(s)://host/path") from error
        upload = _UPLOADS[names].fullmatch(token)
        if upload:
            path = self.uploads / upload.group(1)
            try:
                # Its age is that of its last use: what is not used expires.
                os.utime(path) if used else path.stat()
            except OSError as error:
                reason = "nothing is kept under it: it was never uploaded, or unused for too long"
                raise InputError("upload.unknown", token, reason, "Upload it first") from error
            return str(path)
        if clean(token) == token:
            place = Path(os.path.realpath(Path(token).expanduser()))
            if any(place.is_relative_to(os.path.realpath(root)) for root in self.roots):
                return str(place)
        raise InputError(
            "source.forbidden",
            token[:200],
            f"it is no source's name ({', '.join(names)}), no http(s) URL and no upload",
            "Upload the file, or let the operator allow its folder with PVM_API_SOURCE_ROOTS",
        )


def check_configured(asked: JobRequest, settings: Settings) -> None:
    """Refuses a request that names a source for which this machine lacks a setting.

    Standing sources are not judged: a schedule goes on with those that work.

    Raises:
        InputError: ``request.not_configured``, naming the source and the setting.
    """
    for name in (*asked.products, *asked.videos):
        if (fault := unconfigured(name, settings)) is not None:
            raise fault


def complete_request(asked: JobRequest, industry: Industry, settings: Settings) -> JobRequest:
    """A request from outside with its gaps filled, at last by the sources this machine is set up for.

    Raises:
        InputError: ``request.no_products``: nothing is left to take products from.
    """
    reason = "no source of products is named, standing for the industry, or set up on this machine"
    remedy = "Name products, upload a catalogue, or set up eBay or Amazon (docs/sources.md)"
    return complete(
        asked,
        JobRequest.parse(industry.sources),
        JobRequest(products=_shops(settings), videos=VIDEO_SOURCES),
        refused=lambda kind: InputError(f"request.no_{kind}", industry.name, reason, remedy),
    )


def _shops(settings: Settings) -> tuple[str, ...]:
    ebay = settings.ebay_client_id and settings.ebay_client_secret
    amazon = settings.amazon_credential_id and settings.amazon_credential_secret
    return tuple(name for name, ready in (("ebay", ebay), ("amazon", amazon)) if ready)


def _url(token: str) -> str:
    parts = urlsplit(token)
    if token.endswith(HIDDEN):
        reason = "it is an address as answers show it, without its query"
        raise InputError("source.url", token[:200], reason, "Give the whole address")
    usable = len(token) <= SOURCE_MAX and parts.hostname and parts.username is None and clean(token) == token
    if not usable:
        raise InputError(
            "source.url", token[:200], "it is no address that can be fetched", "Write http(s)://host/path"
        )
    return token
