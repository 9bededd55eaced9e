"""Scores of several kinds of evidence made one, and lists that do not say the same thing ten times."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import log1p, sqrt
from typing import Generic, TypeVar

from pvm_core.rules import Rules

Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True)
class Ranked(Generic[Id]):
    """A product with its score, and what that is made of.

    Attributes:
        score: [0, 1].
        parts: kind of evidence -> [0, 1]; a kind of which nothing is known is not there.
    """

    item: Id
    score: float
    parts: Mapping[str, float]


def similar_weights(rules: Rules) -> dict[str, float]:
    """Weights of look and words where both count."""
    return {"look": rules.similar_weight_look, "text": rules.similar_weight_text}


def recommend_weights(rules: Rules) -> dict[str, float]:
    """Weights of what recommends a product."""
    return {
        "seen": rules.recommend_weight_seen, "look": rules.recommend_weight_look,
        "text": rules.recommend_weight_text, "popular": rules.recommend_weight_popular,
    }  # fmt: skip


def blend(item: Id, parts: Mapping[str, float], weights: Mapping[str, float]) -> Ranked[Id]:
    """The weighted mean over the kinds of evidence that are there: what is missing counts neither for nor
    against. A mean of nothing is 0.

    Args:
        parts: [0, 1] each.
        weights: >= 0, by kind; a kind without a weight does not count.
    """
    known = {kind: min(1.0, max(0.0, value)) for kind, value in parts.items() if weights.get(kind)}
    total = sum(weights[kind] for kind in known)
    score = sum(weights[kind] * value for kind, value in known.items()) / total if total else 0.0
    return Ranked(item, min(1.0, score), known)


def co_appearance(together: int, one: int, other: int) -> float:
    """How far two products appear in the same videos, [0, 1]: the cosine of their sets of videos (Ochiai).

    Args:
        together: videos that show both; one, other: videos that show each.
    """
    return together / sqrt(one * other) if together else 0.0


def popularity(videos: int, most: int) -> float:
    """How popular a product is, [0, 1], by videos that show it; `most`: of the most popular one."""
    return log1p(videos) / log1p(most) if most > 0 else 0.0


def diversify(
    ranked: Sequence[Ranked[Id]], alike: Callable[[Id, Id], float], diversity: float, limit: int
) -> list[Ranked[Id]]:
    """The best `limit`, each chosen for its score less its likeness to those chosen before (maximal marginal
    relevance: Carbonell and Goldstein, SIGIR 1998).

    Args:
        alike: how alike two products are, [0, 1].
        diversity: weight of that likeness, [0, 1]; 0 keeps the order of the scores.
    """
    left = sorted(ranked, key=lambda one: (-one.score, str(one.item)))
    nearest = dict.fromkeys((one.item for one in left), 0.0)
    chosen: list[Ranked[Id]] = []
    while left and len(chosen) < limit:
        best = max(left, key=lambda one: (1 - diversity) * one.score - diversity * nearest[one.item])
        left.remove(best)
        chosen.append(best)
        for one in left:
            nearest[one.item] = max(nearest[one.item], alike(one.item, best.item))
    return chosen
