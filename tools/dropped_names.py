"""Fails where a tracked file names an event that was dropped for good.

The names are put together here, so that this file does not trip over itself.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_DROPPED = (("features", "ready"), ("features", "extraction", "completed"), ("match", "result", "enriched"))


def dropped() -> list[str]:
    """The names themselves."""
    return [".".join(parts) for parts in _DROPPED]


def occurrences(root: Path = ROOT) -> list[str]:
    """Lines ``path:number:text`` of files known to git under `root` that hold a dropped name."""
    patterns = [option for name in dropped() for option in ("-e", name)]
    found = subprocess.run(
        ["git", "grep", "-nIF", "--untracked", *patterns],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode > 1:
        raise RuntimeError(f"git grep failed in {root}: {found.stderr.strip()}")
    return found.stdout.splitlines()


def main() -> int:
    """Prints every occurrence; exit code 1 where there is one."""
    lines = occurrences()
    for line in lines:
        print(f"dropped event name: {line}", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
