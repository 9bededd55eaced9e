"""Settings: what is set, what is not valid, what is no setting at all."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Final

from pvm_cli.doctor.finding import Finding
from pvm_core.errors import InputError
from pvm_resources.settings import (
    Settings,
    check_api_host,
    given_variables,
    known_variables,
    load_policies,
)

#: Names that begin so are meant for us.
_OURS: Final = ("PVM_",)
#: How alike two names are that are meant to be one, see `difflib`.
_NEAR: Final = 0.8


def configuration(settings: Settings, invalid: Sequence[InputError]) -> Iterator[Finding]:
    """Names that are set, never their values.

    Args:
        invalid: the settings that are not valid, for which `settings` has the defaults.
    """
    section = "settings"
    known = known_variables()
    given = given_variables()
    ours = sorted(name for name in given if name in known)
    yield Finding(section, "set", ", ".join(ours) or "none: all as they are shipped")
    for error in invalid:
        yield Finding(section, error.subject, error.reason, "failed", f"{error.remedy}; see .env.example")
    for name in sorted(given - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near:
            remedy = f"Meant is perhaps {near[0]}"
            yield Finding(section, name, "no setting has this name", "warning", remedy)
        elif name.startswith(_OURS):
            remedy = "Leave it out; .env.example lists all settings"
            yield Finding(section, name, "no setting has this name", "warning", remedy)
    for check in (check_api_host, load_policies):
        try:
            check(settings)
        except InputError as error:
            yield Finding(section, error.subject, error.reason, "failed", error.remedy)
