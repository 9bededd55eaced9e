"""JSON bodies that cost more to read than to send: refused before they are parsed, with the limit named."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from pvm_api import json_body
from pvm_api.json_body import BYTES_MAX, DEPTH_MAX, VALUES_MAX, fault_of

_JSON = {"content-type": "application/json"}
#: Route with a body -> method, a body that it takes, and a list or object in it.
_ROUTES = {
    "/v1/jobs": ("POST", {"industry": "x"}),
    "/start-job": ("POST", {"industry": "x"}),
    "/v1/industries": ("POST", {"name": "x"}),
    "/v1/industries/x": ("PATCH", {}),
    "/v1/industries/x/rules": ("PUT", {}),
    f"/v1/matches/{'0' * 32}/label": ("POST", {"verdict": "accept"}),
}


def _deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_what_is_within_the_limits_is_parsed() -> None:
    for data in (b"", b"{}", b"null", b"x", _deep(DEPTH_MAX), b"[" + b"1," * (VALUES_MAX - 3) + b"1]"):
        assert fault_of(data) is None, data[:20]
    text = json.dumps({"a": '[[[[{{{{,,,,"\\' * 5_000})
    assert fault_of(text.encode()) is None, "brackets and commas in a text are text"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b" " * (BYTES_MAX + 1), "256,000 bytes"),
        (_deep(DEPTH_MAX + 1), "deeper"),
        (b'{"a":' * 50_000, "values"),
        (_deep(100_000), "values"),
        (b"[" + b"1," * VALUES_MAX + b"1]", "values"),
        ('{"a": "x"}'.encode("utf-16"), "UTF-8"),
        ('["\u2222", [[[1]]]]'.encode("utf-16-le"), "UTF-8"),
        ('["x"]'.encode("utf-32"), "UTF-8"),
    ],
)
def test_what_is_not_is_refused_by_name(data: bytes, says: str) -> None:
    fault = fault_of(data)
    assert fault is not None
    assert says in fault


def _values(value: Any) -> Iterator[tuple[int, Any]]:
    """Every value with its depth; an iterative walk."""
    waiting = [(1, value)]
    while waiting:
        depth, one = waiting.pop()
        yield depth, one
        children = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        waiting.extend((depth + 1, child) for child in children)


_TREES = st.recursive(
    st.none() | st.text() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=40,
)


@given(_TREES, st.booleans())
def test_the_depth_counted_is_the_depth_parsed(tree: Any, ascii_only: bool) -> None:
    text = json.dumps(tree, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    brackets = max((d for d, one in _values(tree) if isinstance(one, dict | list)), default=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_body, "DEPTH_MAX", brackets)
        assert json_body.fault_of(text) is None
        if brackets:
            patch.setattr(json_body, "DEPTH_MAX", brackets - 1)
            assert "deeper" in str(json_body.fault_of(text))


def test_the_time_is_linear_in_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "BYTES_MAX", 10**9)
    monkeypatch.setattr(json_body, "VALUES_MAX", 10**9)

    def seconds(data: bytes) -> float:
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            fault_of(data)
            taken.append(time.perf_counter() - start)
        return min(taken)

    for piece in (b'"\\"', b'\\"', b'"', b"\\", b"[]", b'{"', b",", b'"\\\\"'):
        small, large = piece * (60_000 // len(piece)), piece * (1_920_000 // len(piece))
        # 32 times the size; a quadratic scan takes a thousand times as long.
        assert seconds(large) < 300 * seconds(small) + 0.05, piece


@pytest.mark.parametrize("path", _ROUTES)
def test_every_route_with_a_body_refuses_it(shared_client: TestClient, path: str) -> None:
    method, body = _ROUTES[path]
    large = json.dumps({**body, "x": "y" * BYTES_MAX}).encode()
    chunked = (large[at : at + 1_000] for at in range(0, len(large), 1_000))
    for content in (large, chunked):
        answer = shared_client.request(method, path, content=content, headers=_JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "request.large"), answer.text
        assert "256,000 bytes" in answer.json()["detail"]
    for content in (_deep(DEPTH_MAX + 1), json.dumps({**body, "x": [1] * VALUES_MAX}).encode()):
        answer = shared_client.request(method, path, content=content, headers=_JSON)
        assert (answer.status_code, answer.json()["code"]) == (422, "request.shape"), answer.text


_MANY: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/jobs", {"products": [f"x{n}" for n in range(21)]}, "products"),
    ("/v1/jobs", {"videos": [f"x{n}" for n in range(21)]}, "videos"),
    ("/v1/jobs", {"products": ["x" * 2_049]}, "products"),
    ("/v1/jobs", {"tops": {f"x{n}": 1 for n in range(21)}}, "tops"),
    ("/v1/jobs", {"queries": {"vi": ["x"] * 25 + [f"x{n}" for n in range(50)]}}, "queries.vi"),
    ("/v1/jobs", {"queries": {f"{a}{b}": ["x"] for a in "abcdefgh" for b in "abcdefgh"}}, "queries"),
    ("/v1/jobs", {"platforms": ["youtube"] * 11}, "platforms"),
    ("/v1/jobs", {"platforms": [1] * 4_900}, "platforms"),
    ("/v1/jobs", {"embed_model": "x" * 101}, "embed_model"),
    ("/v1/industries", {"queries": {"vi": ["x"] * 51}}, "queries.vi"),
    ("/v1/industries", {"queries": {f"x{n}": ["x"] for n in range(51)}}, "queries"),
    ("/v1/industries", {"sources": {"products": ["ebay"] * 21}}, "sources.products"),
]


@pytest.mark.parametrize(("path", "more", "name"), _MANY)
def test_a_list_that_is_too_long_is_refused_by_name(
    shared_client: TestClient, path: str, more: dict[str, Any], name: str
) -> None:
    answer = shared_client.post(path, json={"industry" if path == "/v1/jobs" else "name": "x", **more})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert name in problem["detail"] or any(name in one["loc"] for one in problem["errors"])
    assert len(answer.content) < 30_000, "the answer is no copy of the request"


def test_rules_are_so_many_at_most(shared_client: TestClient) -> None:
    answer = shared_client.put("/v1/industries/x/rules", json={"overrides": {f"r{n}": 1 for n in range(101)}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == "body.overrides"


def test_the_fields_of_a_form_have_the_same_limits(shared_client: TestClient) -> None:
    def post(fields: dict[str, str]) -> Any:
        # A file makes it a form in parts.
        return shared_client.post("/v1/jobs", data=fields, files={"catalogue": ("a.csv", b"")})

    assert post({"request": "[" * 1_000}).json()["errors"][0]["loc"] == "body.request"
    assert "values" in post({"products": json.dumps([1] * VALUES_MAX)}).json()["detail"]
    large = post({"request": "x" * (BYTES_MAX + 1)})
    assert large.status_code == 400
    assert post({f"f{n}": "x" for n in range(30)}).status_code == 400


def test_a_long_name_is_not_given_back_whole(shared_client: TestClient) -> None:
    answer = shared_client.post("/v1/jobs", json={"industry": "x", "y" * 200_000: 1})
    assert answer.status_code == 422
    assert len(answer.content) < 2_000
