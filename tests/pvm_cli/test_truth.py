"""Precision and recall against a known truth."""

from __future__ import annotations

from pathlib import Path

from pvm_cli.lines import ResultLine
from pvm_cli.truth import judge, read_truth


def _line(product: str, video: str, ts: float) -> ResultLine:
    return ResultLine(product, video, 0.9, ts, "accepted", "", None, None, None, None, 1, 1, "", "", "")


def _case(folder: Path) -> Path:
    (folder / "truth.csv").write_text(
        "product_id,video_id,start_s,end_s\na,v,1.0,2.0\na,v,5.0,6.0\nb,v,3.0,4.0\nc,w,0.0,1.0\n"
    )
    (folder / "background.csv").write_text("product_id,video_id\nd,v\n")
    return folder


def test_right_wrong_missed_and_the_second(tmp_path: Path) -> None:
    lines = [_line("a", "v", 5.5), _line("b", "v", 9.0), _line("c", "v", 0.5), _line("d", "v", 1.0)]

    verdict = judge(lines, read_truth(_case(tmp_path)))

    # d is only in the background: neither right nor wrong. b is right, at a wrong second.
    assert (verdict.right, verdict.wrong, verdict.missed, verdict.on_time) == (2, 1, 1, 1)
    assert verdict.precision == 2 / 3
    assert verdict.recall == 2 / 3


def test_nothing_accepted_has_no_precision(tmp_path: Path) -> None:
    verdict = judge([], read_truth(_case(tmp_path)))

    assert verdict.precision is None
    assert verdict.recall == 0.0


def test_a_case_without_background_file_is_fine(tmp_path: Path) -> None:
    (_case(tmp_path) / "background.csv").unlink()

    assert read_truth(tmp_path).background == frozenset()
