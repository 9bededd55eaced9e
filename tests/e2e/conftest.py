"""Fixtures of the whole-job tests: homes of their own, one finished tiny job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from harness import Finished, Pvm, Started, free_port


@pytest.fixture
def pvm(tmp_path: Path) -> Iterator[Pvm]:
    """A home of its own, empty."""
    made = Pvm(tmp_path / "home")
    yield made
    made.torn_down()


@pytest.fixture(scope="session")
def shared_pvm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pvm]:
    """One home for the tests that do not mind each other's jobs; its server stays up."""
    made = Pvm(tmp_path_factory.mktemp("shared") / "home")
    made.kept_up()
    yield made
    made.torn_down()


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """One platform after `pvm up`, for the files that tests/conftest.py keeps on one worker."""
    folder = tmp_path_factory.mktemp("platform")
    made = Started(Pvm(folder / "home"), free_port(), free_port(), folder)
    try:
        assert "pvm keys create" in made.up().stderr, "a first start says how to call"
        yield made
    finally:
        made.pvm.torn_down()


@pytest.fixture(scope="session")
def finished(shared_pvm: Pvm, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny case run once through Dagster."""
    case = tiny.write_case(tmp_path_factory.mktemp("case"), products=4, clips=3)
    industry = "Gối công thái học — đợt 1"
    given = ("--products", case.products, "--videos", case.videos)
    run = shared_pvm.cold("run", "--industry", industry, *given)
    assert run.returncode == 0, run.stderr
    return Finished(shared_pvm, case, run, industry)
