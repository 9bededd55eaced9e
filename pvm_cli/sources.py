"""`pvm sources`: what each source needs and allows, and whether it is set up on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pvm_cli.console import note, out
from pvm_cli.session import opened
from pvm_cli.states import STATE_STYLES, sentence
from pvm_cli.tables import AsJson, Cell, print_json, print_table
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_jobs.source_policy import SourcePolicy
    from pvm_resources.settings import Settings
    from pvm_resources.sources.readiness import Readiness

_WORDS = {"ok": "ready", "partial": "ready, with a lack", "not_configured": "not configured"}


@dataclass(frozen=True)
class SourceView:
    """A source with what its terms allow; `used` counts today's calls (UTC), None where none are counted."""

    ready: Readiness
    policy: SourcePolicy
    used: int | None


def sources(as_json: AsJson = False) -> None:
    """Shows all sources: whether they are set up here, today's calls, what their terms allow.

    Makes no network calls. docs/sources.md says how to get each credential.
    """
    from pvm_resources.settings import load_policies, load_settings
    from pvm_resources.sources.readiness import readiness

    settings = load_settings()
    policies = load_policies(settings)
    found = list(readiness(settings))
    used = _used(settings, found)
    views = [SourceView(one, policies[one.status.source], used.get(one.status.source)) for one in found]
    if as_json:
        print_json({"sources": [_as_json(view) for view in views]})
    else:
        _print(views)


def _used(settings: Settings, found: Sequence[Readiness]) -> dict[str, int]:
    """Today's calls of the accounts that are set up; zero where there is no database yet."""
    counted = {one.status.source: one.account for one in found if one.account is not None}
    if not counted:
        return {}
    try:
        with opened() as session:
            quotas = session.store.quotas
            return {source: quotas.used(source, account) for source, account in counted.items()}
    except InputError as error:
        if error.code != "home.empty":
            raise
        return dict.fromkeys(counted, 0)


def _print(views: Sequence[SourceView]) -> None:
    columns = ("source", "gives", "here", "calls today", "pictures, videos", "may train")
    print_table(columns, map(_row, views), whole=columns)
    out().print()
    for view in views:
        for line in _remarks(view):
            out().print(f"{view.ready.status.source}: {line}", soft_wrap=True)
    note("what a machine of yours may do besides is set in PVM_SOURCE_POLICIES; see docs/sources.md")


def _row(view: SourceView) -> Sequence[Cell]:
    status = view.ready.status
    return (
        status.source,
        view.ready.kind,
        (_WORDS[status.state], STATE_STYLES.get(status.state, "red")),
        "" if view.used is None else f"{view.used:,} of {view.ready.daily_calls:,}",
        _kept(view.policy),
        view.policy.may_train,
    )


def _kept(policy: SourcePolicy) -> str:
    if not policy.store_media:
        return "for a job only"
    return "no limit" if policy.max_age_h is None else f"kept {policy.max_age_h:g} h"


def _remarks(view: SourceView) -> list[str]:
    status, policy = view.ready.status, view.policy
    said = [sentence(status.reason, status.remedy)]
    if policy.attribution:
        said.append(f'show "{policy.attribution}"')
    if policy.terms_url:
        said.append(f"terms {policy.terms_url}")
    return [line for line in said if line]


def _as_json(view: SourceView) -> dict[str, Any]:
    status = asdict(view.ready.status)
    return {
        "source": status.pop("source"),
        "kind": view.ready.kind,
        **status,
        "calls_today": view.used,
        "calls_a_day": view.ready.daily_calls,
        "policy": asdict(view.policy),
    }
