"""Fixtures of the whole-job tests: homes of their own, one finished tiny job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from harness import Finished, Pvm


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
def finished(shared_pvm: Pvm, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny case run once through Dagster."""
    case = tiny.write_case(tmp_path_factory.mktemp("case"), products=4, clips=3)
    industry = "Gối công thái học — đợt 1"
    run = shared_pvm.run(case.products, case.videos, industry)
    assert run.returncode == 0, run.stderr
    return Finished(shared_pvm, case, run, industry)
