"""Runs in a process of their own that can be killed, forked from one that has imported everything."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvm_resources.store.assembly import Store

_TESTS = Path(__file__).parent
#: Rows that are computed, not remembered: a finished one is never computed again.
COMPUTED = ("stored_images", "stored_frames", "masks", "embeddings", "keypoint_sets", "pair_evidence")


@dataclass
class Zygote:
    """The process that forks runs."""

    process: subprocess.Popen[str]

    def line(self) -> list[str]:
        """The next thing it says, in at most three words."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n").split(" ", 2)

    def start(self, job_id: str) -> None:
        """Starts a run."""
        assert self.process.stdin is not None
        request = {"job": job_id, "environment": dict(os.environ)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def run(
        self, job_id: str, kill_at: tuple[str, float] | None = None, nth: int = 1
    ) -> dict[str, Any] | None:
        """Runs a job to its end; or kills it a moment after a step has started, and says None.

        Args:
            kill_at: the asset whose step has started, and seconds.
            nth: which of its steps, of an asset in shards (the first of those counts what is to do).
        """
        self.start(job_id)
        pid, started, ended = 0, 0, None
        while True:
            word, *rest = self.line()
            if word == "pid":
                pid = int(rest[0])
            elif word == "end":
                ended = {"status": rest[0], **json.loads(rest[1])}
            elif word == "gone":
                return ended
            elif kill_at is not None and word == "STEP_START" and rest[0] == kill_at[0]:
                started += 1
                if started < nth:
                    continue
                time.sleep(kill_at[1])
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid or _leader(), signal.SIGKILL)
            assert word, "the zygote is gone"


def _leader() -> int:
    raise AssertionError("the pid comes before the first event")


@contextlib.contextmanager
def started_zygote(**settings: str) -> Iterator[Zygote]:
    """A zygote that was started with these variables; its runs see the environment of the test that starts
    them."""
    process = subprocess.Popen(
        [sys.executable, str(_TESTS / "zygote.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_TESTS.parent.parent,
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    zygote = Zygote(process)
    assert zygote.line() == ["ready"]
    yield zygote
    process.kill()
    process.wait()


def computed(repos: Store) -> dict[str, dict[str, str]]:
    """When each computed row was made, by its key."""
    keys = {
        "stored_images": "img_id",
        "stored_frames": "frame_id",
        "pair_evidence": "frame_id::text || img_id",
    }
    return {
        table: dict(
            repos.database.tuples(
                f"SELECT ({keys.get(table, 'item_id')})::text{' || view' if table == 'embeddings' else ''}, "
                f"created_at::text FROM {table}"
            )
        )
        for table in COMPUTED
    }
