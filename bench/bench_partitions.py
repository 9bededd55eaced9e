"""A started platform with many partitions: the UI's own queries, and the ticks of its sensors.

    pvm run -i anything -p FILE -v FOLDER && pvm up
    python bench/bench_partitions.py --partitions 25000

The home's newest completed job is copied that many times, with its run, its materialisations and the results
of its checks (pictures inside their metadata left out); the copies stay, so use a home of its own. Then
Chromium opens the pages that people open, and the seconds of every GraphQL answer are printed by operation.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import dagster as dg
import psycopg
from playwright.sync_api import Request, sync_playwright

from pvm_assets.execution.bootstrap import bootstrap, dagster_instance
from pvm_cli.processes import ServiceFolder
from pvm_cli.services import WEBSERVER
from pvm_resources.postgres.connect import dagster_url, database_dsn
from pvm_resources.settings import load_settings

_PAGES: Final = (
    "/overview/activity/timeline", "/runs", "/assets", "/asset-groups",
    "/assets/matches?view=partitions", "/assets/matches?view=overview",
    "/assets/matches?view=events&partition={key}", "/locations/pvm@__repository__/jobs/pvm_job_run",
    "/automation", "/deployment/daemons",
)  # fmt: skip
_TIMES: Final = 2
#: How long a page is looked at, milliseconds: it asks again while it is open.
_LOOK_MS: Final = 6_000
#: Ticks of that many seconds are counted: those before may have been cut by a stop of the platform.
_LATELY_S: Final = 300.0
_PICTURE: Final = r"data:image/[^)\"\\]*"

#: The id of copy n's run.
_RUN: Final = "overlay(run_id placing lpad(to_hex(n), 8, '0') from 1 for 8)"
_COPY_RUNS: Final = f"""
INSERT INTO runs (run_id, snapshot_id, pipeline_name, mode, status, run_body, partition, partition_set,
    create_timestamp, update_timestamp, start_time, end_time)
SELECT {_RUN}, snapshot_id, pipeline_name, mode, status,
    replace(replace(run_body, run_id, {_RUN}), %(key)s, %(stem)s || n), %(stem)s || n, partition_set,
    create_timestamp - n * interval '1 min', update_timestamp - n * interval '1 min',
    start_time - n * 60, end_time - n * 60
FROM runs, generate_series(1, %(count)s) n WHERE run_id = %(run)s
"""
_COPY_TAGS: Final = f"""
INSERT INTO run_tags (run_id, key, value)
SELECT {_RUN}, key,
    CASE WHEN key = 'dagster/partition' THEN %(stem)s || n ELSE value END
FROM run_tags, generate_series(1, %(count)s) n WHERE run_id = %(run)s AND key <> 'dagster/run_key'
"""
_COPY_EVENTS: Final = f"""
WITH template AS (
    SELECT dagster_event_type, timestamp, step_key, asset_key, run_id,
        regexp_replace(event, %(picture)s, 'data:,', 'g') AS event
    FROM event_logs WHERE run_id = %(run)s AND dagster_event_type IN
        ('ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED', 'PIPELINE_SUCCESS', 'PIPELINE_START')
)
INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
SELECT {_RUN}, replace(replace(event, run_id, {_RUN}), %(key)s, %(stem)s || n),
    dagster_event_type, timestamp - n * interval '1 min', step_key, asset_key,
    CASE WHEN asset_key IS NULL THEN NULL ELSE %(stem)s || n END
FROM template, generate_series(1, %(count)s) n
"""
_COPY_CHECKS: Final = f"""
INSERT INTO asset_check_executions (asset_key, check_name, partition, run_id, execution_status,
    evaluation_event, evaluation_event_timestamp, create_timestamp)
SELECT asset_key, check_name, %(stem)s || n, {_RUN},
    execution_status, replace(evaluation_event, %(key)s, %(stem)s || n),
    evaluation_event_timestamp - n * interval '1 min', create_timestamp - n * interval '1 min'
FROM asset_check_executions, generate_series(1, %(count)s) n WHERE run_id = %(run)s
"""
_COPY_PARTITIONS: Final = """
INSERT INTO dynamic_partitions (partitions_def_name, partition)
SELECT 'pvm_job', %(stem)s || n FROM generate_series(1, %(count)s) n ON CONFLICT DO NOTHING
"""
_COPY_JOBS: Final = """
INSERT INTO jobs (job_id, industry, partition_key, request, phase, status, run_id, keys, embed_model,
    created_at, started_at, finished_at, rules)
SELECT 'copy' || n, industry, %(stem)s || n, request, phase, status, NULL, keys, embed_model,
    created_at - n * interval '1 min', started_at - n * interval '1 min',
    finished_at - n * interval '1 min', rules
FROM jobs, generate_series(1, %(count)s) n WHERE partition_key = %(key)s ON CONFLICT DO NOTHING
"""


def main() -> None:
    """Fills the home where that was not done, then measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--partitions", type=int, default=25_000)
    given = parser.parse_args()
    settings = load_settings()
    bootstrap(settings)
    web = ServiceFolder(settings.home).find(WEBSERVER)
    if web is None:
        raise SystemExit("nothing runs: pvm up")
    key = fill(database_dsn(settings), dagster_url(settings), given.partitions)
    answers = look(web.url, key)
    report_answers(answers)
    with dagster_instance() as instance:
        report_ticks(instance)


def fill(ours: str, dagster: str, count: int) -> str:
    """Copies the newest completed job until there are `count` partitions; returns a copy's key."""
    with psycopg.connect(ours, autocommit=True) as rows, psycopg.connect(dagster, autocommit=True) as history:
        made = history.execute(
            "SELECT count(*) FROM dynamic_partitions WHERE partition LIKE '%@copy%'"
        ).fetchone()
        job = rows.execute(
            "SELECT partition_key, run_id FROM jobs WHERE status = 'completed' AND run_id IS NOT NULL"
            " ORDER BY finished_at DESC LIMIT 1"
        ).fetchone()
        if job is None:
            raise SystemExit("no completed job: pvm run")
        key, run = job
        stem = f"{key.partition('@')[0]}@copy"
        if made is not None and made[0] >= count:
            return f"{stem}1"
        given = {"key": key, "run": run, "stem": stem, "count": count, "picture": _PICTURE}
        began = time.monotonic()
        rows.execute(_COPY_JOBS, given)
        for statement in (_COPY_RUNS, _COPY_TAGS, _COPY_EVENTS, _COPY_CHECKS, _COPY_PARTITIONS):
            history.execute(statement, given)
        history.execute("ANALYZE")
        rows.execute("ANALYZE")
    print(f"{count} copies of {key} in {time.monotonic() - began:.0f} s", flush=True)
    return f"{stem}1"


def look(url: str, key: str) -> Sequence[tuple[str, float]]:
    """Opens each page; operation and seconds of every GraphQL answer."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("no chromium (Debian: apt-get install chromium)")
    found: list[tuple[str, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for address in (one.format(key=key) for one in _PAGES for _ in range(_TIMES)):
            print(f"{address}: {len(found)} answers so far", flush=True)
            page = browser.new_page()
            page.on("requestfinished", lambda request: _note(request, found))
            page.goto(f"{url}{address}", timeout=120_000)
            page.wait_for_timeout(_LOOK_MS)
            page.close()
        browser.close()
    return found


def _note(request: Request, found: list[tuple[str, float]]) -> None:
    if urlsplit(request.url).path.endswith("/graphql") and request.post_data:
        timing = request.timing
        name = str(json.loads(request.post_data).get("operationName"))
        found.append((name, (timing["responseEnd"] - timing["requestStart"]) / 1000))


def report_answers(answers: Sequence[tuple[str, float]]) -> None:
    """The slowest operations, and all together."""
    by_name: Mapping[str, list[float]] = defaultdict(list)
    for name, seconds in answers:
        by_name[name].append(seconds)
    for name, taken in sorted(by_name.items(), key=lambda one: -max(one[1]))[:12]:
        middle = statistics.median(taken)
        print(f"{name:<44} {len(taken):4d} answers, median {middle:6.3f} s, slowest {max(taken):6.3f} s")
    every = sorted(seconds for _, seconds in answers)
    middle, most = _share(every, 0.5), _share(every, 0.95)
    print(f"{len(every)} answers: p50 {middle:.3f} s, p95 {most:.3f} s, slowest {every[-1]:.3f} s")


def _share(every: Sequence[float], share: float) -> float:
    return every[min(int(len(every) * share), len(every) - 1)]


def report_ticks(instance: dg.DagsterInstance) -> None:
    """Seconds of each sensor's ticks of the last minutes; `inbox` waits four of them for requests."""
    for state in instance.all_instigator_state():
        ticks: Sequence[Any] = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=20)
        taken = [
            tick.tick_data.end_timestamp - tick.timestamp
            for tick in ticks
            if tick.tick_data.end_timestamp and time.time() - tick.timestamp < _LATELY_S
        ]
        if taken:
            print(f"{state.instigator_name:<22} {len(taken):3d} ticks, slowest {max(taken):6.2f} s")


if __name__ == "__main__":
    main()
