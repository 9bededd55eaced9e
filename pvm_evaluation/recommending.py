"""How well similar products and recommendations are ranked, on a shop whose groups and videos are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from pvm_core.arrays import F32, F64
from pvm_core.recommending.ranking import blend, co_appearance, diversify, popularity
from pvm_core.text_vectors.fitting import fit
from pvm_core.text_vectors.tokens import product_text
from pvm_demo.shop import Shop

AT: Final = 10
#: Gain of a product of the same group, and of another of the same department.
_GAINS: Final = (2.0, 1.0)
_SEED: Final = 12
#: Orders by chance of one product's others, and resamples of an interval.
_ORDERS: Final = 200
_RESAMPLES: Final = 2_000


def ndcg(gains: F64, at: int = AT) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002) of a ranking.

    Args:
        gains: float64 (N,), >= 0, of all items in the order of the ranking; some are above 0.
    """
    discounts = 1.0 / np.log2(np.arange(2, at + 2))
    best = np.sort(gains)[::-1][:at]
    ideal = float(best @ discounts[: len(best)])
    return float(gains[:at] @ discounts[: len(gains[:at])]) / ideal if ideal else 0.0


@dataclass(frozen=True)
class Ranking:
    """Mean nDCG@10 of a way to rank, and over how many products.

    Attributes:
        interval: of the mean, 95 %, by resampling of videos (Efron 1979); None where it was not taken.
    """

    name: str
    ndcg: float
    queries: int
    interval: tuple[float, float] | None = None


def similar_rankings(shop: Shop, weights: Mapping[str, float]) -> list[Ranking]:
    """Similar products by look, by words and by both, against popularity and chance. A product of the same
    group has a gain of 2, another of its department 1.

    Args:
        weights: of ``look`` and ``text``.
    """
    group = np.array([one.group for one in shop.products])
    department = np.array([one.department for one in shop.products])
    kinds = likenesses(shop)
    rng = np.random.default_rng(_SEED)
    shown = Counter(number for video in shop.videos for number in video)
    count = len(shop.products)
    both = sum(weights[kind] * np.maximum(kinds[kind], 0) for kind in weights)
    scores = {
        **kinds, "both": both,
        "popularity": np.tile([shown[n] for n in range(count)], (count, 1)).astype(float),
        "random": rng.random((count, count)),
    }  # fmt: skip
    found = []
    for name, matrix in scores.items():
        ranked = np.array(matrix, np.float64)
        np.fill_diagonal(ranked, -np.inf)
        order = np.argsort(-ranked, axis=1, kind="stable")[:, :-1]
        gains = _GAINS[0] * (group[order] == group[:, None]) + _GAINS[1] * (
            (department[order] == department[:, None]) & (group[order] != group[:, None])
        )
        found.append(Ranking(name, float(np.mean([ndcg(row) for row in gains])), count))
    return found


def recommendation_rankings(
    shop: Shop, weights: Mapping[str, float], diversity: float, train_share: float = 0.7
) -> list[Ranking]:
    """What to show beside a product: learnt from the first videos, judged by the later ones, in which a
    product that appears beside it has a gain of 1; with each kind of evidence alone, and without it.

    Args:
        weights: of ``seen``, ``look``, ``text``, ``popular``.
    """
    cut = round(len(shop.videos) * train_share)
    wanted: dict[int, set[int]] = {}
    for one, other in _pairs(shop.videos[cut:]):
        wanted.setdefault(one, set()).add(other)
        wanted.setdefault(other, set()).add(one)
    parts = _evidence(likenesses(shop), shop.videos[:cut])
    rng = np.random.default_rng(_SEED)
    found = [
        Ranking(
            name,
            float(np.mean([_of(one, others, parts, way, diversity) for one, others in wanted.items()])),
            len(wanted),
        )
        for name, way in _ways(weights).items()
    ]
    chance = [
        ndcg(np.isin(rng.permutation(len(shop.products)), list(others)).astype(float))
        for others in wanted.values()
    ]
    return [*found, Ranking("random", float(np.mean(chance)), len(wanted))]


def held_out_rankings(
    likeness: Mapping[str, F32],
    videos: Sequence[tuple[int, ...]],
    weights: Mapping[str, float],
    diversity: float,
) -> list[Ranking]:
    """What to show beside a product, for videos that are few: each is held out in turn, learnt from are the
    others, and of each of its products its other ones are wanted, with a gain of 1.

    Args:
        likeness: cosines of all pairs by ``look`` and by ``text``: float32 (N, N).
        videos: the products that each shows, as numbers below N; at least one shows two.
        weights: as of `recommendation_rankings`.
    """
    rng = np.random.default_rng(_SEED)
    ways = _ways(weights)
    count = len(next(iter(likeness.values())))
    values: dict[str, list[list[float]]] = {name: [] for name in (*ways, "random")}
    for place, video in enumerate(videos):
        if len(video) < 2:
            continue
        parts = _evidence(likeness, [other for n, other in enumerate(videos) if n != place])
        asked = {one: set(video) - {one} for one in video}
        for name, way in ways.items():
            values[name].append([_of(one, rest, parts, way, diversity) for one, rest in asked.items()])
        values["random"].append([_by_chance(count, rest, rng) for rest in asked.values()])
    return [_resampled(name, found) for name, found in values.items()]


def _ways(weights: Mapping[str, float]) -> dict[str, Mapping[str, float]]:
    """All kinds of evidence, each alone, and all but each."""
    return {
        "all": weights,
        **{f"{kind} alone": {kind: 1.0} for kind in weights},
        **{f"without {kind}": {k: v for k, v in weights.items() if k != kind} for kind in weights},
    }


def _by_chance(count: int, wanted: set[int], rng: np.random.Generator) -> float:
    """Mean over many orders of the other products, since the videos are few."""
    gains = np.zeros(count - 1)
    gains[: len(wanted)] = 1.0
    return float(np.mean([ndcg(rng.permutation(gains)) for _ in range(_ORDERS)]))


def _resampled(name: str, values: Sequence[Sequence[float]]) -> Ranking:
    """The mean over products, its interval over videos: products of one video are no independent cases."""
    sums, counts = np.array([sum(one) for one in values]), np.array([len(one) for one in values])
    drawn = np.random.default_rng(_SEED).integers(0, len(values), (_RESAMPLES, len(values)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = (float(value) for value in np.quantile(means, (0.025, 0.975)))
    return Ranking(name, float(sums.sum() / counts.sum()), int(counts.sum()), (low, high))


def likenesses(shop: Shop) -> dict[str, F32]:
    """Cosines of all pairs by look and by words: float32 (N, N)."""
    texts = [product_text(one.name, one.description, one.category) for one in shop.products]
    words = fit(texts).vectors(texts)
    looks = np.stack([one.look for one in shop.products])
    return {"look": looks @ looks.T, "text": words @ words.T}


@dataclass(frozen=True, eq=False)
class _Evidence:
    likeness: Mapping[str, F32]
    shown: Counter[int]
    together: Counter[tuple[int, int]]


def _evidence(likeness: Mapping[str, F32], videos: Sequence[tuple[int, ...]]) -> _Evidence:
    return _Evidence(
        likeness, Counter(number for video in videos for number in video), Counter(_pairs(videos))
    )


def _pairs(videos: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    for video in videos:
        yield from combinations(sorted(video), 2)


def _of(
    one: int, wanted: set[int], found: _Evidence, weights: Mapping[str, float], diversity: float
) -> float:
    text = found.likeness["text"]
    most = max(found.shown.values(), default=0)
    ranked = []
    for other in range(len(text)):
        if other == one:
            continue
        parts = {kind: float(matrix[one, other]) for kind, matrix in found.likeness.items()}
        if found.shown[one]:
            parts["popular"] = popularity(found.shown[other], most)
            both = found.together[min(one, other), max(one, other)]
            parts["seen"] = co_appearance(both, found.shown[one], found.shown[other])
        ranked.append(blend(other, parts, weights))
    best = sorted(ranked, key=lambda item: (-item.score, item.item))
    head = diversify(best[: 4 * AT], lambda a, b: max(0.0, float(text[a, b])), diversity, AT)
    listed = [item.item for item in head]
    rest = [item.item for item in best if item.item not in set(listed)]
    return ndcg(np.array([float(number in wanted) for number in (*listed, *rest)]))
