"""A job's source answers, source states and dead letters, and the downloaded videos."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pvm_jobs.source_kinds import SourceKind
from pvm_resources.postgres.driver import Database, Statement, Write
from pvm_resources.store.base import Repository, clean, insert, json, listed


@dataclass(frozen=True)
class SourceState:
    """How far a source got in a job; `found` counts its records."""

    kind: SourceKind
    source: str
    state: str
    reason: str = ""
    remedy: str = ""
    found: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """An item that was given up after `attempts` and that no later run could read."""

    stage: str
    item: str
    code: str
    message: str
    attempts: int
    last_at: datetime | None = None


@dataclass(frozen=True)
class VideoFile:
    """A downloaded video: `deleted_at` is set once its file was removed by the retention rule."""

    platform: str
    external_id: str
    video_id: uuid.UUID
    path: str
    size: int
    fetched_at: datetime | None = None
    deleted_at: datetime | None = None


class JobAnswers:
    """The answers of one source in one job (`pvm_resources.sources.base.Answers`)."""

    def __init__(self, database: Database, job_id: str, source: str, max_age_h: float | None) -> None:
        self._db = database
        self._job_id = job_id
        self._source = source
        self._max_age_h = max_age_h

    def get(self, key: str) -> Any | None:
        """The stored answer; None where there is none or where it is too old."""
        return self._db.value(
            "SELECT answer FROM source_answers WHERE job_id = %(job)s AND source = %(source)s "
            "AND key_hash = text_sha256(%(key)s) AND (%(age)s::float8 IS NULL "
            "OR fetched_at > now() - make_interval(secs => %(age)s * 3600))",
            {"job": self._job_id, "source": self._source, "key": key, "age": self._max_age_h},
        )

    def put(self, key: str, answer: Any) -> None:
        """Keeps an answer, in a transaction of its own; the newest counts."""
        self._db.commit(
            insert(
                "source_answers",
                {"job_id": self._job_id, "source": self._source, "key": key, "answer": json(answer)},
                "ON CONFLICT (job_id, source, key_hash) DO UPDATE SET answer = excluded.answer, "
                "fetched_at = now()",
            )
        )


class SourceRuns(Repository):
    """Tables `source_states`, `source_answers`, `dead_letters`, `video_files`."""

    def answers(self, job_id: str, source: str, max_age_h: float | None = None) -> JobAnswers:
        """The answers of one source in one job."""
        return JobAnswers(self._db, job_id, source, max_age_h)

    # -- statuses ----------------------------------------------------------------------------------

    def set_states(self, job_id: str, kind: SourceKind, states: Iterable[SourceState]) -> None:
        """Stores exactly these as the states of the job's sources of one kind."""
        texts = ({**asdict(s), "reason": clean(s.reason), "remedy": clean(s.remedy)} for s in states)
        self._db.commit(
            Statement("DELETE FROM source_states WHERE job_id = %s AND kind = %s", [job_id, kind]),
            *(
                insert("source_states", {"job_id": job_id, "position": n, **s, "kind": kind})
                for n, s in enumerate(texts)
            ),
        )

    def states(self, job_id: str) -> list[SourceState]:
        """The states of the job's sources, in the order of the request."""
        query = f"SELECT {listed(SourceState)} FROM source_states WHERE job_id = %s ORDER BY kind, position"
        return self._db.all(SourceState, query, [job_id])

    # -- dead letters ------------------------------------------------------------------------------

    def add_dead_letters(self, job_id: str, dead_letters: Sequence[DeadLetter]) -> None:
        """Stores items given up; attempts of an item that was given up before are added."""
        self._db.commit(
            *(
                insert(
                    "dead_letters",
                    {
                        "job_id": job_id, "stage": d.stage, "item": clean(d.item), "code": d.code,
                        "message": clean(d.message), "attempts": d.attempts,
                    },
                    "ON CONFLICT (job_id, stage, item_hash) DO UPDATE SET code = excluded.code, "
                    "message = excluded.message, last_at = now(), resolved_at = NULL, "
                    "attempts = dead_letters.attempts + excluded.attempts",
                )
                for d in dead_letters
            )
        )  # fmt: skip

    def resolve(self, job_id: str, stage: str, items: Sequence[str]) -> None:
        """Marks items that a later run could read."""
        if items:
            self._execute(
                "UPDATE dead_letters SET resolved_at = now() WHERE job_id = %s AND stage = %s "
                "AND item = ANY(%s) AND resolved_at IS NULL",
                job_id,
                stage,
                [clean(item) for item in items],
            )

    def dead_letters(self, job_id: str) -> list[DeadLetter]:
        """Items given up and not resolved since."""
        return self._db.all(
            DeadLetter,
            f"SELECT {listed(DeadLetter)} FROM dead_letters WHERE job_id = %s "
            "AND resolved_at IS NULL ORDER BY last_at, stage, item",
            [job_id],
        )

    # -- downloaded videos -------------------------------------------------------------------------

    @staticmethod
    def video_file_write(file: VideoFile) -> Write:
        """The write that stores a downloaded video, to be committed with its row."""
        stored = ("platform", "external_id", "video_id", "path", "size")
        return insert(
            "video_files",
            {name: getattr(file, name) for name in stored},
            "ON CONFLICT (platform, id_hash) DO UPDATE SET video_id = excluded.video_id, "
            "path = excluded.path, size = excluded.size, fetched_at = now(), deleted_at = NULL",
        )

    def video_files(self, platform: str, external_ids: Sequence[str]) -> dict[str, VideoFile]:
        """What is known of these videos of a platform, by their id there."""
        found = self._db.all(
            VideoFile,
            f"SELECT {listed(VideoFile)} FROM video_files WHERE platform = %s AND external_id = ANY(%s)",
            [platform, list(external_ids)],
        )
        return {file.external_id: file for file in found}
