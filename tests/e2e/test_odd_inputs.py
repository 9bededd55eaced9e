"""More than a hundred odd inputs in one real job: it ends, each is used or named, the good ones match."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from harness import Pvm
from odd_inputs import OddCase, write_odd_case

from pvm_core.errors import Problem
from pvm_resources.postgres.driver import Database
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.store.assembly import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
INDUSTRY = "Đủ thứ lạ"
JOB = "odd-inputs"
_CUT = """
SELECT v.given_name FROM job_videos v
WHERE v.job_id = %s AND EXISTS (SELECT FROM video_frames f WHERE f.video_id = v.video_id)
"""


@dataclass(frozen=True)
class Done:
    """The case with what its job left behind.

    Attributes:
        used_ids: of products with a picture that was used.
        used_videos: names of clips that have keyframes.
        accepted: products by the clips in which they were.
    """

    case: OddCase
    code: int
    stderr: str
    status: str
    used_ids: frozenset[str]
    used_videos: frozenset[str]
    problems: tuple[Problem, ...]
    accepted: frozenset[tuple[str, str]]

    def named(self, *stages: str) -> set[str]:
        """Items of the stages' problems."""
        return {problem.item for problem in self.problems if problem.stage in stages}


@pytest.fixture(scope="module")
def done(shared_pvm: Pvm, tmp_path_factory: pytest.TempPathFactory) -> Done:
    case = write_odd_case(tmp_path_factory.mktemp("odd"))
    given = [word for path in case.products for word in ("--products", path)]
    ran = shared_pvm("run", "--industry", INDUSTRY, *given, "--videos", case.videos, "--job", JOB)
    shown = json.loads(shared_pvm("results", "--job", JOB, "--format", "json").stdout)
    with EmbeddedServer(shared_pvm.home) as server, Database(server.uri("pvm")) as database:
        store = Store.over(database)
        ids = {product.product_id: product.asin_or_itemid for product in store.catalogue.products(JOB)}
        return Done(
            case=case,
            code=ran.returncode,
            stderr=ran.stderr,
            status=store.jobs.get(JOB).status,
            used_ids=frozenset(ids[image.product_id] for image in store.catalogue.images(JOB)),
            used_videos=frozenset(row[0] for row in database.tuples(_CUT, [JOB])),
            problems=tuple(store.state.problems(JOB)),
            accepted=frozenset((row["video"], row["product"]) for row in shown),
        )


def test_more_than_a_hundred_odd_inputs_end_no_job(done: Done) -> None:
    assert done.case.odd >= 100
    assert (done.code, done.status) == (0, "completed"), done.stderr
    assert "Traceback" not in done.stderr


def test_every_product_is_used_or_named(done: Done) -> None:
    assert done.used_ids == done.case.used_ids
    assert done.named("product_images") == done.case.broken_pictures
    assert done.named("products") == done.case.broken_rows


def test_every_clip_is_used_or_named_and_other_files_once_a_type(done: Done) -> None:
    assert done.used_videos == done.case.used_videos
    assert done.named("videos", "keyframes") == done.case.broken_videos | done.case.others


def test_every_problem_says_why(done: Done) -> None:
    assert all(problem.message and "." in problem.code for problem in done.problems)


def test_what_is_good_is_found_among_it(done: Done) -> None:
    assert set(done.case.found.items()) <= done.accepted
