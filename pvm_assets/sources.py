"""Collects from a job's sources: a few at once, each independent of the others' failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic

from pvm_assets.stage import Stage
from pvm_core.errors import InputError, Problem
from pvm_jobs.request import JobRequest
from pvm_jobs.source_kinds import SourceKind
from pvm_resources.sources.base import Collected, Query, Record, Source, SourceStatus, VideoSource
from pvm_resources.sources.confined import Confinement
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.search_terms import query_for
from pvm_resources.store.source_runs import SourceState

if TYPE_CHECKING:
    from pvm_resources.http import Fetcher
    from pvm_resources.sources.registry import SourceSpec

#: Sources that collect at once; each keeps its own server's limits.
_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Gathered(Generic[Record]):
    """One source and its answer.

    Attributes:
        source: None where it could not even be made (its input is unusable as a whole).
        error: why, then.
    """

    spec: SourceSpec[Record]
    source: Source[Record] | None
    answer: Collected[Record]
    error: InputError | None = None


def request_of(stage: Stage) -> JobRequest:
    """The job's request.

    Raises:
        InputError: ``request.*``: a request stored by hand that does not parse.
    """
    return JobRequest.parse(stage.job.request)


def web_fetcher(stage: Stage) -> Fetcher:
    """The hardened fetcher, with the exceptions that this machine's settings make."""
    # The HTTP client costs a tenth of the definitions' start-up: loaded where it is used.
    from pvm_resources.http import Fetcher

    return Fetcher.of(stage.services.settings)


def gather(
    stage: Stage, kind: SourceKind, specs: Sequence[SourceSpec[Record]], web: Fetcher
) -> list[Gathered[Record]]:
    """Collects from all sources of the job, a few at once; the answers in the order of the request.

    States are stored as they come, problems noted, reports of the sources logged.

    Raises:
        InputError: ``source.missing`` where the request names none; where nothing at all was found, the one
            source's own error, or ``products.none`` / ``videos.none`` naming each source's reason.
    """
    if not specs:
        raise _no_source(stage, kind)
    request, collector = request_of(stage), _Collector(stage, web)
    found: dict[int, Gathered[Record]] = {}
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="source") as pool:
        futures = {pool.submit(collector.collect, spec, request): n for n, spec in enumerate(specs)}
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                _store_states(stage, kind, [found[n] for n in sorted(found)])
        except BaseException:
            # A cancelled run does not wait for the answers.
            pool.shutdown(wait=False, cancel_futures=True)
            collector.cancel()
            raise
    gathered = [found[n] for n in sorted(found)]
    for one in gathered:
        stage.note(one.answer.problems)
    if not any(one.answer.records for one in gathered):
        raise _nothing(stage, kind, gathered)
    return gathered


class _Collector:
    """Makes sources and collects from them, in threads."""

    def __init__(self, stage: Stage, web: Fetcher) -> None:
        self._stage = stage
        self._web = web
        self._lock = threading.Lock()
        # Made here: threads must not race to make it.
        self._policies = stage.policies
        self._made: list[object] = []

    def cancel(self) -> None:
        """Ends what the sources are doing in their threads, as far as they can."""
        for source in self._made:
            if isinstance(source, VideoSource):
                source.cancel()

    def collect(self, spec: SourceSpec[Record], request: JobRequest) -> Gathered[Record]:
        self._log(spec.label, "queried")
        try:
            source = spec.make(self._context(spec, request))
            self._made.append(source)
            answer = source.collect(self._query(spec, request))
        except InputError as error:
            status = SourceStatus(spec.label, "failed", error.reason, error.remedy)
            return Gathered(spec, None, Collected(status, ()), error)
        status = replace(answer.status, source=spec.label)
        self._log(spec.label, f"{status.state}, {len(answer.records)} found {status.reason}".strip())
        return Gathered(spec, source, replace(answer, status=status))

    def _context(self, spec: SourceSpec[Record], request: JobRequest) -> SourceContext:
        services, job = self._stage.services, self._stage.job
        policy = self._policies[spec.name]
        return SourceContext(
            settings=services.settings,
            namespace=job.industry,
            answers=services.store.source_runs.answers(job.job_id, spec.label, policy.max_age_h),
            oauth_tokens=services.store.oauth_tokens,
            quotas=services.store.quotas,
            web=self._web,
            policy=policy,
            folder=services.settings.home / "downloads",
            report=lambda line: self._log(spec.label, line),
            confinement=Confinement.of(services.settings, anywhere=request.allow_outside),
            columns=request.columns,
            stored=services.store.stored_material,
        )

    def _query(self, spec: SourceSpec[Record], request: JobRequest) -> Query:
        industry = self._stage.services.store.industries.get(self._stage.job.industry)
        return query_for(industry, request, self._stage.services.settings, spec.token)

    def _log(self, label: str, line: str) -> None:
        with self._lock:
            self._stage.log.info(f"{label}: {line}")


def source_facts(gathered: Sequence[Gathered[Record]]) -> dict[str, object]:
    """The outcome of each source, as metadata."""
    return {
        f"source {one.spec.label}": f"{one.answer.status.state}: {len(one.answer.records)} found"
        + (f"; {one.answer.status.reason}" if one.answer.status.reason else "")
        for one in gathered
    }


def records(gathered: Sequence[Gathered[Record]]) -> Iterator[tuple[Gathered[Record], Record]]:
    """All records with their source, source by source."""
    for one in gathered:
        for record in one.answer.records:
            yield one, record


def _store_states(stage: Stage, kind: SourceKind, gathered: Sequence[Gathered[Record]]) -> None:
    states = [
        SourceState(kind, g.spec.label, s.state, s.reason, s.remedy, len(g.answer.records))
        for g in gathered
        for s in [g.answer.status]
    ]
    stage.services.store.source_runs.set_states(stage.job_id, kind, states)


def _no_source(stage: Stage, kind: SourceKind) -> InputError:
    return InputError(
        "source.missing",
        f"job {stage.job_id}",
        f"its request names no {kind}",
        f"Run it with --{kind}, or set standing sources: pvm industries sources {stage.job.industry}",
    )


def _nothing(stage: Stage, kind: SourceKind, gathered: Sequence[Gathered[Record]]) -> InputError:
    if len(gathered) == 1 and gathered[0].error is not None:
        return gathered[0].error
    reasons = [_why(kind, one) for one in gathered]
    remedies = dict.fromkeys(one.answer.status.remedy for one in gathered if one.answer.status.remedy)
    return InputError(
        f"{kind}.none",
        ", ".join(one.spec.label for one in gathered),
        f"no usable {kind}: {'; '.join(reasons)}",
        ". ".join(remedies) or f"Name a source that has {kind}",
        # A limit or a fault of the network passes; a missing credential does not.
        retryable=any(
            one.answer.status.state == "rate_limited"
            or (one.answer.status.state == "failed" and one.error is None)
            for one in gathered
        ),
    )


def _why(kind: SourceKind, one: Gathered[Record]) -> str:
    status = one.answer.status
    reason = status.reason or _first(one.answer.problems) or f"it holds no {kind}"
    state = "" if status.state in ("ok", "partial") else f"{status.state.replace('_', ' ')}: "
    return f"{one.spec.label}: {state}{reason}"


def _first(problems: Sequence[Problem]) -> str:
    return problems[0].message if problems else ""
