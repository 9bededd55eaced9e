"""Fixtures and hooks of the whole suite: which tests share a worker, what runs first, what is left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests import reaper

pytest_plugins = ("tests.fixtures_db",)

ROOT = Path(__file__).resolve().parent.parent
#: Files that share what is dear to start (a platform, a home with a finished job): one worker runs them all.
_TOGETHER = {
    "test_api_job": "started platform",
    "test_dagster_ui": "started platform",
    "test_whole_job": "home with jobs",
    "test_bad_inputs": "home with jobs",
    "test_industries_and_rules": "home with jobs",
    "test_models_and_evaluate": "home with jobs",
    "test_cli_faults": "home with jobs",
    "test_feed_job": "home with jobs",
}
#: The groups and files that take longest, longest first; they start before all others.
_LONG: tuple[str, ...] = ("started platform", "home with jobs")


def _group(nodeid: str) -> str:
    stem = Path(nodeid.partition("::")[0]).stem
    return _TOGETHER.get(stem, stem)


class _Groups(LoadFileScheduling):
    """Gives each worker whole files, and files of one group together."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Groups | None:
    """With ``--dist loadfile`` files of one group count as one file."""
    return _Groups(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long groups first: what starts last should end soon."""
    ranks = {name: rank for rank, name in enumerate(_LONG)}
    items.sort(key=lambda item: ranks.get(_group(item.nodeid), len(ranks)))


def pytest_configure(config: pytest.Config) -> None:
    """Starts the process that ends what this run leaves behind; its workers belong to the run."""
    if not hasattr(config, "workerinput"):
        config.add_cleanup(reaper.watch())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring material (photos, cases, weights, specs); skips where it is absent."""
    folder = Path(os.environ.get("PVM_SHARED", ROOT.parent / "shared"))
    if not (folder / "photos").is_dir():
        pytest.skip(f"{folder} holds no photos: set PVM_SHARED to the folder of measuring material")
    return folder
