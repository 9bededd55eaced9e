"""Reads of /v1/results with many matches in the table: latency under a steady number of callers.

    python bench/bench_results.py [--matches 100000] [--seconds 10] [--callers 4]

Makes a home of its own in a temporary folder, fills it, starts the API as its own process and asks it over
HTTP, keys and rate headers included. Uses `wrk` where it is installed, else threads of this process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from pvm_resources.postgres import migrate
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.api_keys import Keys

_FILL = (
    "INSERT INTO industries (slug, name) VALUES ('bench', 'bench')",
    "INSERT INTO jobs (job_id, industry, partition_key, status, phase, finished_at) "
    "SELECT 'job-' || n, 'bench', 'bench@job-' || n, 'completed', 'completed', "
    "now() - make_interval(mins => n) "
    "FROM generate_series(1, 10) n",
    "INSERT INTO videos (video_id, platform, sha256) SELECT gen_random_uuid(), 'youtube', "
    "encode(sha256(n::text::bytea), 'hex') FROM generate_series(1, 100) n",
    "INSERT INTO job_videos (job_id, given_name, video_id, source_ref, position) SELECT job_id, "
    "'clip-' || v.sha256, v.video_id, 'x', 0 FROM jobs, videos v",
    "INSERT INTO products (product_id, src, namespace, asin_or_itemid, title, url) SELECT gen_random_uuid(), "
    "'ebay', 'EBAY_US', 'v1|' || n || '|0', 'Product ' || n, 'https://www.ebay.com/itm/' || n "
    "FROM generate_series(1, %(products)s) n",
    "INSERT INTO matches (match_id, job_id, product_id, video_id, ts, score, accept, status, "
    "reason_code, reason_values, score_pair, consistency, coverage, calibration, embed_model, rules_key, "
    "evidence_path) "
    "SELECT gen_random_uuid(), j.job_id, p.product_id, v.video_id, 1.5, s.score, 0.8, "
    "CASE WHEN s.score >= 0.8 THEN 'accepted' WHEN s.score >= 0.5 THEN 'review' ELSE 'rejected' END, "
    "'legacy', '{\"text\": \"why\"}', s.score, 1, 1, 'c', 'classic', 'r', 'evidence/x.jpg' "
    "FROM jobs j, products p, videos v, "
    "LATERAL (SELECT round(random()::numeric, 4)::float8 AS score WHERE v.video_id IS NOT NULL "
    "AND p.product_id IS NOT NULL) s",
    "ANALYZE",
)
_QUERIES = (
    "/v1/results?industry=bench&min_score=0.8&limit=50",
    "/v1/results?min_score=0.8",
    "/v1/results?all=true&status=review&limit=200",
)


def main() -> None:
    """Fills, asks, prints one line per query."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--matches", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--callers", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "home")
        server.up()
        process = None
        try:
            key = _fill(server, given.matches)
            process, url = _serve(Path(folder) / "home", server.uri("pvm"))
            for query in _QUERIES:
                _ask(url, query, key, given.seconds, given.callers)
        finally:
            if process is not None:
                process.terminate()
                process.wait(20)
            server.down()


def _fill(server: EmbeddedServer, matches: int) -> str:
    migrate.upgrade(server.uri("pvm"))
    with Database(server.uri("pvm")) as database:
        for query in _FILL:
            database.commit(Statement(query, {"products": max(1, matches // 1_000)}))
        count = database.value("SELECT count(*) FROM matches")
        print(f"{count:,} matches of 10 jobs")
        return Keys(database).create("bench", ["read"])[1]


def _serve(home: Path, dsn: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "PVM_HOME": str(home), "PVM_DATABASE_URL": dsn, "PVM_API_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pvm_api.server"], env={**env, "PVM_API_RATE": "10000000"}
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return process, url
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the API did not answer")


def _ask(url: str, query: str, key: str, seconds: float, callers: int) -> None:
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", f"-c{callers}", f"-d{int(seconds)}s", "--latency", "-H", f"X-API-Key: {key}"]
        print(query, flush=True)
        subprocess.run([*command, url + query], check=True)
        return
    found: list[float] = []
    until = time.monotonic() + seconds

    def call() -> None:
        with httpx.Client(headers={"X-API-Key": key}, trust_env=False) as client:
            while time.monotonic() < until:
                began = time.perf_counter()
                client.get(url + query).raise_for_status()
                found.append((time.perf_counter() - began) * 1_000)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(found, n=100)
    print(
        f"{query}\n  {len(found) / seconds:,.0f} a second, median {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
