"""What a started platform takes while nothing is to be done: CPU and memory of each of its processes.

    pvm up
    python bench/bench_idle.py --seconds 120

CPU is user and system of each service's process tree, those that ended included; memory is proportional (a
page that four processes share counts a quarter in each). Linux only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from tree_cpu import tree_cpu

from pvm_cli.processes import ServiceFolder
from pvm_cli.services import SERVICES
from pvm_resources.settings import load_settings


def main() -> None:
    """Prints a line for each service, and their sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=120.0)
    given = parser.parse_args()
    roots = find_roots(load_settings().home)
    before, began = _cpu(roots), time.monotonic()
    time.sleep(given.seconds)
    lasted = time.monotonic() - began
    after = _cpu(roots)
    memory = {name: _tree_pss(pid) for name, pid in roots.items()}
    connections = _server_processes(roots)
    for name in roots:
        _print(name, (after[name] - before[name]) / lasted, memory[name])
    _print("all", sum(after.values()) / lasted - sum(before.values()) / lasted, sum(memory.values()))
    print(f"{connections} processes of the server; {lasted:.0f} s")


def find_roots(home: Path) -> Mapping[str, int]:
    """Service -> process id of its first process."""
    folder = ServiceFolder(home)
    found = {name: service.pid for name in SERVICES if (service := folder.find(name)) is not None}
    for file in home.glob("**/postmaster.pid"):
        found["postgres"] = int(file.read_text(encoding="utf-8").splitlines()[0])
    if not found:
        raise SystemExit("nothing runs: pvm up")
    return found


def _cpu(roots: Mapping[str, int]) -> Mapping[str, float]:
    return {name: tree_cpu(pid) for name, pid in roots.items()}


def _tree_pss(pid: int) -> float:
    parent = psutil.Process(pid)
    return sum(_pss(one.pid) for one in (parent, *parent.children(recursive=True)))


def _pss(pid: int) -> float:
    """MiB; 0 where the process ended meanwhile."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def _server_processes(roots: Mapping[str, int]) -> int:
    pid = roots.get("postgres")
    return len(psutil.Process(pid).children()) if pid else 0


def _print(name: str, cores: float, mib: float) -> None:
    print(f"{name:<12} {cores:7.1%} of a core {mib:8.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
