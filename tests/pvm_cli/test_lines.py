"""How results are written: columns, full precision, nothing lost, nothing that misleads."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from pvm_cli import lines
from pvm_cli.console import console_on
from pvm_cli.lines import COLUMNS, ResultLine
from pvm_cli.workbook import write_workbook
from pvm_core.spreadsheet import unguarded

LINE = ResultLine(
    product="P-1",
    video="clips/đá gà",
    score=0.9123456789,
    ts=75.5,
    status="accepted",
    evidence="/data/media/evidence/1.jpg",
    sim_deep=0.91,
    sim_kp=None,
    sim_edge=0.5,
    score_pair=0.88,
    consistency=3,
    coverage=1,
    calibration="classic-1",
    embed_model="classic",
    reason="best pair, 3 shots",
    title='Gối "công thái học", trắng',
)


def test_the_first_columns_are_the_documented_ones() -> None:
    assert COLUMNS[:6] == ("product", "video", "score", "ts", "status", "evidence")
    assert COLUMNS[14:] == (
        "reason", "verdict", "scored_status", "title", "brand", "price", "currency", "product_url",
        "video_title", "video_url", "platform", "channel", "published", "evidence_url", "review_url",
        "listed_as", "mirrored",
    )  # fmt: skip


def test_numbers_are_cut_as_they_are_shown_and_missing_terms_are_empty() -> None:
    stream = io.StringIO()
    lines.write_csv([LINE], stream)
    stream.seek(0)

    (row,) = csv.DictReader(stream)

    assert (row["score"], row["sim_deep"], row["ts"]) == ("0.912", "0.91", "75.5")
    assert lines.score_text(LINE.score) == row["score"]
    assert row["sim_kp"] == ""
    assert row["video"] == "clips/đá gà"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
def test_csv_gives_every_text_back(text: str) -> None:
    stream = io.StringIO(newline="")
    lines.write_csv([replace(LINE, product=text)], stream)
    stream.seek(0)

    (row,) = csv.DictReader(stream)

    assert unguarded(row["product"]) == text


def test_csv_runs_nothing_in_a_spreadsheet_and_keeps_numbers() -> None:
    stream = io.StringIO(newline="")
    shown = replace(LINE, product="-5", video='=HYPERLINK("http://evil")', sim_deep=-0.5, reason="+1")
    lines.write_csv([shown, replace(LINE, reason="@SUM(A1)")], stream)
    stream.seek(0)

    first, second = csv.DictReader(stream)

    assert first["video"] == """'=HYPERLINK("http://evil")"""
    assert (first["product"], float(first["sim_deep"]), first["reason"]) == ("-5", -0.5, "+1")
    assert second["reason"] == "'@SUM(A1)"


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "xlsx"])
def test_no_form_lets_a_score_read_as_the_threshold_it_missed(form: str, tmp_path: Path) -> None:
    just_below = replace(LINE, score=0.79996, score_pair=0.79999)

    found = _written(just_below, form, tmp_path)

    assert (float(found["score"]), float(found["score_pair"])) == (0.799, 0.799)
    assert float(_written(replace(LINE, score=0.8), form, tmp_path)["score"]) == 0.8


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=60),
    st.sampled_from(["", "=", "+", "-", "@", "\t=", "https://x.example/", "{=", "javascript:"]),
)
def test_a_workbook_holds_texts_as_texts(text: str, first: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        line = replace(LINE, title=first + text, product_url=first + text, price="1299000", video_url="")
        write_workbook([line], Path(folder) / "x.xlsx")
        sheet = load_workbook(Path(folder) / "x.xlsx")["results"]
        names = [cell.value for cell in sheet[1]]
        cells = dict(zip(names, sheet[2], strict=True))
        assert all(cell.data_type != "f" for cell in sheet[2])
        assert (cells["title"].value or "") == first + text
        assert (cells["product_url"].value or "") == first + text
        linked = cells["product_url"].hyperlink
        assert linked is None or str(linked.target).startswith("https://")
        assert (cells["price"].value, cells["price"].data_type) == (1_299_000, "n")


def test_a_workbook_links_products_and_the_second_of_videos(tmp_path: Path) -> None:
    line = replace(
        LINE, product_url="https://shop.example/p/1", video_url="https://youtu.be/a?t=75",
        evidence_url="https://x.example/" + "e" * 3_000, verdict="accept",
    )  # fmt: skip
    assert write_workbook([line, replace(line, product="=1+1")], tmp_path / "x.xlsx") == 2
    sheet = load_workbook(tmp_path / "x.xlsx")["results"]
    cells = dict(zip((cell.value for cell in sheet[1]), sheet[2], strict=True))
    assert cells["product_url"].hyperlink.target == "https://shop.example/p/1"
    assert cells["video_url"].value == "https://youtu.be/a?t=75"
    assert (cells["evidence_url"].hyperlink, len(cells["evidence_url"].value)) == (None, 3_018)
    assert sheet.auto_filter.ref is not None
    assert sheet.freeze_panes == "B2"
    assert [sheet.cell(row, 1).value for row in (2, 3)] == [LINE.title] * 2


def _written(line: ResultLine, form: str, folder: Path) -> dict[str, Any]:
    if form == "xlsx":
        write_workbook([line], folder / "x.xlsx")
        header, row = load_workbook(folder / "x.xlsx")["results"].values
        return dict(zip(header, row, strict=True))
    stream = io.StringIO()
    {"csv": lines.write_csv, "json": lines.write_json, "jsonl": lines.write_jsonl}[form]([line], stream)
    stream.seek(0)
    if form == "csv":
        return next(csv.DictReader(stream))
    found = json.loads(stream.read())
    return dict(found[0] if form == "json" else found)


def test_json_and_json_lines_hold_the_same_objects() -> None:
    whole, parts = io.StringIO(), io.StringIO()
    lines.write_json([LINE, LINE], whole)
    lines.write_jsonl([LINE, LINE], parts)

    assert json.loads(whole.getvalue()) == [json.loads(line) for line in parts.getvalue().splitlines()]
    assert json.loads(whole.getvalue())[0]["sim_kp"] is None


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.79999, "0.799"), (0.8, "0.800"), (0.29, "0.290"), (1.0, "1.000"), (0.0, "0.000"), (0.9996, "0.999")],
)
def test_a_score_below_a_threshold_never_reads_as_the_threshold(score: float, shown: str) -> None:
    assert lines.score_text(score) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, "00:00"), (75.9, "01:15"), (3_671.2, "1:01:11")])
def test_a_second_reads_as_a_clock(seconds: float, shown: str) -> None:
    assert lines.clock_text(seconds) == shown


def _shown(*found: ResultLine, width: int) -> str:
    console = console_on(file=io.StringIO(), width=width)
    lines.show(console, found, "Matches")
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_table_survives_names_of_ten_thousand_characters_and_markup() -> None:
    shown = _shown(replace(LINE, title="[red]" + "枕" * 10_000), width=160)

    assert "[red]" in shown
    assert len(shown) < 4_000


@pytest.mark.parametrize("width", [60, 80, 200])
def test_evidence_paths_are_shown_whole_at_any_width(width: int) -> None:
    far = replace(LINE, evidence="/a/rather/long/folder" * 4 + "/evidence.jpg")

    shown = _shown(far, width=width)

    assert far.evidence in shown
    assert "0.912" in shown
    assert "01:15" in shown
