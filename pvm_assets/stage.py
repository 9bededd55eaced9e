"""What every asset does around its own work: find its job, check its upstream, count, commit, report."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

import heapq
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

import dagster as dg

from pvm_assets.descriptions import of_asset
from pvm_assets.event_log_redactor import EventLogRedactor
from pvm_assets.graph import NODES, OWNERS
from pvm_assets.partitions import JOB_PARTITIONS
from pvm_assets.preview import contact_preview, links_preview, page_preview
from pvm_assets.report import Column, Report
from pvm_assets.services import JobServices, JobServicesResource
from pvm_assets.upstream_check import require_upstream
from pvm_core.errors import Problem, PvmError
from pvm_core.rules import Rules
from pvm_jobs.events import Event
from pvm_jobs.source_policy import Policies
from pvm_resources.process_pool import Done
from pvm_resources.store.records import AssetState, Job, Progress
from pvm_resources.store.retention import Restricted
from pvm_resources.store.source_runs import DeadLetter

T = TypeVar("T")
R = TypeVar("R")

#: Items in one commit; a run killed loses at most this many.
BATCH: Final = 64
#: Seconds after which a batch is written though it is not full, so that progress is seen and kept.
_FLUSH_S: Final = 2.0


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a stage's items, numbered from 0."""

    number: int
    count: int

    def share(self, sizes: Mapping[uuid.UUID, int]) -> list[uuid.UUID]:
        """What of items of different sizes falls to this shard: the largest first, each to the shard that has
        least so far. All shards must be given the same."""
        shares: list[list[uuid.UUID]] = [[] for _ in range(self.count)]
        weights = [(0, number) for number in range(self.count)]
        for size, item in sorted(((size, item) for item, size in sizes.items()), reverse=True):
            weight, number = heapq.heappop(weights)
            shares[number].append(item)
            heapq.heappush(weights, (weight + size, number))
        return shares[self.number]


@dataclass
class Stage:
    """One asset at work on one job.

    Attributes:
        shard: the part that is worked on; None: all items.
        after_shards: the asset's own step, after those of its shards.
        spread: `after_shards`, and shards have worked in this run; known once the stage has begun.
        set_aside: names of items that failed in this run, here or in a shard, and are not tried again.
    """

    name: str
    job: Job
    rules: Rules
    services: JobServices
    log: Any
    total: int = 0
    done: int = 0
    reused: int = 0
    problems: int = 0
    started: float = field(default_factory=time.monotonic)
    shard: Shard | None = None
    after_shards: bool = False
    spread: bool = False
    set_aside: set[str] = field(default_factory=set)

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.job.job_id

    def mine(self, item_id: uuid.UUID, name: str) -> bool:
        """Whether an item that is to do is this step's. Ids are digests: their numbers spread evenly."""
        ours = self.shard is None or item_id.int % self.shard.count == self.shard.number
        return ours and self.is_open(name)

    def is_open(self, name: str) -> bool:
        """Whether the item of that name was not set aside."""
        return name not in self.set_aside

    def begin(self, total: int, reused: int = 0) -> None:
        """States how many items there are and how many of them were found done."""
        self.total, self.done, self.reused = total, reused, reused
        if self.after_shards:
            self._take_up(total - reused)
        self.started = time.monotonic()
        self._write_progress()
        self.log.info(f"{self.name}: {total} items, {reused} reused, {total - reused} to do")

    def _take_up(self, left: int) -> None:
        """Goes on from what the shards have counted, of which `left` items are to do yet."""
        before = self.services.store.state.stage_progress(self.job_id, self.name)
        self.reused, self.spread = before.reused, before.done > before.reused
        self.total = max(self.total, before.total or 0)
        self.done = self.total - left

    def more(self, count: int) -> None:
        """Counts further items as to be done."""
        self.total += count
        if self.shard is not None and count:
            self.services.store.state.add_total(self.job_id, self.name, count)

    def advance(self, count: int) -> None:
        """Counts items as done and says how fast it goes."""
        self.done += count
        if self.shard is not None:
            self.services.store.state.add_progress(self.job_id, self.name, count)
            return
        self._write_progress()
        seconds = max(time.monotonic() - self.started, 1e-6)
        rate = (self.done - self.reused) / seconds
        self.log.info(f"{self.name}: {self.done}/{self.total}, {rate:.1f} items/s")

    def note(self, problems: Sequence[Problem]) -> None:
        """Stores failures that concern single items; the job goes on."""
        if not problems:
            return
        self.problems += len(problems)
        self.services.store.state.write_problems(self.job_id, problems)
        for problem in problems[:20]:
            self.log.warning(f"{self.redactor.label(problem.item)}: {problem.message} [{problem.code}]")

    def give_up(self, item: str, error: PvmError, *, dead_letter: bool = False) -> None:
        """Stores the failure of one item; as a dead letter `pvm retry` requests it again."""
        self.note([Problem.of(self.name, error, item)])
        if dead_letter:
            attempts = max(1, int(getattr(error, "attempts", 1)))
            text = f"{error.reason}. {error.remedy}"
            letter = DeadLetter(self.name, item, error.code, text, attempts)
            self.services.store.source_runs.add_dead_letters(self.job_id, [letter])

    def event(self, name: str, item: str = "", **payload: Any) -> Event:
        """An event of this job."""
        return Event(self.job_id, name, item, payload)

    def settle(
        self,
        answers: Iterable[Done[T, R]],
        write: Callable[[list[R]], None],
        batch: int = BATCH,
    ) -> None:
        """Writes answers in batches as they come; an item's failure becomes a problem.

        Raises:
            PvmError: a failure that is not the item's own (the store is full, or gone).
        """
        for some in timed_batches(answers, batch, _FLUSH_S):
            good: list[Any] = [d.value for d in some if d.error is None]
            if good:
                write(good)
            self.note_failures(some)
            self.advance(len(some))

    def note_failures(self, answers: Sequence[Done[T, R]]) -> None:
        """Stores the failures among `answers` as problems of their items, named by their text.

        Raises:
            PvmError: a failure that is not the item's own.
        """
        found: list[Problem] = []
        for answer in answers:
            error = answer.error
            if error is None:
                continue
            if error.traits.scope != "item":
                raise error
            found.append(Problem.of(self.name, error, str(answer.item)))
            self.set_aside.add(str(answer.item))
        self.note(found)

    def preview(self, keys: Sequence[str], alt: str, masks: Sequence[str | None] = ()) -> dict[str, Any]:
        """A contact sheet of stored pictures as metadata; {} where there are none. Links stand for restricted
        pictures, which the event log must not keep."""
        hidden = self.redactor.restricted(keys)
        over = dict(zip(keys, masks, strict=True)) if masks else {}
        shown = [key for key in keys if key not in hidden]
        dimmed = [over[key] for key in shown] if masks else ()
        sheet = contact_preview(self.services.media, shown, alt, dimmed) if shown else ""
        return self._preview(sheet, hidden)

    def pages(self, keys: Sequence[str], alt: str) -> dict[str, Any]:
        """The first of the stored evidence pages as metadata; {} where there are none. Links stand for
        restricted ones."""
        hidden = self.redactor.restricted(keys)
        shown = [key for key in keys if key not in hidden]
        return self._preview(page_preview(self.services.media, shown, alt) if shown else "", hidden)

    @cached_property
    def redactor(self) -> EventLogRedactor:
        """What may enter the event log."""
        return EventLogRedactor(self.services, self.job_id)

    @property
    def policies(self) -> Policies:
        """What each source's terms allow on this machine."""
        return self.redactor.policies

    def _preview(self, sheet: str, hidden: Mapping[str, Restricted]) -> dict[str, Any]:
        links = links_preview(list(hidden.values()), self.policies) if hidden else ""
        text = "\n\n".join(part for part in (sheet, links) if part)
        return {"preview": dg.MetadataValue.md(text)} if text else {}

    def _write_progress(self) -> None:
        now = Progress(self.name, self.done, self.total, self.reused)
        self.services.store.state.set_progress(self.job_id, now)

    @property
    def counts(self) -> dict[str, Any]:
        """Figures every asset reports."""
        seconds = time.monotonic() - self.started
        fresh = self.done - self.reused
        found: dict[str, Any] = {
            "items": self.total,
            "reused": self.reused,
            "computed": fresh,
            "problems": self.problems,
            "seconds": round(seconds, 2),
        }
        # The time of shards is not this step's.
        if fresh > 0 and seconds > 0 and not self.after_shards:
            found["items_per_second"] = round(fresh / seconds, 2)
        return found


def timed_batches(items: Iterable[T], size: int, seconds: float) -> Iterator[list[T]]:
    """Lists of at most `size` items; a list is given out early once it is `seconds` old."""
    batch: list[T] = []
    since = time.monotonic()
    for item in items:
        if not batch:
            since = time.monotonic()
        batch.append(item)
        if len(batch) >= size or time.monotonic() - since >= seconds:
            yield batch
            batch = []
    if batch:
        yield batch


def job_asset(
    *,
    table: str,
    columns: Sequence[Column],
    kinds: set[str],
    code_version: str,
    placement: Mapping[str, Any] | None = None,
    retries: dg.RetryPolicy | None = None,
) -> Callable[[Callable[[Stage], Report]], dg.AssetsDefinition]:
    """Makes a partitioned asset of a function of a `Stage`; name and description are the function's own.

    Args:
        table: the table its rows live in.
        columns: the table's columns, for the UI.
        kinds: shown as icons in the UI.
        code_version: raised when the same inputs would give other rows.
        placement: `GPU` for steps that want the GPU.
        retries: for faults that pass; a cancelled run is none.
    """

    def decorate(work: Callable[[Stage], Report]) -> dg.AssetsDefinition:
        name = work.__name__
        node = NODES[name]
        retried = {"pvm/transport_retries": retries.max_retries} if retries else {}
        schema = dg.TableSchema([dg.TableColumn(c.name, c.type, c.description or None) for c in columns])

        @dg.asset(  # type: ignore[untyped-decorator]
            name=name,
            deps=list(node.upstream),
            partitions_def=JOB_PARTITIONS,
            group_name=node.group,
            owners=list(OWNERS),
            kinds=kinds,
            description=of_asset(work),
            code_version=code_version,
            metadata={
                "dagster/column_schema": schema,
                "dagster/table_name": f"pvm.public.{table}",
                **retried,
            },
            **(placement or {}),
        )
        def run(
            context: dg.AssetExecutionContext, job_services: JobServicesResource
        ) -> dg.MaterializeResult[Any]:
            with clear_failure(retries, context.retry_number):
                return _materialise(name, work, context, job_services.services)

        made: dg.AssetsDefinition = run
        return made

    return decorate


def _materialise(
    name: str, work: Callable[[Stage], Report], context: dg.AssetExecutionContext, services: JobServices
) -> dg.MaterializeResult[Any]:
    stage = stage_of(name, context.partition_key, services, context.log)
    job, state = stage.job, services.store.state
    require_upstream(state, job.job_id, name)
    if context.op_execution_context.op_handle.parent is None:
        state.start_stage(job.job_id, name)
    else:
        failed = state.problems(job.job_id, name)
        stage.after_shards, stage.problems = True, len(failed)
        stage.set_aside = {one.item for one in failed}
    report = work(stage)
    kept = {**stage.counts, **report.state}
    state.finish_asset(job.job_id, AssetState(name, report.version, report.rows, kept), events=report.events)
    metadata = {**stage.counts, **report.metadata, "dagster/partition_row_count": report.rows}
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(report.version))


def stage_of(name: str, partition_key: str, services: JobServices, log: Any) -> Stage:
    """The stage of an asset in a partition.

    Raises:
        InputError: ``partition.*``, or a stored rule is not valid.
    """
    job = services.job_of(partition_key)
    return Stage(name, job, services.rules_of(job), services, log)


class clear_failure:  # noqa: N801 - reads as a statement
    """Turns a `PvmError` into a Dagster failure that names reason and remedy."""

    def __init__(self, policy: dg.RetryPolicy | None = None, attempt: int = 0) -> None:
        self._policy = policy
        self._attempt = attempt

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PvmError):
            # A store that is gone or full stays so for longer than a retry waits; `pvm retry` resumes.
            passing = error.retryable and error.traits.scope != "machine"
            if passing and self._policy is not None and self._attempt < self._policy.max_retries:
                seconds = self._policy.calculate_delay(self._attempt + 1)
                raise dg.RetryRequested(self._policy.max_retries, seconds) from error
            raise dg.Failure(
                description=str(error), metadata=error.to_dict(), allow_retries=passing
            ) from error


__all__ = [
    "BATCH", "Column", "Report", "Shard", "Stage", "clear_failure", "job_asset", "stage_of", "timed_batches",
]  # fmt: skip
