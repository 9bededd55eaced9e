"""A process that has imported everything and forks one process a run, so that a run starts at once.

Protocol on stdin/stdout: a line ``{"job", "environment"}`` starts a run in a child of its own process group;
the lines ``pid <n>``, ``<kind> <step>`` for each event, and ``end <status> <json>`` come back; a child that
is killed ends with ``gone <signal>``.
"""

from __future__ import annotations

import json
import os
import sys

import definitions  # noqa: F401
from pvm_assets.execution.code_location import CodeLocation
from pvm_assets.execution.runner import StepNews, run_job
from pvm_resources.settings import load_settings, project_root


def _say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def _child(job_id: str) -> None:
    os.setpgid(0, 0)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - lives as long as the process
    os.dup2(sys.stderr.fileno(), 2)

    def told(news: StepNews) -> None:
        _say(news.kind, news.step)

    location = CodeLocation.of_workspace(project_root() / "workspace.yaml")
    outcome = run_job(job_id, load_settings(), location, told)
    _say("end", outcome.status, json.dumps({"error": outcome.error, "stale": outcome.stale}, default=str))


def main() -> None:
    """Serves until stdin ends."""
    _say("ready")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.environ.clear()
                os.environ.update(request["environment"])
                _child(request["job"])
                code = 0
            finally:
                os._exit(code)
        _say("pid", pid)
        _, status = os.waitpid(pid, 0)
        _say("gone", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
