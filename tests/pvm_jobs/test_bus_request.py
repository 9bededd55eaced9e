"""Requests of the bus: read, told apart, refused."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from pvm_core.errors import InputError
from pvm_jobs import contracts
from pvm_jobs.bus_request import read
from pvm_jobs.events import COLLECT, MATCH, REQUESTS, SEARCH

JOB = {"job_id": "job-1", "industry": "gối công thái học"}


@pytest.mark.parametrize("topic", REQUESTS)
def test_the_founding_shape_is_taken_as_it_came(topic: str) -> None:
    payload = dict(contracts.load(topic)["examples"][0])
    asked = read(topic, payload)
    assert (asked.topic, asked.payload) == (topic, payload)


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
        (SEARCH, JOB | {"platforms": ["nosuch"]}, "request.platforms"),
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


def test_identity_is_the_payloads_then_the_messages_then_the_content() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    assert read(COLLECT, JOB | {"event_id": str(one)}, str(two)).event_id == one
    assert read(COLLECT, JOB, str(two)).event_id == two
    assert read(COLLECT, JOB, "m-1").event_id == read(COLLECT, JOB, "m-1").event_id
    assert read(COLLECT, JOB, "m-1").event_id != read(COLLECT, JOB, "m-2").event_id
    turned = dict(reversed(list(JOB.items())))
    assert read(COLLECT, JOB).event_id == read(COLLECT, turned).event_id
    assert read(COLLECT, JOB).event_id != read(SEARCH, JOB).event_id
