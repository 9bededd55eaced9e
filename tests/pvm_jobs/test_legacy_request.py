"""The founding document's names in terms of today's request."""

from __future__ import annotations

from typing import Any

import pytest

from pvm_core.errors import InputError
from pvm_jobs.legacy_request import from_legacy


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"top": 3, "products": ["x"]}, {"top": 3, "products": ["x"]}),
        ({"top_amz": 5}, {"products": ["amazon"], "tops": {"amazon": 5}}),
        ({"top_amz": 0}, {"products": ["ebay"]}),
        ({"top_amz": 0, "top_ebay": 4}, {"products": ["ebay"], "tops": {"ebay": 4}}),
        ({"top_ebay": 4, "products": ["x"]}, {"products": ["x"], "tops": {"ebay": 4}}),
        ({"top_ebay": 4, "tops": {"ebay": 9}}, {"products": ["ebay"], "tops": {"ebay": 9}}),
        ({"platforms": ["YouTube "]}, {"videos": ["youtube"]}),
        ({"platforms": ["youtube"], "videos": ["x"]}, {"videos": ["x"]}),
        ({"platforms": []}, {}),
    ],
)
def test_founding_names(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert from_legacy(given) == expected


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"top_amz": -1}, "request.top"),
        ({"top_amz": "5"}, "request.top"),
        ({"top_ebay": True}, "request.top"),
        ({"top_amz": 0, "top_ebay": 0}, "request.top"),
        ({"platforms": ["tiktok"]}, "request.platforms"),
        ({"platforms": [7]}, "request.platforms"),
        ({"platforms": {"a": 1}}, "request.platforms"),
    ],
)
def test_founding_names_that_make_no_sense(given: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        from_legacy(given)
    assert caught.value.code == code
