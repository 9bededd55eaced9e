"""Malformed requests, thousands a route: no 5xx, and none that takes over two seconds.

Two fuzzers: schemathesis makes what the description forbids; `tests.pvm_api.mutated` makes what no
description knows (framing, headers, encodings, single bytes) and writes it to a socket. The short runs belong
to the suite, those of 2,000 a route to `make test-long`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from pvm_cli.api import described
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from tests.databases import Databases
from tests.pvm_api.drawn import embed, jpeg
from tests.pvm_api.mutated import Good, mutated, sent
from tests.pvm_api.served import Served
from tests.pvm_resources import world
from tests.pvm_resources.world import World

if TYPE_CHECKING:
    from schemathesis.schemas import BaseSchema

#: Seconds that an answer may take; a slow one is asked for again, for the machine may have been busy.
_SLOW_S = 2.0
_TRIES = 5
_COUNTS = [25, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
_CATALOGUE = b"product_id,title,image\np1,Pillow,https://shop.example/p1.jpg\n"
_SOURCES = {"products": ["https://shop.example/a.csv"], "videos": ["youtube"]}
#: Bodies of the described routes, and what else they take; those without are sent as they are.
_BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/jobs": {
        "json": {"industry": "giày", **_SOURCES, "top": 5, "tops": {"ebay": 3}, "queries": {"vi": ["giày"]},
                 "recency_days": 30, "embed_model": "classic", "callback_url": "https://example.org/x"},
    },
    "POST /start-job": {
        "fields": (("request", json.dumps({"industry": "x", **_SOURCES})),),
        "file": ("catalogue", _CATALOGUE),
    },
    "POST /orchestrator/start-job": {
        "json": {"industry": "x", "top_amz": 1, "top_ebay": 2, "platforms": ["youtube"], "queries": ["x"]}
    },
    "POST /v1/jobs/estimate": {"json": {"industry": "giày", **_SOURCES, "top": 5, "recency_days": 30}},
    "POST /v1/uploads": {"raw": _CATALOGUE, "query": (("filename", "a.csv"),)},
    "POST /v1/products/similar": {"file": ("picture", jpeg(1)), "query": (("limit", "3"),)},
    "POST /v1/matches/{match_id}/label": {"json": {"verdict": "accept"}},
    "POST /v1/industries": {
        "json": {"name": "giày", "queries": {"vi": ["giày"]}, "sources": _SOURCES, "every_hours": 5}
    },
    "PATCH /v1/industries/{industry}": {"json": {"queries": {"vi": ["giày"]}, "every_hours": None}},
    "PUT /v1/industries/{industry}/rules": {"json": {"rule_set": "default", "overrides": {"accept": 0.9}}},
    "PATCH /v1/industries/{industry}/rules": {"json": {"overrides": {"accept": None, "min_inliers": 9}}},
}  # fmt: skip
#: Pages, which the description leaves out.
_PAGES = (
    "GET /review", "GET /review/session/in", "POST /review/session/in", "GET /review/session/look",
    "GET /review/static/x/review.js", "GET /review/thumb/{match_id}", "GET /review/match/{match_id}",
    "POST /review/match/{match_id}/verdict", "GET /review/{job_id}", "GET /openapi.json", "GET /nothing",
    "POST /review/session/out", "GET /", "GET /docs", "GET /docs/files/docs.js",
)  # fmt: skip


def _operations() -> list[str]:
    paths = json.loads(described())["paths"]
    found = [
        f"{method.upper()} {path}"
        for path, listed in paths.items()
        for method, one in listed.items()
        # An answer that has no end takes as long as the caller stays; see test_attention_stream.
        if "text/event-stream" not in one["responses"].get("200", {}).get("content", {})
    ]
    # What deletes comes last: the others need what is there.
    return sorted(found, key=lambda operation: operation.startswith("DELETE"))


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[Database]:
    """One database for the module."""
    with databases.one() as url, Database(url) as found:
        yield found


@pytest.fixture(scope="module")
def filled(database: Database, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """A home with a finished job and its pictures; the home and the job."""
    home = tmp_path_factory.mktemp("fuzz") / "home"
    repos, media = Store.over(database), MediaStore(str(home / "media"))
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    for n, image in enumerate(made.images):
        media.put(image.local_path, jpeg(n))
    for n, frame in enumerate(made.frames):
        media.put(str(frame.local_path), jpeg(100 + n))
    embed(repos, {image.img_id: jpeg(n) for n, image in enumerate(made.images)})
    media.put(f"evidence/{world.matches(made)[0].match_id}.jpg", jpeg(999, 400, 200))
    return home, made


@pytest.fixture(scope="module")
def api(database: Database, filled: tuple[Path, World]) -> Iterator[Served]:
    """The API as a process."""
    with Served(database.dsn, filled[0], {"PVM_API_RATE": "10000000"}) as found:
        yield found


@pytest.fixture(scope="module")
def make(api: Served, database: Database, filled: tuple[Path, World]) -> Callable[[str], Good]:
    """Makes a good request of a route, by a caller who may do everything."""
    key = Keys(database).create("fuzz", ["admin"])[1]
    cookie, token = _signed_in(api, key)
    made = filled[1]
    ids = {
        "match_id": world.matches(made)[0].match_id,
        "product_id": made.products[0].product_id,
        "video_id": made.videos[0].video_id,
        "image_id": made.images[0].img_id,
        "frame_id": made.frames[0].frame_id,
        "job_id": "job-1",
        "industry": made.job.industry,
    }

    def good(operation: str) -> Good:
        method, _, path = operation.partition(" ")
        more = dict(_BODIES.get(operation, {}))
        if operation == "GET /v1/products/similar":
            more["query"] = (("image_id", str(ids["image_id"])), ("limit", "3"))
        if path.startswith("/review"):
            headers = ((b"Cookie", cookie.encode()),)
            if method == "POST":
                more["fields"] = (
                    ("csrf_token", token),
                    ("verdict", "accept"),
                    ("key", key),
                    ("back", "/review"),
                )
        else:
            headers = ((b"X-API-Key", key.encode()),)
        return Good(operation, method, path.format(**ids), headers=headers, **more)

    return good


def _signed_in(api: Served, key: str) -> tuple[str, str]:
    """A reviewer's cookie and the token of its forms."""
    with httpx.Client(base_url=api.url) as browser:
        for _ in range(2):
            found = re.search(r'name="csrf_token" value="([\w-]+)"', browser.get("/review/session/in").text)
            if found is None:
                break
            browser.post("/review/session/in", data={"key": key, "csrf_token": found[1]})
        page = browser.get("/review").text
        token = re.search(r'name="csrf_token" value="([\w-]+)"', page)
        assert token is not None
        return f"pvm_review={browser.cookies['pvm_review']}", token[1]


@pytest.mark.parametrize("count", _COUNTS)
@pytest.mark.parametrize("operation", [*_PAGES[:-1], *_operations(), _PAGES[-1]])
def test_malformed_bytes(api: Served, make: Callable[[str], Good], operation: str, count: int) -> None:
    good = make(operation)

    def fault(number: int) -> str | None:
        data = mutated(good, number)
        for _ in range(_TRIES):
            told = sent(api.port, data)
            if told.status is not None and told.status >= 500:
                return f"{number}: {data[:300]!r} is answered {told.data[:500]!r}"
            if told.seconds < _SLOW_S:
                return None
        return f"{number}: {data[:300]!r} takes {told.seconds:.1f} s ({told.status})"

    with ThreadPoolExecutor(4) as pool:
        faults = [found for found in pool.map(fault, range(count)) if found is not None]
    assert not faults, "\n".join(faults[:20])
    assert httpx.get(f"{api.url}/healthz", timeout=30).status_code == 200


@pytest.fixture(scope="module")
def api_schema(shared_client: TestClient) -> BaseSchema:
    """The schema of an application over a database of its own."""
    import schemathesis

    return schemathesis.openapi.from_asgi("/openapi.json", shared_client.app)


@pytest.mark.parametrize("count", [pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])])
@pytest.mark.parametrize("operation", _operations())
def test_what_the_description_forbids(
    api_schema: BaseSchema, shared_client: TestClient, operation: str, count: int
) -> None:
    """The short run of schemathesis is `test_openapi`."""
    from schemathesis.generation import GenerationMode

    method, _, path = operation.partition(" ")
    headers = {"X-API-Key": shared_client.headers["X-API-Key"]}

    def answered(case: Any) -> None:
        for left in reversed(range(_TRIES)):
            start = time.monotonic()
            answer = case.call(headers=headers)
            assert answer.status_code < 500, answer.text
            if (seconds := time.monotonic() - start) < _SLOW_S:
                return
            assert left, f"it takes {seconds:.1f} s"

    for mode in (GenerationMode.NEGATIVE, GenerationMode.POSITIVE):
        cases = api_schema[path][method].as_strategy(generation_mode=mode)
        run = settings(
            max_examples=count, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )(given(case=cases)(answered))  # fmt: skip
        try:
            run()
        except Unsatisfiable:
            # A route without parameters can be called in no wrong way; then it is called in the right one.
            continue
        return
