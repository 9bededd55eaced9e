"""`pvm evaluate`: measures on labelled pictures, and fits the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pvm_cli.console import err, note, out
from pvm_cli.tables import print_table
from pvm_core.errors import InputError
from pvm_core.printable import printable

if TYPE_CHECKING:
    from pvm_core.rules import Rules
    from pvm_core.scoring.calibration import Calibration
    from pvm_core.scoring.pair import PairScore
    from pvm_evaluation.folders import CaseFolder, PhotoSet
    from pvm_evaluation.measure import RawPair, Setting
    from pvm_resources.settings import Settings

    Scored = list[tuple[RawPair, PairScore]]

#: Features that measure colour; without them an ablation shows what colour is worth.
_COLOUR: Final = ("colour_corr", "lab_corr", "colour_gap", "colour_worst")


@dataclass(frozen=True)
class Row:
    """A line of the table: how one term or one score ranks, and what it accepts.

    Attributes:
        name: the term or the variant.
        auc, recall: ranking of pairs: area under the ROC curve, recall at 1 % false positives.
        accepted, wrong: matches at ACCEPT; None for a term, which accepts nothing alone.
        precision, bound, found: precision, its one-sided 95 % lower bound, recall of true matches.
    """

    name: str
    auc: float
    recall: float
    accepted: int | None = None
    wrong: int | None = None
    precision: float | None = None
    bound: float | None = None
    found: float | None = None


def evaluate(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Photo sets (pairs.csv, reference/, scene/) or cases (products.csv, videos/, truth.csv).",
            show_default=False,
        ),
    ],
    embed_model: Annotated[
        str, typer.Option("--embed-model", help="Embedder by name; see pvm models list.")
    ] = "classic",
    segmenter: Annotated[str, typer.Option("--segmenter", help="Segmenter by name.")] = "classic",
    rule_set: Annotated[str, typer.Option("--rule-set", help="Named rules.")] = "default",
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", min=1, help="Candidates a frame that are verified; default all pairs."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="A calibration file instead of the shipped one."),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option("--fit", help="Fit a calibration on all folders and write it to this file."),
    ] = None,
    local_features: Annotated[
        str,
        typer.Option("--local-features", help="Learned local features: auto (as jobs), none, xfeat+mutual."),
    ] = "auto",
    text_reader: Annotated[
        str,
        typer.Option("--text-reader", help="Reader of words on packs: auto (as jobs), none, rapidocr."),
    ] = "auto",
    ablations: Annotated[
        bool, typer.Option("--ablations/--no-ablations", help="Measure without masks and without colour too.")
    ] = True,
) -> None:
    """Measures on labelled pictures, and fits the calibration.

    Prints for each folder: retrieval recall at 1, 5 and 20; how well each term
    and the score rank true pairs (AUC, recall at 1 % false positives); what is
    accepted (precision, its one-sided 95 % bound, recall), under the shipped
    calibration and under one fitted on all folders with the product in question
    left out; and the same without masks and without colour.

    [bold]Examples[/bold]

      pvm evaluate photos/grocery

      pvm evaluate my-labels/ photos/grocery --fit calibration.json
    """
    from pvm_core.local_features import choose_local
    from pvm_core.scoring.calibration import load_calibration
    from pvm_core.text import choose_reader
    from pvm_evaluation.measure import Setting
    from pvm_resources.models.calibrations import calibration_of
    from pvm_resources.settings import load_settings

    settings = load_settings()
    rules = settings.rules_of(rule_set, {})
    local = choose_local(local_features)
    setting = Setting(embed_model, segmenter, settings.models, rules, top_k, local)
    if calibration is not None:
        current = load_calibration(calibration, embed_model)
    else:
        current = calibration_of(settings.models, embed_model)
    evaluate_folders(folders, setting, settings, current, fit, ablations, choose_reader(text_reader))


def evaluate_folders(
    folders: Sequence[Path],
    setting: Setting,
    settings: Settings,
    calibration: Calibration,
    fit: Path | None,
    ablations: bool,
    reader: str = "none",
) -> None:
    """Measures `folders`, prints what `evaluate` says, and fits where `fit` names a file."""
    from pvm_evaluation.folders import open_folder

    measured: list[_Measured] = []
    for folder in [open_folder(path) for path in folders]:
        pairs = _worded(folder, _measure(folder, setting, settings), setting, settings, calibration, reader)
        bare = _measure(folder, _without_masks(setting), settings) if ablations else None
        measured.append(_Measured(folder, pairs, bare))
    for each in measured:
        _report(each, measured, calibration, setting.rules)
    if fit is not None:
        _fit(fit, {m.folder.name: m.pairs for m in measured}, setting)


@dataclass(frozen=True)
class _Measured:
    """A folder with its pairs, and the same pairs measured without masks; None where not requested."""

    folder: PhotoSet | CaseFolder
    pairs: list[RawPair]
    bare: list[RawPair] | None


def _measure(folder: PhotoSet | CaseFolder, setting: Setting, settings: Settings) -> list[RawPair]:
    from pvm_evaluation.measure import measure
    from pvm_resources.process_pool import WorkPool

    how = "" if setting.segmenter else " without masks"
    with err().status(f"measuring {folder.name}{how}"), WorkPool(settings.worker_count) as pool:
        return measure(folder, setting, pool)


def _worded(
    folder: PhotoSet | CaseFolder, pairs: list[RawPair], setting: Setting, settings: Settings,
    calibration: Calibration, reader: str,
) -> list[RawPair]:  # fmt: skip
    """The pairs, with the words that a job would read of them."""
    from pvm_core.text import NONE
    from pvm_evaluation.words import with_words
    from pvm_resources.process_pool import WorkPool

    if reader == NONE or not setting.rules.word_term:
        return pairs
    with err().status(f"reading words of {folder.name}"), WorkPool(settings.worker_count) as pool:
        return with_words(folder, pairs, reader, setting.rules, calibration, pool)


def _without_masks(setting: Setting) -> Setting:
    from dataclasses import replace

    return replace(setting, segmenter="")


def without_colour(pairs: Sequence[RawPair]) -> list[RawPair]:
    """The pairs as a colour-blind verifier would have measured them."""
    from dataclasses import replace

    blind: dict[str, Any] = dict.fromkeys(_COLOUR)
    return [
        pair if pair.evidence is None else replace(pair, evidence=replace(pair.evidence, **blind))
        for pair in pairs
    ]


def _report(each: _Measured, measured: Sequence[_Measured], shipped: Calibration, rules: Rules) -> None:
    from rich.text import Text

    from pvm_evaluation.metrics import retrieval_recall, score_pairs, true_count

    folder, pairs = each.folder, each.pairs
    recalls = ", ".join(f"{share:.3f} at {k}" for k, share in retrieval_recall(pairs).items())
    found = f": {true_count(pairs)} true pairs; retrieval recall {recalls}"
    out().print(Text.assemble("\n", (printable(folder.name), "bold"), found))
    scored = score_pairs(pairs, shipped, rules)
    rows = [*terms(scored), variant(f"score, {shipped.name}", pairs, scored, shipped, rules)]
    if each.bare is not None:
        bare = score_pairs(each.bare, shipped, rules)
        rows.append(variant("  without masks", each.bare, bare, shipped, rules))
    try:
        rows += _held_out_rows(each, measured, shipped, rules)
    except InputError as error:
        if error.code != "calibration.samples":
            raise
        note(f"{folder.name}: {error.reason}, so none is fitted here; name more folders with it")
    _print(rows)


def _held_out_rows(
    each: _Measured, measured: Sequence[_Measured], shipped: Calibration, rules: Rules
) -> list[Row]:
    """The folder judged by calibrations fitted on all folders without the product in question."""
    from pvm_evaluation.fitting import cross_validate, to_samples

    every = [pair for m in measured for pair in m.pairs]
    variants = {"score, product out": (each.pairs, every)}
    if each.bare is not None:
        bare = [pair for m in measured for pair in m.bare or ()]
        variants["  without masks "] = (each.bare, bare)
        variants["  without colour"] = (without_colour(each.pairs), without_colour(every))
    rows = []
    for name, (judged, known) in variants.items():
        scored = cross_validate(judged, to_samples(known), shipped.embedder, rules)
        rows.append(variant(name, judged, scored, shipped, rules))
    return rows


def terms(scored: Scored) -> list[Row]:
    """Each term alone."""
    from pvm_evaluation.metrics import rank_terms

    rankings = rank_terms(scored, ("sim_deep", "sim_kp", "sim_edge"))
    return [Row(f"{r.term} alone", r.auc, r.recall) for r in rankings]


def variant(
    name: str,
    pairs: Sequence[RawPair],
    scored: Scored,
    calibration: Calibration,
    rules: Rules,
) -> Row:
    """A score: how it ranks, and what it accepts."""
    from pvm_evaluation.metrics import decide_pairs, precision_of, rank_terms, true_count

    (ranking,) = rank_terms(scored, ("score_pair",))
    decided = decide_pairs(scored, rules, calibration)
    said = precision_of(decided, true_count(pairs), rules.accept)
    return Row(
        name, ranking.auc, ranking.recall, said.accepted, said.wrong, said.precision, said.bound, said.recall
    )


def _fit(target: Path, measured: dict[str, list[RawPair]], setting: Setting) -> None:
    from pvm_core.embedders import load_embedder
    from pvm_core.scoring.calibration import to_json
    from pvm_evaluation.fitting import fit
    from pvm_evaluation.metrics import decide_pairs, precision_of, true_count

    pairs = [pair for found in measured.values() for pair in found]
    embedder = load_embedder(setting.embedder, setting.models_dir)
    provenance = {"folders": sorted(measured), "pairs": len(pairs), "true": true_count(pairs)}
    with err().status("fitting"):
        fitted = fit(
            pairs,
            setting.embedder,
            target.stem,
            setting.rules,
            embedder_key=embedder.key,
            provenance=provenance,
            learned_by=setting.local_features,
        )
    try:
        target.write_text(to_json(fitted.calibration), encoding="utf-8")
    except OSError as error:
        raise InputError(
            "evaluate.write", str(target), str(error.strerror), "Name a file you may write"
        ) from error
    decided = decide_pairs(fitted.held_out, setting.rules, fitted.calibration)
    said = precision_of(decided, true_count(pairs), setting.rules.accept)
    out().print(
        f"\nfitted on {', '.join(sorted(measured))}: {target}\n"
        f"judged without their product: {said.accepted} accepted, {said.wrong} wrong, "
        f"precision {said.precision:.3f} (>= {said.bound:.3f}), recall {said.recall:.3f}",
        soft_wrap=True,
    )
    _print_reliability(decided)


def _print_reliability(decided: Sequence[Any]) -> None:
    from pvm_evaluation.metrics import reliability

    print_table(
        ("score", "matches", "mean score", "share true"),
        (
            (f"{e.low:.1f} to {e.high:.1f}", e.count, f"{e.mean:.3f}", f"{e.true:.3f}")
            for e in reliability(decided)
            if e.count
        ),
        title="reliability",
    )


def _print(rows: Sequence[Row]) -> None:
    figures = ("AUC", "R@1%FP", "accepted", "wrong", "precision", "bound", "recall")
    print_table(("", *figures), map(_cells, rows), cut=("",), numbers=figures)


def _cells(row: Row) -> Sequence[object]:
    values = (row.auc, row.recall, row.accepted, row.wrong, row.precision, row.bound, row.found)
    return row.name, *(f"{value:.3f}" if isinstance(value, float) else value for value in values)
