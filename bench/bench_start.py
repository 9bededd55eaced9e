"""Seconds from a POST to the first materialisation of its run, on a started platform.

    PVM_API_SOURCE_ROOTS=FOLDER pvm up
    python bench/bench_start.py --key pvm_... --products FOLDER/products.csv --videos FOLDER/videos

One job at a time, each of an industry of its own, so that none waits for another.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from datetime import datetime

import httpx


def main() -> None:
    """Prints each latency and the median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key", required=True)
    parser.add_argument("--products", required=True)
    parser.add_argument("--videos", required=True)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    headers = {"X-API-Key": given.key}
    with httpx.Client(base_url=given.url, headers=headers, trust_env=False, timeout=30) as client:
        found = []
        for n in range(given.runs):
            body = {
                "industry": f"bench {n}",
                "products": [given.products],
                "videos": [given.videos],
            }
            found.append(_start(client, body))
            print(f"run {n + 1:2d}  {found[-1]:5.1f} s", flush=True)
    print(f"median  {statistics.median(found):5.1f} s, slowest {max(found):.1f} s")


def _start(client: httpx.Client, body: Mapping[str, object]) -> float:
    job = client.post("/v1/jobs", json=body).raise_for_status().json()["job_id"]
    while True:
        status = client.get(f"/v1/jobs/{job}").raise_for_status().json()
        if status["status"] in ("completed", "failed", "cancelled"):
            break
        time.sleep(0.5)
    if status["status"] != "completed":
        raise SystemExit(f"job {job} {status['status']}: {status['error']}")
    # The first asset's events are written with its rows.
    events = client.get(f"/v1/jobs/{job}/events?limit=200").raise_for_status().json()["items"]
    first = next(e for e in events if e["name"].endswith("collections.completed"))
    began, ended = (datetime.fromisoformat(at) for at in (status["created_at"], first["created_at"]))
    return (ended - began).total_seconds()


if __name__ == "__main__":
    main()
