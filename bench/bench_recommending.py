"""How well similar products and recommendations are ranked: nDCG@10, against popularity and chance.

    .venv/bin/python bench/bench_recommending.py [--products 600] [--videos 900] [--seeds 1 2 3]
        [--case FOLDER]

A made-up shop of 24 groups in three languages (`pvm_demo.shop`), which no model has seen; and a case whose
product ids begin with the name of their collection, which is then the group: similar products by their
pictures, and recommendations by what its clips show together, each clip held out in turn.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from pvm_core.arrays import F32
from pvm_core.embedders import EmbedInput, load_embedder
from pvm_core.images import stored_pixels
from pvm_core.recommending.ranking import recommend_weights, similar_weights
from pvm_core.rules import Rules
from pvm_core.text_vectors.fitting import fit
from pvm_core.text_vectors.tokens import product_text
from pvm_demo.shop import make_shop
from pvm_evaluation.recommending import (
    Ranking,
    held_out_rankings,
    ndcg,
    recommendation_rankings,
    similar_rankings,
)


@dataclass(frozen=True, eq=False)
class Case:
    """Products of a case.

    Attributes:
        ids: as the catalogue gives them.
        likeness: cosines of all pairs by look and by words.
        videos: the products that each clip shows.
    """

    ids: tuple[str, ...]
    likeness: Mapping[str, F32]
    videos: tuple[tuple[int, ...], ...]


def read_case(folder: Path, embedder_name: str) -> Case:
    """Reads catalogue, pictures and truth."""
    rows = list(csv.DictReader((folder / "products.csv").open(encoding="utf-8")))
    embedder = load_embedder(embedder_name, None)
    pictures = [stored_pixels((folder / row["image"]).read_bytes(), row["image"]) for row in rows]
    views = [embedder.embed_views([EmbedInput(rgb)], "product", False)[0].rgb[0] for rgb in pictures]
    looks, texts = np.stack(views), [product_text(row["title"], "", "") for row in rows]
    words = fit(texts).vectors(texts)
    ids = [row["product_id"] for row in rows]
    shown: dict[str, set[int]] = {}
    for row in csv.DictReader((folder / "truth.csv").open(encoding="utf-8")):
        shown.setdefault(row["video_id"], set()).add(ids.index(row["product_id"]))
    videos = tuple(tuple(sorted(shown[clip])) for clip in sorted(shown))
    return Case(tuple(ids), {"look": looks @ looks.T, "text": words @ words.T}, videos)


def case_rankings(case: Case) -> list[Ranking]:
    """Products of a case by look: one of the same collection has a gain of 1. Not by words: its titles are
    the collections' names."""
    count = len(case.ids)
    kinds = np.array([one.rpartition("-")[0] for one in case.ids])
    rng = np.random.default_rng(1)
    shown = Counter(number for video in case.videos for number in video)
    popular = np.tile([shown[n] for n in range(count)], (count, 1)).astype(float)
    ways = {"look": case.likeness["look"].copy(), "popularity": popular, "random": rng.random((count, count))}
    found = []
    for name, scores in ways.items():
        np.fill_diagonal(scores, -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
        gains = (kinds[order] == kinds[:, None]).astype(float)
        found.append(Ranking(name, float(np.mean([ndcg(row) for row in gains])), count))
    return found


def _print_case(case: Case, rules: Rules, name: str) -> None:
    print(f"similar, {name}")
    for one in case_rankings(case):
        print(f"  {one.name:18s} {one.ndcg:.3f}  ({one.queries} products)")
    several = sum(len(video) > 1 for video in case.videos)
    pairs = Counter(pair for video in case.videos for pair in combinations(video, 2))
    again = sum(count > 1 for count in pairs.values())
    print(f"recommendations, {name}: {len(case.videos)} clips, {several} show several, {again} pairs twice")
    for one in held_out_rankings(
        case.likeness, case.videos, recommend_weights(rules), rules.recommend_diversity
    ):
        low, high = one.interval or (0.0, 0.0)
        print(f"  {one.name:18s} {one.ndcg:.3f}  ({low:.3f} to {high:.3f}, {one.queries} products)")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=600)
    parser.add_argument("--videos", type=int, default=900)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--case", type=Path)
    parser.add_argument("--embed-model", default="efficientnet-lite0")
    given = parser.parse_args()
    rules = Rules()
    similar: dict[str, list[float]] = {}
    beside: dict[str, list[float]] = {}
    for seed in given.seeds:
        shop = make_shop(seed, given.products, given.videos)
        for one in similar_rankings(shop, similar_weights(rules)):
            similar.setdefault(one.name, []).append(one.ndcg)
        for one in recommendation_rankings(shop, recommend_weights(rules), rules.recommend_diversity):
            beside.setdefault(one.name, []).append(one.ndcg)
    for title, table in (("similar", similar), ("recommendations", beside)):
        print(title)
        for name, values in table.items():
            print(f"  {name:18s} {np.mean(values):.3f}  ({min(values):.3f} to {max(values):.3f})")
    if given.case:
        case = read_case(given.case, given.embed_model)
        _print_case(case, rules, f"{given.case.name}, {given.embed_model}")


if __name__ == "__main__":
    main()
