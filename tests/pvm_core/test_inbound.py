"""Requests of the bus: read, paired in any order, doubles ignored."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core import contracts, inbound
from pvm_core.errors import InputError
from pvm_core.inbound import COLLECT, MATCH, SEARCH, Asked, plan, read
from pvm_core.requests import JobRequest

JOB = {"job_id": "job-1", "industry": "gối công thái học"}
_COLLECTED = ("products.collections.completed", "videos.collections.completed")


def _all() -> list[Asked]:
    return [read(topic, dict(contracts.example(topic))) for topic in (COLLECT, SEARCH, MATCH)]


def test_the_founding_shapes_become_one_request() -> None:
    found = plan(_all())
    assert found.action == "start"
    assert found.industry == "gối công thái học"
    assert found.request == JobRequest(
        products=("amazon", "ebay"),
        videos=("youtube", "bilibili"),
        tops={"amazon": 10, "ebay": 10},
        queries={"und": ("gối công thái học",)},
        recency_days=365,
    )
    assert JobRequest.parse(found.request.to_json()) == found.request


@given(st.lists(st.sampled_from(range(3)), min_size=1, max_size=9))
def test_order_and_doubles_make_no_difference(order: list[int]) -> None:
    requests = _all()
    arrived = [requests[n] for n in order]
    expected = plan([requests[n] for n in sorted(set(order))])
    assert plan(arrived) == expected
    assert (expected.action == "start") == ({0, 1} <= set(order))
    assert plan(arrived, exists=True).action == "nothing"
    known = plan(arrived, exists=True, events=_COLLECTED)
    assert known.action == ("rematch" if 2 in order else "nothing")


def test_one_half_waits_for_the_other() -> None:
    assert plan([read(SEARCH, JOB)]).missing == (COLLECT,)
    assert plan([read(MATCH, JOB)]).missing == (COLLECT, SEARCH)


def test_without_counts_and_platforms_the_standing_sources_are_meant() -> None:
    industry, request = inbound.merge([read(COLLECT, JOB)])
    assert (industry, request) == (JOB["industry"], JobRequest())


def test_a_count_of_zero_leaves_a_source_out() -> None:
    assert read(COLLECT, JOB | {"top_amz": 0, "top_ebay": 5}).part == JobRequest(
        products=("ebay",), tops={"ebay": 5}
    )


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        (COLLECT, JOB | {"top_amz": 0, "top_ebay": 0}, "request.top"),
        (COLLECT, JOB | {"top_amz": -1}, "contract.invalid"),
        (COLLECT, JOB | {"top_amz": "10"}, "contract.invalid"),
        (COLLECT, JOB | {"top_amz": True}, "contract.invalid"),
        (COLLECT, {"job_id": "job-1"}, "contract.invalid"),
        (COLLECT, JOB | {"job_id": "a|b"}, "contract.invalid"),
        (COLLECT, JOB | {"industry": ""}, "contract.invalid"),
        (COLLECT, None, "contract.invalid"),
        (SEARCH, JOB | {"platforms": ["../../etc/passwd"]}, "contract.invalid"),
        (SEARCH, JOB | {"platforms": ["http://169.254.169.254/"]}, "contract.invalid"),
        (SEARCH, JOB | {"queries": "pillow"}, "contract.invalid"),
        (SEARCH, JOB | {"recency_days": 0}, "contract.invalid"),
        (MATCH, {}, "contract.invalid"),
        ("match.result", JOB, "contract.unknown"),
    ],
)
def test_what_breaks_the_contract_is_refused(topic: str, payload: Any, code: str) -> None:
    with pytest.raises(InputError) as caught:
        read(topic, payload)
    assert caught.value.code == code


def test_two_requests_that_differ_are_a_conflict() -> None:
    for other in ({"top_ebay": 3}, {"industry": "another"}):
        with pytest.raises(InputError, match=r"request\.conflict"):
            inbound.merge(
                [read(COLLECT, JOB | {"top_ebay": 2}), read(COLLECT, JOB | {"top_ebay": 2} | other)]
            )


def test_nobody_names_the_industry() -> None:
    with pytest.raises(InputError, match=r"request\.industry"):
        inbound.merge([read(MATCH, {"job_id": "job-1"})])


def test_identity_is_the_payloads_then_the_messages_then_the_content() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    assert read(COLLECT, JOB | {"event_id": str(one)}, str(two)).event_id == one
    assert read(COLLECT, JOB, str(two)).event_id == two
    assert read(COLLECT, JOB, "m-1").event_id == read(COLLECT, JOB, "m-1").event_id
    assert read(COLLECT, JOB, "m-1").event_id != read(COLLECT, JOB, "m-2").event_id
    turned = dict(reversed(list(JOB.items())))
    assert read(COLLECT, JOB).event_id == read(COLLECT, turned).event_id
    assert read(COLLECT, JOB).event_id != read(SEARCH, JOB).event_id
