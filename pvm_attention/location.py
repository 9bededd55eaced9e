"""The code location: six assets on the partitions of the graph, their checks, job and sensors."""

# Dagster reads the annotations of decorated functions: they are not postponed here.

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from typing import Any, Final

import dagster as dg
from dagster import PreviewWarning, get_dagster_logger
from pydantic import PrivateAttr

from pvm_attention.checks import CHECKS, Examine
from pvm_attention.comparison import compared
from pvm_attention.sparkline import curve_preview
from pvm_attention.steps import JobAnalysis, StepReport
from pvm_core.errors import InputError, PvmError, error_to_dict
from pvm_core.faces.detection import label_of
from pvm_jobs.job_ids import PARTITION_FORM, PARTITIONS_NAME
from pvm_resources.dagster_logs import quiet_console
from pvm_resources.dagster_resources import DatabaseResource, MediaResource, SettingsResource
from pvm_resources.gpu import GPU
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.locks import run_lock_name
from pvm_resources.private import keep_private
from pvm_resources.settings import load_settings
from pvm_resources.signals import restore_handlers
from pvm_resources.store.assembly import Store
from pvm_resources.store.attention import SeriesKind
from pvm_resources.store.records import Job
from pvm_resources.tracing import Span, Tracing

JOB_NAME: Final = "pvm_attention_run"
_GROUP: Final = "attention"
_GPU_POOL: Final = "attention_gpu"
_OWNERS: Final = ("team:attention",)
#: The same partitions as the graph's, known to Dagster by their name.
_PARTITIONS: Final = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
#: Runs of this location follow each other (dagster.yaml), so that they take one place of the runs' queue.
_TAGS: Final = {"pvm/attention": "1", "dagster/max_retries": "0"}
_HELP: Final = f"A partition is one job; its key is `{PARTITION_FORM}`. Matching never waits for it."
_PARTITION: Final = "dagster/partition"
#: A run with this tag analyses its job under another detector than its industry's rules name, beside theirs.
DETECTOR: Final = "pvm/attention_detector"
#: Jobs that one tick of the sensor requests.
_REQUESTED: Final = 5


class AttentionResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Stores of a run. The run's lock is held as long as they are open: a started run whose lock is free
    counts as dead (`pvm_assets.execution.stale_runs`)."""

    settings: dg.ResourceDependency[SettingsResource]
    database: dg.ResourceDependency[DatabaseResource]
    media: dg.ResourceDependency[MediaResource]

    _database: Database | None = PrivateAttr(default=None)
    _tracing: Tracing = PrivateAttr(default_factory=Tracing)
    _run_span: Span = PrivateAttr(default_factory=lambda: Span(None))

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["AttentionResource"]:
        """Opens the database, takes the lock and begins the span of the run."""
        self._database = self.database.database()
        lock = self._database.run_lock(run_lock_name(context.run.run_id if context.run else "none"))
        lock.acquire()
        try:
            with self._traced(context):
                yield self
        finally:
            lock.release()

    @contextmanager
    def _traced(self, context: dg.InitResourceContext) -> Iterator[None]:
        """A span around the run, in the trace of its job; a tick of a sensor has none."""
        run = context.run
        if run is None:
            yield
            return
        try:
            self._tracing = Tracing.of(self.settings.settings(), "pvm-attention")
        except InputError as error:
            # The analysis goes on: its environment may lack what the platform's has.
            (context.log or get_dagster_logger()).warning(f"not traced: {error}")
            self._tracing = Tracing()
        job = self.store().jobs.by_partition(run.tags.get(_PARTITION, "")) if self._tracing.on else None
        attributes = {"dagster.run_id": run.run_id, **({"pvm.job_id": job.job_id} if job else {})}
        parent = self.store().job_traces.of(job.job_id) if job else None
        with (
            closing(self._tracing),
            self._tracing.span(f"run {run.job_name}", parent=parent, attributes=attributes) as self._run_span,
        ):
            yield

    def step_span(self, name: str) -> AbstractContextManager[Span]:
        """A span around a step of the run."""
        attributes = {"dagster.step": name}
        return self._tracing.span(f"step {name}", parent=self._run_span.traceparent, attributes=attributes)

    def store(self) -> Store:
        """The tables."""
        assert self._database is not None
        return Store.over(self._database)

    def job_of(self, partition_key: str) -> Job:
        """The job of a partition.

        Raises:
            InputError: ``attention.job``: there is none yet.
        """
        job = self.store().jobs.by_partition(partition_key)
        if job is None:
            raise InputError("attention.job", partition_key, "no job has this partition", "Run the job first")
        return job

    def analysis(self, partition_key: str, log: Callable[[str], None], detector: str = "") -> JobAnalysis:
        """The analysis of a partition's job under its industry's present rules.

        Args:
            detector: another one than theirs; "": theirs.

        Raises:
            InputError: ``attention.job``; a stored rule is not valid.
        """
        store, settings, job = self.store(), self.settings.settings(), self.job_of(partition_key)
        industry = store.industries.get(job.industry)
        rules = settings.rules_of(industry.rule_set, industry.rules)
        main = detector in ("", rules.attention_detector)
        if not main:
            rules = replace(rules, attention_detector=detector)
        return JobAnalysis(job, rules, settings, store, self.media.store(), log, main)


def _detector(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> str:
    return context.run.tags.get(DETECTOR, "")


@contextmanager
def _told(resource: AttentionResource, context: dg.AssetExecutionContext) -> Iterator[JobAnalysis]:
    """The analysis of a run. Whatever goes wrong is stored as the reason why the job has no attention."""
    analysis: JobAnalysis | None = None
    try:
        with resource.step_span(context.op_def.name):
            analysis = resource.analysis(context.partition_key, context.log.info, _detector(context))
            yield analysis
    except Exception as error:
        job = resource.store().jobs.by_partition(context.partition_key)
        if job is not None:
            detector = analysis.detector if analysis else label_of(_detector(context))
            main = analysis.main if analysis else not detector
            resource.store().attention.fail(job.job_id, error_to_dict(error), detector, main=main)
        if isinstance(error, PvmError):
            raise dg.Failure(str(error), metadata={"code": error.code}, allow_retries=False) from error
        raise


def _finished(
    analysis: JobAnalysis, asset: str, report: StepReport, *, complete: bool = False
) -> dg.MaterializeResult[Any]:
    state = {"data_version": report.version, "rows": report.rows, "figures": report.figures}
    events = [analysis.completed(report)] if complete else []
    analysis.store.attention.finish_asset(
        analysis.job.job_id, asset, state, complete=complete, events=events,
        detector=analysis.detector, main=analysis.main,
    )  # fmt: skip
    metadata: dict[str, Any] = {**report.figures, "dagster/partition_row_count": report.rows}
    if asset in ("face_tracks", "attention"):
        metadata |= compared(analysis)
    if complete:
        found = analysis.store.attention.videos(analysis.job.job_id, analysis.attention_key)
        metadata["preview"] = dg.MetadataValue.md(curve_preview(list(found.values())))
    return dg.MaterializeResult(
        asset_key=asset, metadata=metadata, data_version=dg.DataVersion(report.version)
    )


def _spec(name: str, deps: tuple[str, ...], description: str, table: str, kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=deps,
        group_name=_GROUP,
        owners=list(_OWNERS),
        kinds={"python", "postgres", *kinds},
        description=f"{description}\n\n{_HELP}",
        code_version="1",
        metadata={"dagster/table_name": f"pvm.public.{table}"},
        partitions_def=_PARTITIONS,
    )


@dg.multi_asset(
    name="faces",
    # A pool of its own: no GPU step of matching waits for one of this location.
    pool=_GPU_POOL,
    op_tags=GPU["op_tags"],
    specs=[
        _spec(
            "face_tracks", (), "Faces of each video, followed while they are seen.", "face_tracks", {"opencv"}
        ),
        _spec(
            "face_landmarks",
            ("face_tracks",),
            "478 landmarks of each face with its irises, as numbers in the media store.",
            "face_sets",
            {"opencv", "numpy"},
        ),
    ],
)
def faces(
    context: dg.AssetExecutionContext, attention: AttentionResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """One pass over each video finds both: a face is followed by its landmarks."""
    with _told(attention, context) as analysis:
        analysis.store.attention.begin(
            analysis.job.job_id, analysis.attention_key, analysis.detector, analysis.faces_key,
            main=analysis.main,
        )  # fmt: skip
        report = analysis.find_faces()
        for name in ("face_tracks", "face_landmarks"):
            yield _finished(analysis, name, report)


def _measure(kind: SeriesKind, description: str) -> dg.AssetsDefinition:
    spec = _spec(kind, ("face_landmarks",), description, "face_series", {"numpy"})

    @dg.multi_asset(name=kind, specs=[spec])
    def measure(context: dg.AssetExecutionContext, attention: AttentionResource) -> dg.MaterializeResult[Any]:
        with _told(attention, context) as analysis:
            return _finished(analysis, kind, analysis.measure(kind))

    made: dg.AssetsDefinition = measure
    return made


head_pose = _measure("head_pose", "Yaw, pitch and roll of each face, in degrees, with the error of the fit.")
gaze = _measure("gaze", "Where each face looks, as one of six zones with a confidence.")
blinks = _measure("blinks", "Opening of the eyes, blinks and PERCLOS of each face.")


@dg.multi_asset(
    name="attention",
    specs=[
        _spec(
            "attention",
            ("head_pose", "gaze", "blinks"),
            "Attention of each face and video by second, in [0, 1]; a gap is unknown.",
            "attention_videos",
            set(),
        )
    ],
)
def attention_scores(
    context: dg.AssetExecutionContext, attention: AttentionResource
) -> dg.MaterializeResult[Any]:
    """The last asset; its end is the end of the analysis."""
    with _told(attention, context) as analysis:
        return _finished(analysis, "attention", analysis.score(), complete=True)


def _check(asset: str, name: str, examine: Examine) -> dg.AssetChecksDefinition:
    def run(context: dg.AssetCheckExecutionContext, attention: AttentionResource) -> dg.AssetCheckResult:
        found = examine(attention.analysis(context.partition_key, context.log.info, _detector(context)))
        return dg.AssetCheckResult(
            passed=found.passed,
            severity=dg.AssetCheckSeverity[found.severity],
            description=found.summary,
            metadata={"summary": found.summary, **found.figures},
        )

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=PreviewWarning, message=".*partitions_def.*")
        return dg.asset_check(
            asset=asset, name=name, description=examine.__doc__ or "", partitions_def=_PARTITIONS
        )(run)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    monitored_jobs=None,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="A run of this location failed: its job says so, where the worker could not.",
)
def failed_attention(context: dg.RunStatusSensorContext, attention: AttentionResource) -> None:
    """One failed run."""
    store = attention.store()
    job = store.jobs.by_partition(context.dagster_run.tags.get(_PARTITION, ""))
    if job is not None:
        detector = label_of(context.dagster_run.tags.get(DETECTOR, ""))
        store.attention.fail_unfinished(job.job_id, "run.failed", "its run ended", detector)


@dg.sensor(
    job_name=JOB_NAME,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Requests the analysis of jobs that are complete and have none yet.",
)
def completed_jobs(
    context: dg.SensorEvaluationContext, attention: AttentionResource
) -> dg.SensorResult | dg.SkipReason:
    """One tick."""
    waiting = attention.store().attention.waiting(_REQUESTED)
    if not waiting:
        return dg.SkipReason("every completed job has its analysis")
    config = quiet_console(load_settings().log_format)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"attention:{key}:{ended.isoformat()}", partition_key=key, run_config=config
            )
            for key, ended in waiting
        ]
    )


def definitions() -> dg.Definitions:
    """The whole location."""
    attention = AttentionResource(
        settings=SettingsResource(), database=DatabaseResource(), media=MediaResource()
    )
    return dg.Definitions(
        assets=[faces, head_pose, gaze, blinks, attention_scores],
        asset_checks=[_check(*check) for check in CHECKS],
        jobs=[
            dg.define_asset_job(
                JOB_NAME,
                selection=dg.AssetSelection.groups(_GROUP),
                tags=_TAGS,
                description=f"Who looks where in the videos of a job. {_HELP}",
            )
        ],
        sensors=[completed_jobs, failed_attention],
        resources={"attention": attention},
        executor=dg.in_process_executor,
    )


restore_handlers()
keep_private()
defs = definitions()
