"""The n8n workflows as files: sound in themselves, and true to our OpenAPI."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.workflows import ALL, FOLDER, NAMES, Workflow, expressions, load, texts, unbalanced

OPENAPI = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
CREDENTIAL = "Product-video matching"
#: Versions that both n8n 1.123 and 2.x know.
VERSIONS = {
    "webhook": 2, "set": 3.4, "httpRequest": 4.2, "wait": 1.1, "if": 2.2, "respondToWebhook": 1.1,
    "splitOut": 1, "stopAndError": 1, "stickyNote": 1,
}  # fmt: skip
REQUIRED = {
    "webhook": ("httpMethod", "path", "responseMode"),
    "set": ("assignments",),
    "httpRequest": ("method", "url", "authentication", "genericAuthType"),
    "wait": ("resume",),
    "if": ("conditions",),
    "respondToWebhook": ("respondWith", "responseBody"),
    "splitOut": ("fieldToSplitOut",),
    "stopAndError": ("errorType", "errorMessage"),
}
#: Which operation an address stands for that the API itself handed out.
LINKS = {"status_url": "getJob", "evidence_url": None}


@pytest.fixture(params=NAMES)
def of_job(request: pytest.FixtureRequest) -> Workflow:
    """Each workflow that runs a job."""
    return load(request.param)


@pytest.fixture(params=ALL)
def workflow(request: pytest.FixtureRequest) -> Workflow:
    """Each workflow."""
    return load(request.param)


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """Our OpenAPI as committed."""
    found: dict[str, Any] = json.loads(OPENAPI.read_text(encoding="utf-8"))
    return found


# -- sound in itself ----------------------------------------------------------------------------------


def test_every_workflow_is_checked() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(ALL)


def test_names_and_ids_are_unique(workflow: Workflow) -> None:
    nodes = workflow.content["nodes"]
    assert len({n["name"] for n in nodes}) == len(nodes)
    ids = [n["id"] for n in nodes] + [n["webhookId"] for n in nodes if "webhookId" in n]
    assert len(set(ids)) == len(ids)


def test_all_may_be_active_side_by_side() -> None:
    workflows = [load(name) for name in ALL]
    assert len({one.content["name"] for one in workflows}) == len(ALL)
    assert len({_path(one) for one in workflows}) == len(ALL)
    hooks = [n["webhookId"] for one in workflows for n in one.nodes.values() if "webhookId" in n]
    assert len(set(hooks)) == len(hooks)


def test_connections_resolve(workflow: Workflow) -> None:
    for name, outputs in workflow.content["connections"].items():
        assert name in workflow.nodes
        node = workflow.nodes[name]
        branches = 2 if node["type"].endswith(".if") or node.get("onError") == "continueErrorOutput" else 1
        assert set(outputs) == {"main"}
        assert len(outputs["main"]) <= branches, name
        for link in (link for output in outputs["main"] for link in output):
            assert link["node"] in workflow.nodes, f"{name} leads to {link['node']}"
            assert (link["type"], link["index"]) == ("main", 0)


def test_every_node_is_reached(workflow: Workflow) -> None:
    for name in workflow.nodes:
        assert name == "Webhook" or "Webhook" in workflow.before(name), f"{name} is not reached"


def test_every_way_through_answers_the_caller(of_job: Workflow) -> None:
    # Asked for by the caller; n8n passes over the answers after the first.
    assert of_job.targets("Answer now?") == [["Answer: accepted"], of_job.targets("Answer: accepted")[0]]
    answers = {n["name"] for n in of_job.of_type("respondToWebhook")} - {"Answer: accepted"}
    for name in answers:
        assert not of_job.before(name) & answers, f"{name} comes after another answer"
    for end in (name for name in of_job.nodes if not any(of_job.targets(name))):
        before = {end, *of_job.before(end)}
        assert before & answers or "One item per match" in before, f"{end} ends without an answer"
    # Of two branches n8n runs the upper one first, to its end.
    assert of_job.targets("Results")[0] == ["Answer: matches", "One item per match"]
    high, low = (of_job.nodes[name]["position"][1] for name in of_job.targets("Results")[0])
    assert high < low


def test_every_failure_of_a_request_is_answered(workflow: Workflow) -> None:
    for node in workflow.of_type("httpRequest"):
        assert node["onError"] == "continueErrorOutput"
        if not node.get("disabled"):
            (failed,) = workflow.targets(node["name"])[1]
            assert failed == "Answer: out of reach"


def test_nodes_have_what_their_type_needs(workflow: Workflow) -> None:
    for node in workflow.content["nodes"]:
        kind = node["type"].removeprefix("n8n-nodes-base.")
        assert node["typeVersion"] == VERSIONS[kind]
        assert len(node["position"]) == 2
        for name in REQUIRED.get(kind, ()):
            assert node["parameters"].get(name), f"{node['name']} has no {name}"
        if kind in ("webhook", "wait"):
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", node["webhookId"])


def test_it_ships_switched_off_and_without_anybodys_data(workflow: Workflow) -> None:
    content = workflow.content
    assert content["active"] is False
    assert content["settings"] == {"executionOrder": "v1"}
    assert not content.get("pinData")
    assert content.keys() <= {"name", "nodes", "connections", "settings", "active", "pinData"}


def test_one_credential_by_name_and_none_by_id(workflow: Workflow) -> None:
    for node in workflow.nodes.values():
        if not node["type"].endswith(".httpRequest"):
            assert "credentials" not in node
            continue
        # n8n looks a credential up by its name only where the id is null, not where it is absent.
        assert node["credentials"] == {"httpHeaderAuth": {"id": None, "name": CREDENTIAL}}
        assert node["parameters"]["authentication"] == "genericCredentialType"
        assert node["parameters"]["genericAuthType"] == "httpHeaderAuth"


def test_the_address_of_the_platform_stands_in_one_place(workflow: Workflow) -> None:
    found = [
        n["name"] for n in workflow.nodes.values() for _, text in texts(n["parameters"]) if "://" in text
    ]
    assert found == ["Settings"]


# -- expressions --------------------------------------------------------------------------------------


def test_expressions_are_whole(workflow: Workflow) -> None:
    for node in workflow.nodes.values():
        for place, text in texts(node["parameters"]):
            if "{{" in text:
                assert text.startswith("="), f"{node['name']}{place} is not an expression"
        for expression in expressions(node):
            assert not unbalanced(expression), f"{node['name']}: {expression}: {unbalanced(expression)}"


@pytest.mark.parametrize("text", ["f(", "a)", "'a", "[}", "`${a}", '{"a": 1'])
def test_a_broken_expression_is_seen(text: str) -> None:
    assert unbalanced(text)


def test_expressions_speak_of_nodes_before_them(workflow: Workflow) -> None:
    for node in workflow.nodes.values():
        named = {n for e in expressions(node) for n in re.findall(r"\$\('([^']+)'\)", e)}
        for name in named - {node["name"]}:
            assert name in workflow.before(node["name"]), f"{node['name']} speaks of {name}"


def test_settings_that_are_used_are_set(workflow: Workflow) -> None:
    given = {a["name"] for a in workflow.nodes["Settings"]["parameters"]["assignments"]["assignments"]}
    used = {
        name
        for node in workflow.nodes.values()
        for e in expressions(node)
        for name in re.findall(r"\$\('Settings'\)\.first\(\)\.json\.(\w+)", e)
    }
    # The node behind Settings reads its address as its own input.
    assert used | {"base_url"} == given


# -- how n8n runs it ----------------------------------------------------------------------------------


def test_the_caller_posts_and_waits_for_an_answer(workflow: Workflow) -> None:
    (hook,) = workflow.of_type("webhook")
    assert hook["parameters"]["httpMethod"] == "POST"
    assert hook["parameters"]["responseMode"] == "responseNode"


def test_requests_are_tried_again_within_what_n8n_takes(workflow: Workflow) -> None:
    for node in workflow.of_type("httpRequest"):
        if not node.get("disabled"):
            assert node["retryOnFail"] is True
            assert 2 <= node["maxTries"] <= 5
            assert 0 < node["waitBetweenTries"] <= 5_000


def test_an_answer_with_a_field_error_is_not_taken_for_a_failure(of_job: Workflow) -> None:
    # n8n tries a node again whose first item has a field `error`, be it null; a job's state has one.
    for name in ("Submit job", "Job state"):
        options = of_job.nodes[name]["parameters"]["options"]["response"]["response"]
        assert options["fullResponse"] is True


def test_a_refusal_is_read_as_json(of_job: Workflow) -> None:
    # n8n takes application/problem+json for text unless it is told.
    options = of_job.nodes["Submit job"]["parameters"]["options"]["response"]["response"]
    assert options == {"fullResponse": True, "neverError": True, "responseFormat": "json"}


def test_pages_are_followed_to_the_last(of_job: Workflow) -> None:
    pages = of_job.nodes["Results"]["parameters"]["options"]["pagination"]["pagination"]
    assert pages["paginationMode"] == "responseContainsNextURL"
    assert pages["nextURL"] == "={{ $response.body.next }}"
    assert pages["paginationCompleteWhen"] == "other"
    # Without the status n8n takes an error's body for the last page.
    assert pages["completeExpression"] == "={{ $response.statusCode === 200 && !$response.body.next }}"
    assert pages["limitPagesFetched"] is True
    assert pages["maxRequests"] >= 100
    # Parameters of their own would be added to the next page's address once more.
    assert "queryParameters" not in of_job.nodes["Results"]["parameters"]


def test_the_callback_waits_for_a_post_with_an_end() -> None:
    workflow = load("pvm-callback")
    (wait,) = workflow.of_type("wait")
    given = wait["parameters"]
    assert (given["resume"], given["httpMethod"]) == ("webhook", "POST")
    assert given["limitWaitTime"] is True
    assert given["limitType"] == "afterTimeInterval"
    assert given["resumeAmount"] > 0
    assert given["resumeUnit"] in ("minutes", "hours", "days")
    assert "callback_url: $execution.resumeUrl" in workflow.nodes["Submit job"]["parameters"]["jsonBody"]
    # Whoever finds the address can resume the execution: what the callback says is asked for again.
    assert workflow.targets(wait["name"]) == [["Job state"]]


def test_polling_has_an_end() -> None:
    workflow = load("pvm-polling")
    (wait,) = workflow.of_type("wait")
    assert wait["parameters"]["resume"] == "timeInterval"
    assert wait["parameters"]["unit"] == "seconds"
    given = {
        a["name"]: a["value"] for a in workflow.nodes["Settings"]["parameters"]["assignments"]["assignments"]
    }
    # From 65 seconds on n8n stores the execution at each wait and looks for it once a minute.
    assert 1 <= given["poll_seconds"] < 65
    assert given["max_polls"] > 1
    again = workflow.nodes["Ask again?"]["parameters"]["conditions"]
    assert again["combinator"] == "and"
    assert any("$runIndex" in condition["leftValue"] for condition in again["conditions"])
    assert workflow.targets("Ask again?") == [["Wait"], ["Answer: no matches"]]
    assert "callback_url" not in workflow.nodes["Submit job"]["parameters"]["jsonBody"]


# -- true to our OpenAPI ------------------------------------------------------------------------------


def test_every_address_and_method_exists(workflow: Workflow, openapi: dict[str, Any]) -> None:
    operations = {
        (path, method): operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }
    by_id = {o["operationId"]: key for key, o in operations.items()}
    for node in workflow.of_type("httpRequest"):
        method = node["parameters"]["method"].lower()
        path, query, link = _address(node["parameters"]["url"])
        if link:
            operation = LINKS[link]
            assert operation is None or by_id[operation][1] == method, node["name"]
            continue
        operation = next(
            operation
            for (known, by), operation in operations.items()
            if by == method and re.fullmatch(re.sub(r"\{\w+\}", r"\\{\\{[^{}]+\\}\\}", known), path)
        )
        known = {p["name"]: p for p in operation.get("parameters", [])}
        assert set(query) <= {n for n, p in known.items() if p["in"] == "query"}, node["name"]
        for header in node["parameters"].get("headerParameters", {}).get("parameters", []):
            assert known[header["name"]]["in"] == "header"
        if "limit" in query:
            assert int(query["limit"]) <= known["limit"]["schema"]["maximum"]


def test_every_field_of_the_request_exists(of_job: Workflow, openapi: dict[str, Any]) -> None:
    body = _schema(openapi, openapi["paths"]["/v1/jobs"]["post"]["requestBody"])
    fields = re.findall(r"^\s*(\w+): ", of_job.nodes["Submit job"]["parameters"]["jsonBody"], re.MULTILINE)
    assert {"industry", "products", "videos", "top", "recency_days", "queries"} <= set(fields)
    assert set(fields) <= body["properties"].keys()
    assert set(body["required"]) <= set(fields)


def test_every_field_of_an_answer_exists(of_job: Workflow, openapi: dict[str, Any]) -> None:
    paths = openapi["paths"]
    accepted = _schema(openapi, paths["/v1/jobs"]["post"]["responses"]["202"])
    state = _schema(openapi, paths["/v1/jobs/{job_id}"]["get"]["responses"]["200"])
    page = _schema(openapi, paths["/v1/results"]["get"]["responses"]["200"])
    match = _resolve(openapi, page["properties"]["items"]["items"])
    problem = _resolve(openapi, {"$ref": "#/components/schemas/Problem"})
    said = " ".join(e for node in of_job.nodes.values() for e in expressions(node))
    submitted = set(re.findall(r"\$\('Submit job'\)\.first\(\)\.json\.body\.(\w+)", said))
    assert submitted <= accepted["properties"].keys()
    assert set(re.findall(r"\$json\.body\??\.(\w+)", said)) <= {
        *state["properties"], *problem["properties"],
        # Of the user's own request.
        "min_score",
    }  # fmt: skip
    assert set(re.findall(r"\$response\.body\.(\w+)", said)) | {"items"} <= page["properties"].keys()
    assert of_job.nodes["One item per match"]["parameters"]["fieldToSplitOut"] == "items"
    assert "evidence_url" in match["properties"]


def test_a_change_is_sent_once_and_its_similar_products_are_read(openapi: dict[str, Any]) -> None:
    workflow = load("pvm-product")
    paths = openapi["paths"]
    body = workflow.nodes["Send change"]["parameters"]["jsonBody"]
    sent = _resolve(openapi, {"$ref": "#/components/schemas/ProductEvent"})
    fields = set(re.findall(r"^\s*(\w+): ", body, re.MULTILINE))
    assert {"event_type", "product_id", "data", "event_id"} <= fields <= sent["properties"].keys()
    # n8n tries a request again, and an execution too: both are the same change.
    assert "event_id: `n8n-${$workflow.id}-${$execution.id}`" in body
    changed = _schema(openapi, paths["/v1/products/events"]["post"]["responses"]["200"])
    one = _resolve(openapi, changed["properties"]["items"]["items"])
    like = _schema(openapi, paths["/v1/recommendations/{product_id}/similar"]["get"]["responses"]["200"])
    said = " ".join(e for node in workflow.nodes.values() for e in expressions(node))
    assert set(re.findall(r"body\.items\[0\]\.(\w+)", said)) <= one["properties"].keys()
    assert "refused" in changed["properties"]
    assert {"product_id", "items"} <= like["properties"].keys()
    assert workflow.nodes["One item per product"]["parameters"]["fieldToSplitOut"] == "body.items"
    answers = {node["name"] for node in workflow.of_type("respondToWebhook")}
    for end in (name for name in workflow.nodes if not any(workflow.targets(name))):
        before = {end, *workflow.before(end)}
        assert before & answers or end == "One item per product", f"{end} ends without an answer"
    assert workflow.targets("Found?")[0] == ["Answer: similar", "One item per product"]
    high, low = (workflow.nodes[name]["position"][1] for name in workflow.targets("Found?")[0])
    assert high < low
    for name in ("Send change", "Similar products"):
        options = workflow.nodes[name]["parameters"]["options"]["response"]["response"]
        assert options == {"fullResponse": True, "neverError": True, "responseFormat": "json"}


def test_states_of_a_job_are_those_of_the_api(of_job: Workflow, openapi: dict[str, Any]) -> None:
    state = _schema(openapi, openapi["paths"]["/v1/jobs/{job_id}"]["get"]["responses"]["200"])
    known = set(_resolve(openapi, state["properties"]["status"])["enum"])
    (completed,) = of_job.nodes["Completed?"]["parameters"]["conditions"]["conditions"]
    assert completed["leftValue"] == "={{ $json.body.status }}"
    assert completed["rightValue"] in known
    if "Ask again?" in of_job.nodes:
        said = json.dumps(of_job.nodes["Ask again?"]["parameters"])
        listed = re.search(r"\[('\w+'(?:, '\w+')*)\]\.includes\(\$json\.body\.status\)", said)
        assert listed
        unended = set(listed[1].replace("'", "").split(", "))
        assert known - unended == {"completed", "failed", "cancelled"}


def _path(workflow: Workflow) -> str:
    (hook,) = workflow.of_type("webhook")
    return str(hook["parameters"]["path"])


def _address(url: str) -> tuple[str, dict[str, str], str]:
    """Path and query of an address of ours, or the field of an answer that holds it."""
    whole = re.fullmatch(r"=\{\{ (?:\$\('[^']+'\)\.first\(\)|\$)\.?json(?:\.body)?\.(\w+_url) \}\}", url)
    if whole and whole[1] != "base_url":
        return "", {}, whole[1]
    start = re.match(r"=\{\{ (?:\$json|\$\('Settings'\)\.first\(\)\.json)\.base_url \}\}", url)
    assert start, url
    # A question mark of an expression begins no query.
    found = re.fullmatch(r"((?:\{\{.*?\}\}|[^?])*)(?:\?(.*))?", url[start.end() :])
    assert found
    path, query = found[1], found[2]
    return path, dict(pair.split("=", 1) for pair in query.split("&")) if query else {}, ""


def _schema(openapi: Mapping[str, Any], holder: Mapping[str, Any]) -> dict[str, Any]:
    return _resolve(openapi, holder["content"]["application/json"]["schema"])


def _resolve(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return dict(schema)
