"""docs/sources.md says what the code does: policies, variables, codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvm_jobs.source_policy import SHIPPED
from pvm_resources.settings import Settings
from pvm_resources.sources.registry import PRODUCT_SOURCES, VIDEO_SOURCES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("pvm_core", "pvm_jobs", "pvm_resources", "pvm_cli")
    for path in (ROOT / folder).rglob("*.py")
)


def rows(heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_policies_are_those_shipped() -> None:
    found = {
        name: (attribution, train == "yes")
        for names, _, attribution, train in rows("What is kept, and for how long")
        for name in re.findall(r"`(\w+)`", names)
    }
    kept = {
        name: text
        for names, text, *_ in rows("What is kept, and for how long")
        for name in re.findall(r"`(\w+)`", names)
    }

    assert found == {name: (policy.attribution, policy.may_train) for name, policy in SHIPPED.items()}
    for name, policy in SHIPPED.items():
        assert kept[name].startswith("no limit") == (not policy.restricted)
        assert kept[name].startswith("while the job runs") == (not policy.store_media)
        if policy.max_age_h is not None:
            assert f"{policy.max_age_h:g} hours" in kept[name]


def test_every_source_with_a_name_has_a_row() -> None:
    assert all(f"| `{name}` |" in TEXT for name in (*PRODUCT_SOURCES, *VIDEO_SOURCES))


def test_every_variable_is_a_setting() -> None:
    known = {
        str(name)
        for info in Settings.model_fields.values()
        for name in getattr(info.validation_alias, "choices", ())
    }
    named = set(re.findall(r"\b(?:PVM|EBAY|AMAZON)_[A-Z_]+\b", TEXT)) - set(
        re.findall(r"\bEBAY_[A-Z]{2}\b", TEXT)
    )

    assert named <= known
    assert {name for name in known if name.startswith(("EBAY_CL", "AMAZON_C", "AMAZON_P"))} <= named


def codes() -> Iterator[str]:
    for cell, *_ in rows("Codes of problems"):
        family = ""
        for code in re.findall(r"`([\w.*]+)`", cell):
            if "*" in code or (code.startswith(".") and not family):
                # Downloads: their codes are put together from a family and a kind.
                continue
            family = family if code.startswith(".") else code.partition(".")[0]
            yield f"{family}{code}" if code.startswith(".") else code


@pytest.mark.parametrize("code", sorted(set(codes())))
def test_every_code_is_one_of_the_code(code: str) -> None:
    assert f'"{code}"' in CODE


def test_links_lead_to_headings_and_files_that_are_there() -> None:
    headings = {
        h.lower().replace(" ", "-").replace(",", "") for h in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (ROOT / "docs" / target).is_file()
