"""What a source is given to work with; everything in it is safe to use from several threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.settings import Settings
from pvm_resources.sources.base import Answers
from pvm_resources.sources.confined import Confinement
from pvm_resources.store.oauth_tokens import OAuthTokens
from pvm_resources.store.quotas import Quotas
from pvm_resources.store.stored_material import StoredMaterial

if TYPE_CHECKING:
    from pvm_resources.http.fetcher import Fetcher


@dataclass(frozen=True)
class SourceContext:
    """What a source is given.

    Attributes:
        settings: credentials, addresses and limits of this machine.
        namespace: what the ids of a file are unique within: the industry's slug.
        answers: what this source was answered in this job so far.
        oauth_tokens, quotas: access tokens and daily budgets, shared by all processes.
        web: the hardened fetcher, for feeds and pictures by URL.
        policy: what the source's terms allow, with what this machine sets.
        folder: where downloads go.
        report: logs a line: counts and rates.
        confinement: which files of this machine a source may lead to.
        columns: columns of catalogues that the user named, by field.
        stored: what is here already; None where it is not asked for.
    """

    settings: Settings
    namespace: str
    answers: Answers
    oauth_tokens: OAuthTokens
    quotas: Quotas
    web: Fetcher
    policy: SourcePolicy
    folder: Path
    report: Callable[[str], None]
    confinement: Confinement = field(default_factory=Confinement)
    columns: Mapping[str, str] = field(default_factory=dict)
    stored: StoredMaterial | None = None
