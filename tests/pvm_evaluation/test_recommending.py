"""Rankings on the made-up shop: better than popularity and chance, and measured as the literature does."""

from __future__ import annotations

import numpy as np
import pytest

from pvm_core.recommending.ranking import recommend_weights, similar_weights
from pvm_core.rules import Rules
from pvm_demo.shop import make_shop
from pvm_evaluation.recommending import held_out_rankings, ndcg, recommendation_rankings, similar_rankings

SHOP = make_shop(9, 200, 300)
RULES = Rules()


def test_ndcg_is_one_for_the_best_order_and_falls_with_the_place() -> None:
    assert ndcg(np.array([2.0, 1.0, 0.0])) == 1.0
    assert ndcg(np.array([0.0, 1.0])) == pytest.approx(1 / np.log2(3))
    assert ndcg(np.array([0.0] * 10 + [1.0])) == 0.0
    assert ndcg(np.zeros(3)) == 0.0


def test_a_shop_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    again = make_shop(9, 200, 300)
    assert [one.name for one in again.products] == [one.name for one in SHOP.products]
    assert again.videos == SHOP.videos != make_shop(10, 200, 300).videos
    assert {one.language for one in SHOP.products} == {"en", "vi", "zh"}


def test_similar_products_beat_popularity_and_chance() -> None:
    found = {one.name: one.ndcg for one in similar_rankings(SHOP, similar_weights(RULES))}
    assert min(found["look"], found["text"]) > 3 * max(found["popularity"], found["random"])
    assert found["both"] > max(found["look"], found["text"])


def test_a_video_that_is_held_out_teaches_nothing_about_itself() -> None:
    same = np.ones((40, 40), np.float32)
    likeness = {"look": same, "text": same}
    weights = {"seen": 1.0}
    # 0 and 1 go together again and again; 38 and 39 only once, which is the video that asks for it.
    videos = [(0, 1), (0, 1), (0, 1), (38, 39)]
    found = {one.name: one for one in held_out_rankings(likeness, videos, weights, 0.0)}
    best, ranked = found["all"], found["random"]
    assert best.queries == 8
    assert best.ndcg == pytest.approx((6 * 1.0 + 2 * 0.0) / 8), "its own video is no evidence"
    assert best.interval is not None
    assert best.interval[0] < best.ndcg <= best.interval[1]
    assert ranked.ndcg == pytest.approx(np.mean([1 / np.log2(n + 2) for n in range(10)]) * 10 / 39, abs=0.03)


def test_recommendations_beat_popularity_and_chance_and_live_of_what_was_seen() -> None:
    found = {
        one.name: one.ndcg
        for one in recommendation_rankings(SHOP, recommend_weights(RULES), RULES.recommend_diversity)
    }
    assert found["all"] > found["popular alone"] > found["random"]
    assert found["all"] > found["without seen"]
