"""What a deployment needs once before its processes start: ``python -m pvm_cli.prepare``.

Brings schema and Dagster's home up to date and limits the pool `gpu`, as `pvm up` and `pvm run` do.
"""

from __future__ import annotations

import sys

from pvm_core.errors import PvmError
from pvm_resources.private import keep_private


def main() -> int:
    """The process; its exit code is that of `pvm`."""
    from pvm_assets.execution.bootstrap import bootstrap, dagster_instance
    from pvm_resources.settings import load_settings

    try:
        platform = bootstrap(load_settings())
        try:
            with dagster_instance():
                print("the databases and Dagster's home are ready")
        finally:
            platform.close()
    except PvmError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    keep_private()
    sys.exit(main())
