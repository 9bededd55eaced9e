"""`pvm calibrate`: learns from the verdicts of an industry, and takes nothing that fares worse."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pvm_cli.console import note
from pvm_cli.session import opened
from pvm_cli.tables import AsJson, print_json, print_table
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_evaluation.industry_calibration import Proposal
    from pvm_evaluation.label_fit import Comparison, Doubt, Fares
    from pvm_resources.store.records import Industry

#: Why a fit is not put in force unasked.
_DOUBTS: Final[Mapping[Doubt, str]] = {
    "few": "fewer than 12 verdicts say too little",
    "one_product": "verdicts of a single product compare nothing",
    "one_sided": "all verdicts say the same, so nothing can be told apart",
    "log_loss": "its log loss on verdicts it has not seen is greater",
    "precision": "its precision on verdicts it has not seen is lower",
    "net_benefit": "it loses more right matches than the wrong ones it avoids are worth",
}


def calibrate(
    industry: Annotated[
        str, typer.Option("--industry", "-i", help="Name or slug of the industry.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; what is in force stays.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Put the fit in force even where it fares worse.")
    ] = False,
    revert: Annotated[
        bool, typer.Option("--revert", help="Take back the calibration in force; the one before it counts.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="List this industry's calibrations; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Learns from the verdicts of an industry.

    Fits its right and wrong verdicts, held to the calibration that came with
    pvm; compares the fit with the calibration in force on verdicts that
    neither has learnt from; and puts it in force for later jobs of this
    industry, unless it fares worse.

    [bold]Examples[/bold]

      pvm calibrate -i "gối công thái học" --dry-run

      pvm calibrate -i "gối công thái học"

      pvm calibrate -i "gối công thái học" --revert
    """
    if revert and (dry_run or force):
        raise InputError(
            "calibration.options", "--revert", "it goes with neither --dry-run nor --force", "Give it alone"
        )
    with opened() as session:
        found = session.store.industries.get(industry)
        if history:
            _history(session, found, as_json)
        elif revert:
            _revert(session, found)
        else:
            _calibrate(session, found, dry_run=dry_run, force=force, as_json=as_json)


def _calibrate(session: Session, industry: Industry, *, dry_run: bool, force: bool, as_json: bool) -> None:
    from pvm_evaluation.industry_calibration import install, propose
    from pvm_resources.settings import load_policies

    settings = session.settings
    rules = settings.rules_of(industry.rule_set, industry.rules)
    proposal = propose(session.store, load_policies(settings), settings.models, rules, industry)
    _show(proposal, as_json)
    if not proposal.news:
        note(f"{proposal.current.name} has learnt from these verdicts already: nothing to do")
        return
    if dry_run:
        note("nothing is changed (--dry-run)")
        return
    if proposal.comparison.doubts and not force:
        _confirm(proposal)
    install(session.store, proposal, _who())
    note(f"in force: {proposal.calibration.name}, for every job of {industry.name} from now on")
    note("matches of earlier jobs keep their scores; pvm run on the same sources scores them anew")
    note(f'go back with pvm calibrate -i "{industry.name}" --revert')


def _confirm(proposal: Proposal) -> None:
    """Asks at a terminal; elsewhere refuses.

    Raises:
        InputError: ``calibration.worse``.
    """
    reasons = "; ".join(_DOUBTS[doubt] for doubt in proposal.comparison.doubts)
    if sys.stdin.isatty() and sys.stderr.isatty():
        note(f"{proposal.calibration.name}: {reasons}")
        if typer.confirm("Put it in force nevertheless?", default=False, err=True):
            return
    raise InputError(
        "calibration.worse",
        proposal.industry.name,
        f"the fit is not put in force: {reasons}",
        f"{proposal.current.name} stays in force. Judge more matches, closest calls first, or give --force",
    )


def _revert(session: Session, industry: Industry) -> None:
    from pvm_evaluation.industry_calibration import revert
    from pvm_resources.models.calibrations import calibration_for

    gone, _ = revert(session.store, industry)
    now = calibration_for(session.store.calibrations, session.settings.models, industry.slug, gone.embedder)
    note(f"{gone.calibration.name} is taken back; in force for {industry.name}: {now.name}")


def _history(session: Session, industry: Industry, as_json: bool) -> None:
    rows = session.store.calibrations.history(industry.slug)
    shown = [
        {
            "version": one.version, "name": one.calibration.name, "embedder": one.embedder,
            "in_force": one.in_force and one.usable, "by": one.who, "at": one.created_at, **one.figures,
        }
        for one in rows
    ]  # fmt: skip
    if as_json:
        print_json(shown)
        return
    if not rows:
        note(f"{industry.name} has no calibration of its own; the machine's counts (pvm models list)")
        return
    print_table(
        ("name", "embedder", "in force", "labels", "log loss", "precision", "by", "at"),
        (
            (
                one["name"], one["embedder"], one["in_force"], one["labels"],
                _figure(one["fitted"]["log_loss"]), _figure(one["fitted"]["precision"]), one["by"], one["at"],
            )
            for one in shown
        ),
        whole=("name",),
    )  # fmt: skip


def _show(proposal: Proposal, as_json: bool) -> None:
    compared = proposal.comparison
    if as_json:
        names = {"in_force": proposal.current.name, "fit": proposal.calibration.name}
        left = {"verdicts": proposal.verdicts, "forbidden": proposal.forbidden, "gone": proposal.gone}
        print_json({**names, **left, "news": proposal.news, **compared.figures()})
        return
    note(_learnt(proposal))
    figures = ("log loss", "accepted", "wrong", "precision", "bound", "recall")
    print_table(
        ("on verdicts not learnt from", *figures),
        (
            (f"in force: {proposal.current.name}", *_cells(compared.current)),
            (f"fit: {proposal.calibration.name}", *_cells(compared.fitted)),
        ),
        whole=figures,
        numbers=figures,
    )
    low, mean, high = compared.gain
    note(f"log loss saved: {mean:.3f} (95 % interval {low:.3f} to {high:.3f}; below 0 it is worse)")
    note(
        f"matches of the judged videos that would be accepted: {compared.accepted_after}, "
        f"now {compared.accepted_before}"
    )


def _learnt(proposal: Proposal) -> str:
    compared: Comparison = proposal.comparison
    text = (
        f"{compared.labels} verdicts ({compared.right} right, {compared.labels - compared.right} wrong) "
        f"of {compared.products} products"
    )
    left = [f"{n} whose source ({source}) forbids it" for source, n in sorted(proposal.forbidden.items())]
    if proposal.gone:
        left.append(f"{proposal.gone} whose measurements are gone or were made otherwise")
    return f"{text}; not learnt from: {', '.join(left)}" if left else text


def _cells(fares: Fares) -> tuple[Any, ...]:
    return (
        _figure(fares.log_loss), fares.accepted, fares.wrong, _figure(fares.precision), _figure(fares.bound),
        _figure(fares.recall),
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _who() -> str:
    """Who is at the command line."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user without a name.
        return "pvm"
