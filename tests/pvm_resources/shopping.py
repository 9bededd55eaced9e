"""What the tests of shops share: a context over a real database, retries that do not wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pvm_jobs.source_policy import SHIPPED
from pvm_resources.http.fetcher import Fetcher
from pvm_resources.http.retry import RetryPolicy
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings, load_settings
from pvm_resources.sources.base import Collected, ProductRecord
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.rate_limit import SHOP_RETRIES, RequestLimits
from pvm_resources.store.assembly import Store
from pvm_resources.store.oauth_tokens import OAuthTokens
from pvm_resources.store.quotas import Quotas
from pvm_resources.store.source_runs import SourceRuns
from tests import fixtures_db

NO_FILE = Path("/nonexistent/.env")


@dataclass
class Shopping:
    """One source of one job on one database."""

    database: Database
    source: str
    job_id: str
    lines: list[str] = field(default_factory=list)

    def context(self, settings: Settings) -> SourceContext:
        """A context whose answers are those of the job."""
        policy = SHIPPED[self.source]
        return SourceContext(
            settings=settings,
            namespace="pillow",
            answers=SourceRuns(self.database).answers(self.job_id, self.source, policy.max_age_h),
            oauth_tokens=OAuthTokens(self.database),
            quotas=Quotas(self.database),
            web=Fetcher(),
            policy=policy,
            folder=Path("/nonexistent"),
            report=self.lines.append,
        )

    def forget_answers(self) -> None:
        """As for a job that asks for the first time."""
        with self.database.transaction() as cursor:
            cursor.execute("DELETE FROM source_answers")

    def stored(self) -> str:
        """All answers kept, as text."""
        return "\n".join(str(row[0]) for row in self.database.tuples("SELECT answer FROM source_answers"))


def one_database(server: EmbeddedServer, migrated: str) -> Iterator[Store]:
    """All repositories over one database for a whole module: a fresh one for each of its tests takes longer
    than the test."""
    for url in fixtures_db._fresh(server, f"TEMPLATE {migrated} STRATEGY file_copy"):
        with Database(url) as database:
            yield Store.over(database)


def shopping(repos: Store, source: str) -> Shopping:
    """A job that wants to ask `source`, with no token and no call spent yet."""
    with repos.database.transaction() as cursor:
        cursor.execute("TRUNCATE source_tokens, source_budgets, source_answers")
    industry = repos.industries.ensure("pillow")
    job = repos.jobs.create(industry.slug, {"products": [source], "videos": []})
    return Shopping(repos.database, source, job.job_id)


def settings_of(**given: Any) -> Settings:
    """Settings of the fields given and nothing of this machine's `.env`."""
    return load_settings(NO_FILE, **given)


#: For clients that meet a slow server.
_QUICK = RequestLimits(connect_s=5, read_s=0.7, total_s=1.0)
#: Faults that a client meets by losing patience.
SLOW = ("slow", "drip")


@dataclass
class Waits:
    """A retry policy that notes its waits and takes no time.

    Attributes:
        seconds: what was waited.
        impatient: answers are waited for less than a second; a busy machine can make sound ones late.
    """

    seconds: list[float] = field(default_factory=list)
    impatient: bool = False

    @property
    def retries(self) -> RetryPolicy:
        """The shops' own, with the most jitter."""
        return replace(SHOP_RETRIES, sleep=self.seconds.append, jitter=lambda: 1.0)

    @property
    def limits(self) -> RequestLimits | None:
        """Short ones for the impatient."""
        return _QUICK if self.impatient else None


def codes(found: Collected[ProductRecord]) -> list[str]:
    """The codes of all problems."""
    return [problem.code for problem in found.problems]
