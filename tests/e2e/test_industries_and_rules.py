"""Industries and their rules at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from harness import Pvm

NAME = "Đồ chơi gỗ 木制玩具"


@pytest.fixture(scope="module")
def industry(shared_pvm: Pvm, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An industry with standing sources."""
    case = tiny.write_case(tmp_path_factory.mktemp("standing"), products=1, clips=1)
    done = shared_pvm("industries", "add", NAME, "--products", case.products, "--videos", case.videos)
    assert done.returncode == 0, done.stderr
    return NAME


def _rules(pvm: Pvm, industry: str, **environment: str) -> dict[str, object]:
    shown = pvm("rules", "show", "--industry", industry, "--json", **environment)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)  # type: ignore[no-any-return]


def test_a_new_industry_is_listed_with_its_sources(shared_pvm: Pvm, industry: str) -> None:
    listed = shared_pvm("industries", "list").stdout
    shown = shared_pvm("industries", "show", industry).stdout

    assert industry in listed
    assert "products.csv" in shown
    assert "rules     default" in shown


def test_an_industry_runs_by_itself_until_told_otherwise(shared_pvm: Pvm, industry: str) -> None:
    set_ = shared_pvm("industries", "sources", industry, "--every", "24")
    assert set_.returncode == 0, set_.stderr
    assert "every 24 h" in set_.stderr
    assert "products.csv" in set_.stderr
    assert "every" not in shared_pvm("industries", "sources", industry, "--every", "0").stderr
    refused = shared_pvm("industries", "sources", industry, "--every", "99999")
    assert refused.returncode == 2
    assert "[industry.every]" in refused.stderr


def test_rules_are_set_shown_and_taken_back(shared_pvm: Pvm, industry: str) -> None:
    before = _rules(shared_pvm, industry)
    done = shared_pvm("rules", "set", "-i", industry, "retrieval_topk=33", "edge_term=false")
    assert done.returncode == 0, done.stderr

    changed = _rules(shared_pvm, industry)
    assert (changed["retrieval_topk"], changed["edge_term"]) == (33, False)
    assert "industry" in shared_pvm("rules", "show", "-i", industry).stdout

    assert shared_pvm("rules", "unset", "-i", industry).returncode == 0
    assert _rules(shared_pvm, industry) == before


def test_the_environment_speaks_for_the_machine(shared_pvm: Pvm, industry: str) -> None:
    shared_pvm("rules", "set", "-i", industry, "retrieval_topk=33")

    assert _rules(shared_pvm, industry, RETRIEVAL_TOPK="44")["retrieval_topk"] == 44
    assert shared_pvm("rules", "unset", "-i", industry, "retrieval_topk").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["accept=nine"], "accept"),
        (["accept=1.5"], "accept"),
        (["no_such_rule=1"], "no_such_rule"),
        (["accept"], "FIELD=VALUE"),
        (["retrieval_topk=33", "accept=1.5"], "accept"),
        (["--rule-set", "nobody"], "nobody"),
        ([], "nothing"),
    ],
)
def test_a_wrong_rule_is_refused_and_changes_nothing(
    shared_pvm: Pvm, industry: str, arguments: list[str], words: str
) -> None:
    before = _rules(shared_pvm, industry)
    done = shared_pvm("rules", "set", "-i", industry, *arguments)

    assert done.returncode == 2
    assert words in done.stderr
    assert _rules(shared_pvm, industry) == before


def test_an_industry_with_jobs_is_removed_only_with_them(
    shared_pvm: Pvm, industry: str, tmp_path: Path
) -> None:
    shared_pvm("industries", "add", "Tạm thời")
    assert shared_pvm("industries", "rm", "Tạm thời").returncode == 0
    assert shared_pvm("industries", "show", "Tạm thời").returncode == 2
