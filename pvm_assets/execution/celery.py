"""Celery steps that survive their worker: tasks are acknowledged as they end, a step runs once at a time.

The stock task is acknowledged as it starts: where its worker is killed, the run waits for ever. Workers are
started with this module as their app::

    celery -A pvm_assets.execution.celery:app worker -Q dagster -c 1 --prefetch-multiplier 1
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import dagster as dg
from celery import Celery
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.execution.api import create_execution_plan, execute_plan_iterator
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import serialize_value, unpack_value
from dagster_celery.config import TASK_EXECUTE_PLAN_NAME
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor, _submit_task, celery_executor
from dagster_celery.make_app import make_app

from pvm_assets.execution.lost_steps import check_starts, ended, step_events
from pvm_core.errors import InputError, StoreError
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.locks import step_lock_name
from pvm_resources.settings import Settings, load_settings

#: How long a queue may be without a worker before the run ends, seconds: workers restart in less.
_UNSERVED_S: Final = 60.0
#: A worker answers at once, also while its child processes work.
_ANSWER_S: Final = 1.0
_POLL_S: Final = 0.5


def broker_of(settings: Settings) -> str:
    """The broker's URL.

    Raises:
        InputError: ``executor.celery``.
    """
    if settings.celery_broker is None:
        raise InputError(
            "executor.celery",
            "PVM_CELERY_BROKER",
            "no broker is named",
            "Set it to the broker's address, e.g. amqp://user:password@host:5672//",
        )
    return settings.celery_broker.get_secret_value()


class ServedCeleryExecutor(CeleryExecutor):
    """`CeleryExecutor` that ends a run whose queue no worker serves, in place of waiting for ever."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._served: set[str] = set()

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Events of the steps."""
        yield from core_celery_execution_loop(plan_context, execution_plan, step_execution_fn=self._submit)

    def _submit(
        self, app: Celery, context: PlanOrchestrationContext, step: Any, queue: str, priority: int, state: Any
    ) -> Any:
        if queue not in self._served:
            wait_for_worker(app, queue)
            self._served.add(queue)
        return _submit_task(app, context, step, queue, priority, state)


def wait_for_worker(app: Celery, queue: str, patience_s: float = _UNSERVED_S) -> None:
    """Waits until a worker serves the queue.

    Raises:
        StoreError: ``executor.unserved``, retryable.
    """
    deadline = time.monotonic() + patience_s
    while True:
        serving: Mapping[str, list[dict[str, Any]]] = (
            app.control.inspect(timeout=_ANSWER_S).active_queues() or {}
        )
        if any(one["name"] == queue for queues in serving.values() for one in queues):
            return
        if time.monotonic() > deadline:
            raise StoreError(
                "executor.unserved",
                f"the queue {queue}",
                f"no Celery worker has served it for {patience_s:.0f} s",
                f"Start one: celery -A pvm_assets.execution.celery:app worker -Q {queue}",
            )
        time.sleep(_POLL_S)


def _create(init_context: InitExecutorContext) -> Executor:
    config: Mapping[str, Any] = init_context.executor_config
    settings = load_settings()
    backend = config.get("backend")
    return cast(
        Executor,
        ServedCeleryExecutor(
            broker=config.get("broker") or broker_of(settings),
            # Dagster fills in its own default, which is ours too.
            backend=backend if backend != "rpc://" else settings.celery_backend.get_secret_value(),
            include=config.get("include"),
            config_source=config.get("config_source"),
            retries=RetryMode.from_config(config["retries"]),
        ),
    )


served_celery_executor: Final = dg.ExecutorDefinition(
    name="celery",
    config_schema=cast(Any, celery_executor.config_schema),
    requirements=celery_executor.get_requirements,
    executor_creation_fn=_create,
    description="Each step a task of a Celery worker, in the queue of its tag dagster-celery/queue.",
)


def execute_step(arguments: ExecuteStepArgs, job: ReconstructableJob, worker: str) -> list[dg.DagsterEvent]:
    """Executes one step, or tells how it ended where another worker has finished it meanwhile.

    A broker hands a task out again when its worker's connection is gone: the worker may be dead, or work on.

    Raises:
        StoreError: ``worker.died`` where the step has ended `STARTS` workers.
    """
    assert arguments.instance_ref is not None
    (step,) = arguments.step_keys_to_execute or [""]
    with (
        dg.DagsterInstance.from_ref(arguments.instance_ref) as instance,
        _alone(arguments.run_id, step),
    ):
        before = step_events(instance, arguments.run_id, step)
        if ended(before, arguments.known_state, step):
            return before
        check_starts(before, step)
        return list(_executed(instance, arguments, job, worker))


def _executed(
    instance: dg.DagsterInstance, arguments: ExecuteStepArgs, job: ReconstructableJob, worker: str
) -> Iterator[dg.DagsterEvent]:
    run = instance.get_run_by_id(arguments.run_id)
    assert run is not None
    plan = create_execution_plan(
        job,
        run.run_config,
        step_keys_to_execute=arguments.step_keys_to_execute,
        known_state=arguments.known_state,
    )
    (step,) = arguments.step_keys_to_execute or [""]
    instance.report_engine_event(f"Executing in Celery worker {worker}", run, step_key=step)
    yield from execute_plan_iterator(
        plan, job, run, instance, retry_mode=arguments.retry_mode, run_config=run.run_config
    )


@contextlib.contextmanager
def _alone(run_id: str, step: str) -> Iterator[None]:
    """Holds the step's lock; waits while another worker holds it."""
    with Database(database_dsn(load_settings()), max_connections=2) as database:
        lock = database.run_lock(step_lock_name(run_id, step))
        while not lock.acquire():
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            lock.release()


def _worker_app() -> Celery:
    settings = load_settings()
    made = make_app({"broker": broker_of(settings), "backend": settings.celery_backend.get_secret_value()})
    made.conf.update(worker_prefetch_multiplier=1, worker_cancel_long_running_tasks_on_connection_loss=False)
    task: Callable[..., Any] = made.task(
        bind=True, name=TASK_EXECUTE_PLAN_NAME, acks_late=True, reject_on_worker_lost=True
    )

    @task
    def _execute(self: Any, execute_step_args_packed: Any, executable_dict: Any) -> list[str]:
        arguments = unpack_value(execute_step_args_packed, as_type=ExecuteStepArgs)
        job = ReconstructableJob.from_dict(executable_dict)
        return [serialize_value(event) for event in execute_step(arguments, job, self.request.hostname)]

    return cast(Celery, made)


def __getattr__(name: str) -> Any:
    """`app`, which celery's command line asks for: made by a worker alone, as it needs the broker."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = made = _worker_app()
    return made
