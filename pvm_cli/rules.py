"""`pvm rules`: thresholds and weights, per industry."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pvm_cli.console import note
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.tables import AsJson, Cell, cell_text, print_json, print_table
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_resources.store.records import Industry

app = command_group(
    """Rules: every threshold and weight of a job.

A named set, then the industry's own values, then the environment; later wins.
A change is picked up by the next step that starts.

  pvm rules show --industry "gối công thái học"

  pvm rules set -i "gối công thái học" accept=0.85 retrieval_topk=40
"""
)

_Industry = Annotated[str, typer.Option("--industry", "-i", help="Name or slug.", show_default=False)]


@app.command()
def sets() -> None:
    """Shows the named rule sets side by side; what differs is bold."""
    from pvm_jobs.rules import RULE_SETS

    values = [asdict(rules) for rules in RULE_SETS.values()]
    print_table(
        ("rule", *RULE_SETS),
        (
            _row(len({of_set[field] for of_set in values}) > 1, field, *(of_set[field] for of_set in values))
            for field in values[0]
        ),
    )


@app.command()
def show(
    industry: Annotated[
        str | None, typer.Option("--industry", "-i", help="Name or slug; without it the machine's rules.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Shows each rule's value and its origin."""
    from pvm_resources.settings import load_settings

    settings = load_settings()
    rule_set, own = "default", {}
    if industry is not None:
        with opened() as session:
            found = session.store.industries.get(industry)
        rule_set, own = found.rule_set, found.rules
    values = asdict(settings.rules_of(rule_set, own))
    if as_json:
        print_json(values)
        return
    _print(values, rule_set, settings.rules_overrides(), own)


@app.command("set")
def set_values(
    industry: _Industry,
    values: Annotated[
        list[str] | None, typer.Argument(help="FIELD=VALUE, e.g. accept=0.85.", show_default=False)
    ] = None,
    rule_set: Annotated[
        str | None, typer.Option("--rule-set", help="The named set to start from.", show_default=False)
    ] = None,
) -> None:
    """Sets rules of an industry, all or none of those given."""
    if not values and rule_set is None:
        raise InputError("rules.none", "pvm rules set", "nothing is given to set", "Write FIELD=VALUE")
    with opened() as session:
        found = session.store.industries.get(industry)
        chosen, own = rule_set or found.rule_set, {**found.rules, **_parsed(values or [])}
        _store(session.store.industries.set_rules, found, chosen, own)


@app.command()
def unset(
    industry: _Industry,
    fields: Annotated[
        list[str] | None, typer.Argument(help="Fields; none: all of the industry's own.", show_default=False)
    ] = None,
) -> None:
    """Takes rules of an industry back to its set."""
    with opened() as session:
        found = session.store.industries.get(industry)
        unknown = [f for f in fields or [] if f not in found.rules]
        if unknown:
            raise InputError(
                "rules.not_set", ", ".join(unknown), "the industry does not set it", "See pvm rules show"
            )
        own = {k: v for k, v in found.rules.items() if fields and k not in fields}
        _store(session.store.industries.set_rules, found, found.rule_set, own)


def _store(write: Any, industry: Industry, rule_set: str, own: dict[str, Any]) -> None:
    from pvm_jobs.rules import own_values

    typed = own_values(rule_set, own)
    write(industry.slug, rule_set, typed)
    shown = ", ".join(f"{k}={_text(v)}" for k, v in typed.items()) or "no values of its own"
    note(f"{industry.name}: rule set {rule_set}, {shown}")


def _parsed(values: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError("rules.syntax", text, "it is not FIELD=VALUE", "Write e.g. accept=0.85")
        found[name.strip()] = value.strip()
    return found


def _print(values: dict[str, Any], rule_set: str, environment: dict[str, Any], own: dict[str, Any]) -> None:
    def origin(name: str) -> str:
        return "environment" if name in environment else "industry" if name in own else f"set {rule_set}"

    print_table(
        ("rule", "value", "from"),
        (_row(name in {*own, *environment}, name, value, origin(name)) for name, value in values.items()),
    )


def _row(bold: bool, *values: object) -> list[Cell]:
    return [(_text(value), "bold" if bold else "") for value in values]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else cell_text(value)
