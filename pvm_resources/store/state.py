"""Asset states, check verdicts, problems and progress of a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, cast

from pvm_core.errors import Problem
from pvm_jobs.events import Event
from pvm_resources.postgres.driver import Copy, Statement
from pvm_resources.store.base import Repository, clean, columns, insert, json, listed, rows
from pvm_resources.store.job_changes import NEW_RUN, outbox_write
from pvm_resources.store.records import AssetState, CheckVerdict, Progress, StageShare

_PROBLEM: Final = columns(Problem)


class State(Repository):
    """Tables `asset_states`, `check_verdicts`, `problems`, `progress`."""

    # -- assets ------------------------------------------------------------------------------------

    def finish_asset(self, job_id: str, state: AssetState, *, events: Iterable[Event] = ()) -> None:
        """The asset is complete for the job at this data version, with its `.completed` events. Verdicts
        about another data version are dropped."""
        self._db.commit(
            Statement(
                "INSERT INTO asset_states (job_id, asset, data_version, rows, metadata) "
                "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (job_id, asset) DO UPDATE SET "
                "data_version = excluded.data_version, rows = excluded.rows, metadata = excluded.metadata, "
                "finished_at = now()",
                [job_id, state.asset, state.data_version, state.rows, json(state.metadata)],
            ),
            Statement(
                "DELETE FROM check_verdicts WHERE job_id = %s AND asset = %s AND data_version <> %s",
                [job_id, state.asset, state.data_version],
            ),
            Statement(
                "UPDATE progress SET share = 1, updated_at = now() WHERE job_id = %s AND stage = %s",
                [job_id, state.asset],
            ),
            outbox_write(events),
        )

    def asset(self, job_id: str, asset: str) -> AssetState | None:
        """The state of one asset; None where it has not finished."""
        return next((state for state in self.assets(job_id) if state.asset == asset), None)

    def assets(self, job_id: str) -> list[AssetState]:
        """The finished assets, in the order they finished."""
        return self._db.all(
            AssetState,
            f"SELECT {listed(AssetState)} FROM asset_states WHERE job_id = %s ORDER BY finished_at, asset",
            [job_id],
        )

    # -- checks ------------------------------------------------------------------------------------

    def write_verdicts(self, job_id: str, verdicts: Iterable[CheckVerdict]) -> None:
        """Stores verdicts; the newest of a check counts."""
        self._db.commit(*(_verdict_write(job_id, verdict) for verdict in verdicts))

    def verdicts(self, job_id: str, asset: str | None = None) -> list[CheckVerdict]:
        """Verdicts of the job, of one asset where given."""
        return self._db.all(
            CheckVerdict,
            f"SELECT {listed(CheckVerdict)} FROM check_verdicts WHERE job_id = %(job)s "
            "AND (%(asset)s::text IS NULL OR asset = %(asset)s) ORDER BY asset, check_name",
            {"job": job_id, "asset": asset},
        )

    def blocking_failures(self, job_id: str, assets: Sequence[str]) -> list[CheckVerdict]:
        """Blocking checks that failed on the present data version of any of `assets`."""
        return self._db.all(
            CheckVerdict,
            f"SELECT {listed(CheckVerdict, 'c')} FROM check_verdicts c "
            "JOIN asset_states USING (job_id, asset, data_version) WHERE job_id = %s AND asset = ANY(%s) "
            "AND blocking AND severity = 'ERROR' AND NOT passed ORDER BY asset, check_name",
            [job_id, list(assets)],
        )

    # -- problems and progress ---------------------------------------------------------------------

    def write_problems(self, job_id: str, problems: Iterable[Problem]) -> None:
        """Stores problems; the same item, stage and code again replaces its message."""
        found = rows(problems, _PROBLEM, job_id, item=clean, message=clean)
        self._db.commit(
            Copy(
                "problems", {"job_id": "text", **_PROBLEM}, found, ("job_id", "stage", "item", "code"),
                conflict="(job_id, stage, item_hash, code)", update=("message", "retryable"),
            )
        )  # fmt: skip

    def start_stage(self, job_id: str, stage: str, total: int | None = None) -> None:
        """Deletes the stage's old problems and sets its progress to 0 of `total`."""
        self._db.commit(
            Statement("DELETE FROM problems WHERE job_id = %s AND stage = %s", [job_id, stage]),
            _progress_write(job_id, Progress(stage, 0, total)),
        )

    def problems(self, job_id: str, stage: str | None = None) -> list[Problem]:
        """Problems of the job, oldest first."""
        return self._db.all(
            Problem,
            f"SELECT {listed(Problem)} FROM problems WHERE job_id = %(job)s "
            "AND (%(stage)s::text IS NULL OR stage = %(stage)s) ORDER BY created_at, stage, item, code",
            {"job": job_id, "stage": stage},
        )

    def set_progress(self, job_id: str, progress: Progress) -> None:
        """Stores how far a stage is."""
        self._db.commit(_progress_write(job_id, progress))

    def add_progress(self, job_id: str, stage: str, count: int) -> None:
        """Counts items of a stage as done, in one of several steps that do so at once."""
        # `least` leaves out what is null, so a stage without a total would be done at once.
        self._execute(
            "UPDATE progress SET done = least(total, done + %s), updated_at = now(), "
            "share = greatest(share, least(1, coalesce((done + %s)::float8 / nullif(total, 0), 0))) "
            "WHERE job_id = %s AND stage = %s",
            count, count, job_id, stage,
        )  # fmt: skip

    def add_total(self, job_id: str, stage: str, count: int) -> None:
        """Counts further items of a stage as to be done, as `add_progress`."""
        self._execute(
            "UPDATE progress SET total = coalesce(total, 0) + %s, updated_at = now() "
            "WHERE job_id = %s AND stage = %s",
            count, job_id, stage,
        )  # fmt: skip

    def stage_progress(self, job_id: str, stage: str) -> Progress:
        """How far a stage is; nothing done of nothing where it has not begun."""
        begun = (one for one in self.progress(job_id) if one.stage == stage)
        return next(begun, Progress(stage, 0, 0))

    def clear_progress(self, job_id: str) -> None:
        """No stage has begun in the present run; what was done of each is kept as its share."""
        self._execute(NEW_RUN, job_id)

    def progress(self, job_id: str) -> list[Progress]:
        """All stages that began, in the order they last moved."""
        return self._db.all(
            Progress,
            f"SELECT {listed(Progress)} FROM progress WHERE job_id = %s AND began_at IS NOT NULL "
            "ORDER BY updated_at, stage",
            [job_id],
        )

    def shares(self, job_ids: Sequence[str]) -> list[StageShare]:
        """How far the stages of these jobs are; those that never began are left out."""
        return self._db.all(
            StageShare,
            "SELECT job_id, stage, share::float8, "
            "CASE WHEN total > 0 THEN least(1, reused::float8 / total) ELSE 0 END AS reused_share, began_at, "
            "updated_at AS moved_at "
            "FROM progress WHERE job_id = ANY(%s) ORDER BY job_id, stage",
            [list(job_ids)],
        )

    def now(self) -> datetime:
        """The database's time."""
        return cast("datetime", self._db.value("SELECT now()"))


def _progress_write(job_id: str, progress: Progress) -> Statement:
    share = min(1.0, progress.done / progress.total) if progress.total else 0.0
    return insert(
        "progress",
        {"job_id": job_id, **vars(progress), "share": share},
        "ON CONFLICT (job_id, stage) DO UPDATE SET done = excluded.done, total = excluded.total, "
        "reused = excluded.reused, share = greatest(progress.share, excluded.share), updated_at = now(), "
        "began_at = coalesce(progress.began_at, now())",
    )


def _verdict_write(job_id: str, verdict: CheckVerdict) -> Statement:
    return insert(
        "check_verdicts",
        {"job_id": job_id, **vars(verdict), "metadata": json(verdict.metadata)},
        "ON CONFLICT (job_id, asset, check_name) DO UPDATE SET data_version = excluded.data_version, "
        "passed = excluded.passed, blocking = excluded.blocking, severity = excluded.severity, "
        "metadata = excluded.metadata, created_at = now()",
    )
