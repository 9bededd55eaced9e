"""How well similar products and recommendations are ranked: nDCG@10, against popularity and chance.

    .venv/bin/python bench/bench_recommending.py [--products 600] [--videos 900] [--seeds 1 2 3]
        [--case FOLDER]

A made-up shop of 24 groups in three languages (`pvm_demo.shop`), which no model has seen; and the pictures of
a case whose product ids begin with the name of their collection, which is then the group.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from pvm_core.embedders import EmbedInput, load_embedder
from pvm_core.images import stored_pixels
from pvm_core.recommending.ranking import recommend_weights, similar_weights
from pvm_core.rules import Rules
from pvm_demo.shop import make_shop
from pvm_evaluation.recommending import Ranking, ndcg, recommendation_rankings, similar_rankings


def case_rankings(folder: Path, embedder_name: str) -> list[Ranking]:
    """Products of a case by look: one of the same collection has a gain of 1."""
    rows = list(csv.DictReader((folder / "products.csv").open(encoding="utf-8")))
    embedder = load_embedder(embedder_name, None)
    pictures = [stored_pixels((folder / row["image"]).read_bytes(), row["image"]) for row in rows]
    views = [embedder.embed_views([EmbedInput(rgb)], "product", False)[0].rgb[0] for rgb in pictures]
    vectors = np.stack(views)
    kinds = np.array([row["product_id"].rpartition("-")[0] for row in rows])
    rng = np.random.default_rng(1)
    found = []
    for name, scores in (("look", vectors @ vectors.T), ("random", rng.random((len(rows), len(rows))))):
        np.fill_diagonal(scores, -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
        gains = (kinds[order] == kinds[:, None]).astype(float)
        found.append(Ranking(name, float(np.mean([ndcg(row) for row in gains])), len(rows)))
    return found


def main() -> None:
    """Prints three tables."""
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
        print(f"similar, {given.case.name}, {given.embed_model}")
        for one in case_rankings(given.case, given.embed_model):
            print(f"  {one.name:18s} {one.ndcg:.3f}  ({one.queries} products)")


if __name__ == "__main__":
    main()
