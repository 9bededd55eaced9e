"""A client of the API in a few lines: starts a job, waits for it, yields its accepted matches.

pip install httpx
PVM_KEY=pvm_... python docs/client.py "gối công thái học" https://shop.example/products.csv youtube
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import TypedDict

import httpx


class Match(TypedDict):
    """Of the fields of a result (`Result` in openapi.json) those that are used here."""

    product: str
    title: str
    video_url: str
    ts: float
    score: float
    evidence_url: str | None


class RefusedError(Exception):
    """A problem (RFC 9457) that the API answered with; `code` is stable."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{text} [{code}]")
        self.code = code


class Client:
    """The API at `url`; `key` is one of `pvm keys create NAME --scope run`."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30)

    def start(self, industry: str, products: list[str], videos: list[str]) -> str:
        """Starts a job; its address, under which it is followed."""
        body = {"industry": industry, "products": products, "videos": videos}
        return str(self._json("POST", "/v1/jobs", json=body)["status_url"])

    def wait(self, status_url: str, every_s: float = 5.0) -> str:
        """How the job ended: completed, failed or cancelled."""
        while True:
            job = self._json("GET", status_url)
            if job["status"] in ("completed", "failed", "cancelled"):
                return str(job["status"])
            print(f"{job['phase']} {job['percent']} %, {job['eta_s']} s left", file=sys.stderr)
            time.sleep(every_s)

    def results(self, industry: str) -> Iterator[Match]:
        """The accepted matches of the industry's latest completed job, best first."""
        page = self._json("GET", "/v1/results", params={"industry": industry, "limit": 200})
        yield from page["items"]
        while page["next"]:
            page = self._json("GET", page["next"])
            yield from page["items"]

    def _json(self, method: str, url: str, **given: object) -> dict:  # type: ignore[type-arg]
        answer = self._http.request(method, url, **given)  # type: ignore[arg-type]
        if answer.is_error:
            problem = answer.json()
            raise RefusedError(problem["code"], problem["detail"])
        found: dict = answer.json()  # type: ignore[type-arg]
        return found


if __name__ == "__main__":
    name, catalogue, site = sys.argv[1:]
    client = Client(os.environ.get("PVM_URL", "http://127.0.0.1:8080"), os.environ["PVM_KEY"])
    print(client.wait(client.start(name, [catalogue], [site])), file=sys.stderr)
    for match in client.results(name):
        print(f"{match['score']:.2f}  {match['product']}  {match['video_url']}")
