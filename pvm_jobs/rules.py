"""The named rule sets, and the rules of a job: a set with single fields overridden, merged and validated."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from pvm_core.errors import InputError
from pvm_core.rules import Rules

#: The founding document's figures, meant for its own formula; on calibrated terms they are strict.
_FOUNDING: Final = Rules(
    weight_deep=0.35,
    weight_kp=0.55,
    weight_edge=0.10,
    sim_deep_min=0.82,
    inliers_min=0.35,
    best_min=0.88,
    best_alone_min=0.92,
    min_inliers=8,
    look_term=False,
    learned_term=False,
    word_term=False,
)
RULE_SETS: Final[Mapping[str, Rules]] = {"default": Rules(), "founding": _FOUNDING}
#: Environment names of the founding document and the field each sets.
FOUNDING_NAMES: Final[Mapping[str, str]] = {
    "RETRIEVAL_TOPK": "retrieval_topk",
    "SIM_DEEP_MIN": "sim_deep_min",
    "INLIERS_MIN": "inliers_min",
    "MATCH_BEST_MIN": "best_min",
    "MATCH_CONS_MIN": "cons_min",
    "MATCH_ACCEPT": "accept",
}
_KINDS: Final[Mapping[str, type]] = {f.name: type(f.default) for f in fields(Rules)}
_SHARES: Final = frozenset(
    {
        *("weight_deep", "weight_kp", "weight_edge", "sim_deep_min", "inliers_min", "best_min"),
        *("best_alone_min", "accept", "review_min", "review_deep_min", "bonus_consistency", "bonus_coverage"),
        *("attention_weight_pose", "attention_weight_gaze", "attention_weight_eyes"),
        *("sibling_margin", "min_decodable_ratio", "min_recall_at_k", "recommend_diversity"),
        *("similar_weight_look", "similar_weight_text", "recommend_weight_seen", "recommend_weight_look"),
        *("recommend_weight_text", "recommend_weight_popular"),
    }
)
#: Fields that may be 0 although they are not shares.
_MAY_BE_ZERO: Final = frozenset(
    {"exhaustive_max_pairs", "min_frames_per_video", "cons_min", "keep_videos_days", "keep_faces_days"}
)
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
#: Under this no score could lie below accept and still differ from it with four decimals.
_ACCEPT_LEAST: Final = 0.01


def resolve(rule_set: str = "default", overrides: Mapping[str, object] | None = None) -> Rules:
    """The rules of a named set with single fields overridden.

    Args:
        rule_set: a key of `RULE_SETS`.
        overrides: field name -> value. Text is parsed by the field's type (`1/0, true/false, yes/no, on/off`
            for a flag); a founding environment name stands for its field.
    Raises:
        InputError: `rules.set`, `rules.field`, `rules.value` or `rules.weights`, naming what is wrong.
    """
    if rule_set not in RULE_SETS:
        known = ", ".join(sorted(RULE_SETS))
        raise InputError("rules.set", str(rule_set), "is not a rule set", f"Choose one of: {known}")
    values: dict[str, Any] = {}
    for given, value in (overrides or {}).items():
        name = FOUNDING_NAMES.get(str(given), str(given))
        if name not in _KINDS:
            near = difflib.get_close_matches(name, _KINDS, n=1)
            hint = f"Did you mean {near[0]}?" if near else "See `pvm rules show` for all fields"
            raise InputError("rules.field", str(given), "is not a rule", hint)
        values[name] = _parse(name, value)
    return validate(replace(RULE_SETS[rule_set], **values))


def own_values(rule_set: str, overrides: Mapping[str, object]) -> dict[str, Any]:
    """The overrides under the names of their fields, parsed; what an industry stores.

    Raises:
        InputError: as `resolve`.
    """
    resolved = resolve(rule_set, overrides)
    names = (FOUNDING_NAMES.get(name, name) for name in overrides)
    return {name: getattr(resolved, name) for name in names}


def validate(rules: Rules) -> Rules:
    """The rules themselves where they make sense together.

    Raises:
        InputError: `rules.value` or `rules.weights`.
    """
    for field in fields(rules):
        _check_range(field.name, getattr(rules, field.name))
    total = rules.weight_deep + rules.weight_kp + rules.weight_edge
    if abs(total - 1.0) > 1e-6:
        raise InputError(
            "rules.weights",
            "weight_deep, weight_kp, weight_edge",
            f"sum to {total:.4g}",
            "Set all three so that they sum to 1",
        )
    if not rules.attention_weight_pose + rules.attention_weight_gaze + rules.attention_weight_eyes:
        raise InputError(
            "rules.weights",
            "attention_weight_pose, attention_weight_gaze, attention_weight_eyes",
            "are all 0",
            "Set at least one of them above 0",
        )
    for low, high in (
        ("review_min", "accept"),
        ("best_min", "best_alone_min"),
        ("keyframes_min", "keyframes_max"),
    ):
        if getattr(rules, low) > getattr(rules, high):
            reason = f"{getattr(rules, low)} is above {high} {getattr(rules, high)}"
            raise InputError("rules.value", low, reason, f"Set {low} to at most {high}")
    return rules


def _parse(name: str, value: object) -> Any:
    kind = _KINDS[name]
    text = str(value).strip()
    if kind is bool:
        if isinstance(value, bool):
            return value
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise _bad(name, value, "is neither true nor false", "Give true or false")
    if kind is str:
        return text
    if isinstance(value, bool):
        raise _bad(name, value, "is not a number", "Give a number")
    try:
        number = float(text)
    except ValueError as error:
        raise _bad(name, value, "is not a number", "Give a number, with a point for decimals") from error
    if not math.isfinite(number):
        raise _bad(name, value, "is not a finite number", "Give a finite number")
    if kind is int:
        if number != int(number):
            raise _bad(name, value, "is not a whole number", "Give a whole number")
        return int(number)
    return number


def _check_range(name: str, value: Any) -> None:
    if name == "detector":
        if value not in ("sift", "akaze"):
            raise _bad(name, value, "is not a detector", "Choose sift or akaze")
    elif name == "attention_detector":
        if not value:
            raise _bad(name, value, "names no detector", "Choose blazeface, haar or yunet:PATH")
    elif isinstance(value, bool):
        return
    elif name in _SHARES:
        if not 0.0 <= value <= 1.0:
            raise _bad(name, value, "lies outside 0 to 1", "Give a number from 0 to 1")
        if name == "accept" and value < _ACCEPT_LEAST:
            raise _bad(name, value, f"is under {_ACCEPT_LEAST}", f"Give at least {_ACCEPT_LEAST}")
    elif value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        least = "0 or more" if name in _MAY_BE_ZERO else "more than 0"
        raise _bad(name, value, "is too small", f"Give {least}")


def _bad(name: str, value: object, reason: str, remedy: str) -> InputError:
    shown = str(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return InputError("rules.value", f"{name}={shown}", reason, remedy)
