from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_jobs.rules import FOUNDING_NAMES, RULE_SETS, resolve, validate


@pytest.mark.parametrize("name", sorted(RULE_SETS))
def test_shipped_sets_are_valid(name: str) -> None:
    assert validate(resolve(name)) == RULE_SETS[name]


def test_founding_set_keeps_the_founding_figures() -> None:
    rules = resolve("founding")
    assert (rules.weight_deep, rules.weight_kp, rules.weight_edge) == (0.35, 0.55, 0.10)
    assert (rules.retrieval_topk, rules.sim_deep_min, rules.inliers_min) == (20, 0.82, 0.35)
    assert (rules.best_min, rules.best_alone_min, rules.cons_min, rules.accept) == (0.88, 0.92, 2, 0.80)
    assert (rules.bonus_consistency, rules.bonus_coverage) == (0.02, 0.02)


def test_text_is_parsed_by_the_type_of_its_field() -> None:
    rules = resolve(
        "default",
        {
            "retrieval_topk": "35",
            "accept": " 0.9 ",
            "best_min": 0.9,
            "best_alone_min": 1,
            "segmentation": "off",
            "detector": "akaze",
        },
    )
    assert (rules.retrieval_topk, rules.accept, rules.segmentation, rules.detector) == (
        35,
        0.9,
        False,
        "akaze",
    )


def test_founding_environment_names_stand_for_their_fields() -> None:
    assert resolve("default", {"RETRIEVAL_TOPK": "7", "MATCH_CONS_MIN": "3"}).retrieval_topk == 7
    assert set(FOUNDING_NAMES.values()) <= {f.name for f in fields(Rules)}


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        ({"acept": 0.9}, "rules.field", "Did you mean accept"),
        ({"zzz": 1}, "rules.field", "pvm rules show"),
        ({"accept": "high"}, "rules.value", "accept=high"),
        ({"accept": "nan"}, "rules.value", "finite"),
        ({"accept": 1.2}, "rules.value", "outside 0 to 1"),
        ({"accept": 0.0, "review_min": 0.0}, "rules.value", "under 0.01"),
        ({"accept": "0,8"}, "rules.value", "point for decimals"),
        ({"accept": True}, "rules.value", "not a number"),
        ({"retrieval_topk": 0}, "rules.value", "too small"),
        ({"retrieval_topk": "3.5"}, "rules.value", "whole number"),
        ({"retrieval_topk": "-3"}, "rules.value", "too small"),
        ({"segmentation": "maybe"}, "rules.value", "true nor false"),
        ({"detector": "surf"}, "rules.value", "sift or akaze"),
        ({"weight_deep": 0.5}, "rules.weights", "sum to"),
        ({"review_min": 0.9}, "rules.value", "above accept"),
        ({"best_min": 0.95, "best_alone_min": 0.9}, "rules.value", "above best_alone_min"),
        ({"mask_timeout_s": "x" * 500}, "rules.value", "..."),
    ],
)
def test_what_is_wrong_is_named(overrides: dict[str, object], code: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve("default", overrides)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="default, founding"):
        resolve("mine")


@given(st.dictionaries(st.sampled_from([f.name for f in fields(Rules)]), st.text(max_size=8), max_size=3))
def test_any_text_gives_valid_rules_or_a_clear_error(overrides: dict[str, object]) -> None:
    try:
        rules = resolve("default", overrides)
    except InputError:
        return
    assert validate(rules) == rules


def test_key_changes_with_every_value() -> None:
    assert Rules().key != resolve("default", {"accept": 0.85, "best_min": 0.85, "best_alone_min": 0.9}).key


def test_how_long_a_video_is_kept_decides_no_result() -> None:
    assert Rules().keep_videos_days == 7.0
    assert resolve("default", {"keep_videos_days": "0"}).key == Rules().key
    assert resolve("default", {"accept": "0.81"}).key != Rules().key
    with pytest.raises(InputError, match="0 or more"):
        resolve("default", {"keep_videos_days": "-1"})
