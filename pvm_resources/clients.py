"""Clients of servers that few need: installed as extras, asked for where a setting wants one."""

from __future__ import annotations

from importlib.util import find_spec

from pvm_core.errors import InputError, StoreError


def installed(package: str, extra: str) -> None:
    """Checks that a client is there.

    Raises:
        StoreError: ``service.client``, naming the extra that has it.
    """
    if find_spec(package) is None:
        raise StoreError(
            "service.client", package, "it is not installed", f"pip install 'product-video-matching[{extra}]'"
        )


def missing(variable: str, kind: str) -> InputError:
    """The error of a setting without which a kind of server cannot be used."""
    return InputError(
        "settings.invalid", variable, f"{kind} needs it", "Set it in the environment or in .env"
    )
