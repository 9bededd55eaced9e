"""`pvm products consume` as a process: what is published is applied, a signal ends it, figures are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pvm_cli.main import app
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from pvm_resources.streams.factory import get_event_processor

pytestmark = pytest.mark.timeout(240)


def _until(done: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_applies_what_comes_and_a_signal_ends_it(
    number: signal.Signals, repos: Store, database_url: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "PVM_HOME": str(tmp_path), "PVM_DATABASE_URL": database_url}
    processor = get_event_processor(Settings(), repos.database)
    command = [sys.executable, "-m", "pvm_cli.main", "products", "consume", "--consumers", "2"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for n in range(30):
            assert processor.publish_product_created({"id": f"p{n}", "name": f"Lamp {n}"})
        assert processor.publish_product_updated("p0", {"weight": 3})
        query = "SELECT count(*) FROM products WHERE title LIKE 'Lamp %%'"
        _until(lambda: repos.database.value(query) == 30)
        _until(lambda: sum(one.refused for one in repos.stream_progress.totals()) == 1)
        assert repos.stream_progress.consumers()["postgres"][0] >= 1
        began = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert process.returncode == 0, said
        assert "consumers ended" in said
    (totals,) = repos.stream_progress.totals()
    assert (totals.handled, totals.refused, totals.dead) == (30, 1, totals.dead)
    assert totals.batches >= 3
    assert totals.seconds > 0
    assert repos.stream_progress.consumers() == {}, "they signed off"


def test_dead_letters_are_listed_and_replayed(
    repos: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    processor = get_event_processor(Settings(), repos.database)
    assert processor.publish_product_updated("p0", {"weight": 3})
    stream = processor.stream()
    (entry,) = stream.read("test", 10, 100)
    stream.bury(entry, "it has no field 'weight'")
    stream.close()

    def pvm(*words: str) -> str:
        done = CliRunner().invoke(app, ["products", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert "weight" in pvm("dead", "--json")
    assert "1 dead letter is back" in pvm("replay")
    assert "0 dead letters" in pvm("dead")


def test_a_stream_that_lacks_its_address_is_an_error(
    repos: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    monkeypatch.setenv("PRODUCT_STREAM_TYPE", "supabase")
    done = CliRunner().invoke(app, ["products", "consume"])
    assert done.exit_code == 2
    assert "SUPABASE_URL" in done.output
