"""A health check for containers: ``python -m pvm_cli.probe URL`` ends with 0 where the URL answers with 200,
else with 1. Slim images have no curl."""

from __future__ import annotations

import sys

from pvm_cli.services import answers


def main() -> int:
    """The process."""
    return 0 if answers(sys.argv[1]) else 1


if __name__ == "__main__":
    sys.exit(main())
