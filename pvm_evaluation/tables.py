"""The figures as Markdown, for a terminal and for docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pvm_evaluation.ablations import Ablation
from pvm_evaluation.metrics import FPR, Bin, Precision, Ranking


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ruler, *rows))


def _share(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def retrieval_table(recalls: Mapping[str, Mapping[int, float]]) -> str:
    """Retrieval recall at each K, a line a set."""
    at = sorted({k for r in recalls.values() for k in r})
    return table(
        ["set", *(f"recall@{k}" for k in at)],
        [[name, *(_share(r[k]) for k in at)] for name, r in recalls.items()],
    )


def ranking_table(rankings: Mapping[str, Sequence[Ranking]]) -> str:
    """AUC and recall of every term, a line a set."""
    terms = [r.term for r in next(iter(rankings.values()))]
    rows = [
        [name, *(f"{_share(r.auc)} / {_share(r.recall)}" for r in lines)] for name, lines in rankings.items()
    ]
    return table(["set (AUC / recall at " + f"{FPR:.0%} false)", *terms], rows)


def ablation_table(ablations: Mapping[str, Sequence[Ablation]]) -> str:
    """The score under each change, a line a change, a column a set."""
    names = [a.name for a in next(iter(ablations.values()))]
    rows = [
        [
            name,
            *(
                f"{_share(lines[i].ranking.auc)} / {_share(lines[i].ranking.recall)}"
                for lines in ablations.values()
            ),
        ]
        for i, name in enumerate(names)
    ]
    return table([f"AUC / recall at {FPR:.0%} false", *ablations], rows)


def precision_table(precisions: Mapping[str, Precision]) -> str:
    """Accepted matches against the truth, a line a set."""
    rows = [
        [name, str(p.true), str(p.scored), str(p.accepted), str(p.wrong)]
        + [_share(v) for v in (p.precision, p.bound, p.recall)]
        for name, p in precisions.items()
    ]
    return table(
        ["set", "true", "scored", "accepted", "wrong", "precision", "at least (95 %)", "recall"], rows
    )


def reliability_table(bins: Sequence[Bin]) -> str:
    """The reliability diagram in numbers; empty bins are left out."""
    rows = [
        [f"{b.low:.1f} to {b.high:.1f}", str(b.count), _share(b.mean), _share(b.true)]
        for b in bins
        if b.count
    ]
    return table(["score", "pairs", "mean score", "share true"], rows)
