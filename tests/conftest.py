"""Fixtures and hooks of the whole suite: which tests share a worker, what runs first, what is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from pvm_resources.signals import restore_handlers
from tests import reaper

pytest_plugins = (
    "tests.fixtures_db", "tests.fixtures_brokers", "tests.fixtures_browser", "tests.fixtures_faces",
    "tests.fixtures_s3",
)  # fmt: skip

# A suite in the background of a script would start every child with SIGINT ignored.
restore_handlers()

# A machine that is busy with other workers makes no test false.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
ROOT = Path(__file__).resolve().parent.parent
#: Files that share what is expensive to start (a platform, a home with a job): one worker runs them all.
_TOGETHER = {
    file: group
    for group, files in {
        "started platform": ("test_api_job", "test_dagster_ui"),
        "home with jobs": (
            "test_whole_job", "test_bad_inputs", "test_odd_inputs", "test_industries_and_rules",
            "test_models_and_evaluate", "test_cli_faults", "test_feed_job", "test_backup_restore",
            "test_newcomer",
        ),
        "review page": ("test_browser", "test_accessible", "test_screens", "test_many", "test_report_page"),
        "jobs in process": (
            "test_job", "test_faults", "test_purged_job", "test_written_events", "test_structure",
            "test_event_log_redactor", "test_inbox", "test_run_status", "test_dagster_resources",
            "test_blurred_evidence",
        ),
        "learned models": ("test_model_loading", "test_models"),
    }.items()
    for file in files
}  # fmt: skip
#: What starts first: the groups and files that take longest, longest first. Each of four workers is given its
#: next file as it starts one, so that behind the first four come short ones.
_LONG = (
    "started platform", "home with jobs", "jobs in process", "test_sources_job", "test_scoring",
    "test_phases", "test_exits", "test_lines", "review page", "test_openapi", "test_bus", "test_server",
    "test_delivery", "test_killed_suite", "learned models",
)  # fmt: skip


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


@pytest.fixture(autouse=True)
def _as_found() -> Iterator[None]:
    """Environment and file mask as they were before the test: what runs in this process may set both."""
    before = dict(os.environ)
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring material (photos, cases, weights, specs); skips where it is absent."""
    folder = Path(os.environ.get("PVM_SHARED", ROOT.parent / "shared"))
    if not (folder / "photos").is_dir():
        pytest.skip(f"{folder} holds no photos: set PVM_SHARED to the folder of measuring material")
    return folder
