"""Each entry point, started with SIGINT and SIGTERM ignored, can be ended by them again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pvm_resources.process_pool import WorkPool
from tests.standins.running import ended

_ROOT = Path(__file__).resolve().parents[2]
_TELL = "print(*(signal.getsignal(n) not in (signal.SIG_IGN, None) for n in (signal.SIGINT, signal.SIGTERM)))"
_ENTRIES = {
    "command line": f"import pvm_cli.main as m; m.get_command = lambda app: lambda: {_TELL}; m.main()",
    "API": "import runpy, uvicorn, pvm_resources.postgres.driver; "
    f"uvicorn.Server.run = lambda self: (setattr(self, 'started', True), {_TELL}); "
    "runpy.run_module('pvm_api.server', run_name='__main__')",
    "code server": f"import definitions; {_TELL}",
    "tests": f"import tests.conftest; {_TELL}",
}
#: Dagster copies SIGINT's handler onto SIGTERM; `{0}` stands where an entry point begins.
_DAGSTER = """
import time
from dagster._utils.interrupts import setup_interrupt_handlers
{0}
setup_interrupt_handlers()
print("ready", flush=True)
time.sleep(60)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=_ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=_ignore
    )


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in _ENTRIES.items()])
def test_an_entry_point_restores_what_was_ignored(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path))
    monkeypatch.setenv("PVM_DATABASE_URL", "postgresql://nobody@localhost/none")
    with ended(_python(f"import signal; {code}")) as process:
        told, _ = process.communicate(timeout=60)
    assert told.split() == ["True", "True"]


@pytest.mark.parametrize(("start", "status"), [("", -signal.SIGKILL), ("restore_handlers()", -signal.SIGINT)])
def test_sigterm_ends_a_process_in_which_dagster_has_set_its_handlers(start: str, status: int) -> None:
    code = _DAGSTER.format(f"from pvm_resources.signals import restore_handlers\n{start}")
    with ended(_python(code), limit_s=3.0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # Dagster makes of SIGTERM what SIGINT is: a KeyboardInterrupt, after which Python ends by SIGINT.
    assert process.returncode == status


def test_a_pool_worker_ends_on_sigterm_whatever_its_parent_ignores() -> None:
    code = "from tests.pvm_resources.test_signals import worker_status; print(worker_status())"
    with ended(_python(code)) as process:
        told, _ = process.communicate(timeout=60)
    assert told.strip() == str(-signal.SIGTERM)


def worker_status() -> int:
    """How a pool's worker ends that gets SIGTERM once it has begun to work."""
    with WorkPool(1) as pool:
        assert [done.unwrap() for done in pool.map(_same, [7])] == [7]
        (worker,) = pool._pool
        worker.process.terminate()
        return worker.status()


def _same(_state: object, item: int) -> int:
    return item


def test_a_stand_in_that_does_not_end_is_killed() -> None:
    begun = time.monotonic()
    with ended(_python(_STUBBORN), limit_s=0.2) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - begun < 30
