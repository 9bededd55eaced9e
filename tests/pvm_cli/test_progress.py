"""What a run shows while it goes on."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

import pytest

from pvm_cli.console import console_on
from pvm_cli.progress import LiveProgress, Meter
from pvm_core.errors import StoreError
from pvm_resources.store.records import Progress


def test_a_stage_is_described_by_its_counts_rate_and_what_it_reused() -> None:
    seconds: Iterator[float] = iter([0.0, 10.0])
    meter = Meter(clock=lambda: next(seconds))

    assert meter.describe(Progress("keyframes", 30, 1_904, 30)) == "30/1,904  30 reused"
    # 50 new items in ten seconds; the reused ones count for no speed.
    assert meter.describe(Progress("keyframes", 180, 1_904, 130)) == "180/1,904  5.0/s  130 reused"


def test_without_a_terminal_each_finished_stage_is_one_line_in_graph_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = [Progress("masks", 4, 4, 1), Progress("products", 2, 2, 0), Progress("matches", 1, 9, 0)]

    with LiveProgress(lambda: counts, console_on(stderr=True)):
        pass

    assert capsys.readouterr().err.splitlines() == ["products         2/2", "masks            4/4  1 reused"]


def test_json_logs_carry_the_counts_as_fields(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_LOG_FORMAT", "json")
    with LiveProgress(lambda: [Progress("masks", 4, 4, 1)], console_on(stderr=True)):
        pass

    record = json.loads(capsys.readouterr().err)
    assert (record["stage"], record["done"], record["reused"]) == ("masks", 4, 1)


def test_on_a_terminal_bars_name_stage_and_counts() -> None:
    console = console_on(file=io.StringIO(), width=100, force_terminal=True)

    with LiveProgress(lambda: [Progress("keyframes", 3, 12, 0)], console):
        pass

    assert "keyframes" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "3/12" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_database_out_of_reach_ends_the_display_and_not_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def poll() -> Sequence[Progress]:
        raise StoreError("database.unreachable", "database", "it is down", "start it", retryable=True)

    with LiveProgress(poll, console_on(stderr=True)):
        done = True

    assert done
    assert "progress is not shown: database: it is down" in capsys.readouterr().err


def test_an_error_of_the_run_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), LiveProgress(list, console_on(file=io.StringIO())):
        raise ZeroDivisionError
