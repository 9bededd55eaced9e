"""A whole job through the command line: run, results, status, run again."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Finished, Pvm, open_to_others

from pvm_jobs.job_ids import slugify

FIRST_COLUMNS = ["product", "video", "score", "ts", "status", "evidence"]


def _csv(done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def _results(finished: Finished, *more: str) -> list[dict[str, str]]:
    return _csv(finished.pvm("results", "--industry", finished.industry, "--format", "csv", *more))


def test_what_each_clip_shows_is_found_at_the_right_second(finished: Finished) -> None:
    rows = _results(finished, "--min-score", "0.8")

    assert {row["video"]: row["product"] for row in rows} == finished.case.shown
    # The product stands in the second half of each clip of three seconds.
    assert all(1.4 <= float(row["ts"]) <= 3.0 for row in rows)
    assert all(row["status"] == "accepted" for row in rows)
    assert all(Path(row["evidence"]).read_bytes()[:2] == b"\xff\xd8" for row in rows)


def test_other_users_of_the_machine_see_nothing_that_a_run_wrote(finished: Finished) -> None:
    assert {"dagster", "media", "pg"} <= {path.name for path in finished.pvm.home.iterdir()}
    assert open_to_others(finished.pvm.home) == []


def test_the_run_ends_with_the_table_of_accepted_matches(finished: Finished) -> None:
    for video, product in finished.case.shown.items():
        assert video in finished.run.stdout
        assert product in finished.run.stdout
    assert "Hộp số 0" in finished.run.stdout
    assert "4 products" in finished.run.stderr
    # Progress is told on stderr, an asset a line where there is no terminal.
    assert "keyframes" in finished.run.stderr


def test_min_score_zero_lists_every_scored_pair_and_statuses_agree_with_scores(finished: Finished) -> None:
    rows = _results(finished, "--min-score", "0")

    assert list(rows[0])[:6] == FIRST_COLUMNS
    assert list(rows[0])[-3:] == ["review_url", "listed_as", "mirrored"]
    assert {"accepted"} < {row["status"] for row in rows}
    assert all((row["status"] == "accepted") == (float(row["score"]) >= 0.8) for row in rows)
    assert len({(row["product"], row["video"]) for row in rows}) == len(rows)


def test_the_scoring_tool_accepts_the_csv(finished: Finished, shared: Path, tmp_path: Path) -> None:
    text = finished.pvm(
        "results", "--industry", finished.industry, "--min-score", "0", "--format", "csv"
    ).stdout
    (tmp_path / "results.csv").write_text(text)
    truth = [f"{product},{video},1.5,3.0" for video, product in finished.case.shown.items()]
    (tmp_path / "truth.csv").write_text("\n".join(["product_id,video_id,start_s,end_s", *truth]) + "\n")

    scored = subprocess.run(
        [sys.executable, shared / "tools" / "score_case.py", tmp_path, tmp_path / "results.csv"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert scored.returncode == 0, scored.stderr
    assert "precision 1.000" in scored.stdout
    assert "recall 1.000" in scored.stdout


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_json_holds_the_same_rows_as_csv(finished: Finished, form: str) -> None:
    done = finished.pvm("results", "--industry", finished.industry, "--min-score", "0", "--format", form)
    rows = json.loads(done.stdout) if form == "json" else [json.loads(s) for s in done.stdout.splitlines()]

    assert [(r["product"], r["video"], str(r["score"])) for r in rows] == [
        (r["product"], r["video"], r["score"]) for r in _results(finished, "--min-score", "0")
    ]


def test_an_industry_answers_to_its_slug_and_results_to_their_job(finished: Finished) -> None:
    status = json.loads(finished.pvm("status", "--json").stdout)
    job = next(j for j in status["jobs"] if j["industry"].startswith("goi-cong-thai-hoc"))

    by_slug = _csv(finished.pvm("results", "-i", job["industry"], "--format", "csv"))
    by_job = _csv(finished.pvm("results", "--job", job["job"], "--format", "csv"))

    assert by_slug == by_job == _results(finished)


def test_status_shows_the_finished_job(finished: Finished) -> None:
    jobs = json.loads(finished.pvm("status", "--json").stdout)["jobs"]
    # The home is shared with other files' jobs, and the newest job comes first.
    job = [j for j in jobs if j["industry"] == slugify(finished.industry)][-1]

    assert (job["status"], job["percent"], job["counts"]["problems"]) == ("completed", 100, 0)
    assert job["counts"]["accepted"] == len(finished.case.shown)
    shown = finished.pvm("status")
    assert job["job"] in shown.stdout
    detail = finished.pvm("status", "--job", job["job"])
    assert all(asset in detail.stdout for asset in ("products", "keyframes", "candidate_pairs", "evidence"))


def test_the_same_job_again_computes_nothing_and_finds_the_same(finished: Finished) -> None:
    before = _results(finished, "--min-score", "0")
    again = finished.pvm.run(finished.case.products, finished.case.videos, finished.industry)

    assert again.returncode == 0, again.stderr
    after = _results(finished, "--min-score", "0")
    # Another job's matches have their own pictures and pages.
    kept = [k for k in before[0] if k not in ("evidence", "evidence_url", "review_url")]
    assert [[r[k] for k in kept] for r in after] == [[r[k] for k in kept] for r in before]
    for stage in ("keyframes", "masks", "embeddings", "keypoints"):
        line = next(text for text in again.stderr.splitlines() if text.startswith(stage))
        total = line.split()[1].split("/")[0]
        assert f"{total} reused" in line


def test_retry_of_a_finished_job_changes_nothing(finished: Finished) -> None:
    job = json.loads(finished.pvm("status", "--json").stdout)["jobs"][-1]["job"]
    before = finished.pvm("results", "--job", job, "--format", "csv").stdout

    assert finished.pvm("retry", job).returncode == 0
    assert finished.pvm("results", "--job", job, "--format", "csv").stdout == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "--industry", "x"], "run.source"),
        (["run", "--industry", "x", "--products", "no.csv", "--videos", "."], "source.missing"),
        (["run", "--industry", "x", "--products", ".", "--videos", "."], "source.folder"),
        (["run", "--industry", "x", "--products", __file__, "--videos", "."], "table.columns"),
        (["run", "--industry", " "], "industry.name"),
        (["results"], "results.which"),
        (["results", "--industry", "nobody"], "industry.unknown"),
        (["results", "--job", "nobody"], "job.unknown"),
        (["retry", "nobody"], "job.unknown"),
        (["rules", "set", "--industry", "nobody", "accept=0.9"], "industry.unknown"),
    ],
)
def test_a_wrong_call_is_one_clear_line_and_exit_code_2(
    shared_pvm: Pvm, finished: Finished, arguments: list[str], code: str
) -> None:
    done = shared_pvm(*arguments)

    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert line.endswith(f"[{code}]")


def test_a_mistyped_industry_is_not_stored_and_the_near_one_is_offered(
    shared_pvm: Pvm, finished: Finished
) -> None:
    done = shared_pvm("run", "--industry", "Goi cong thai hoc — dot 1")

    assert done.returncode == 2
    assert f'there is also "{finished.industry}"' in done.stderr
    assert "Goi cong thai hoc" not in shared_pvm("industries", "list").stdout


def test_an_empty_home_says_what_to_do(pvm: Pvm) -> None:
    done = pvm("results", "--industry", "x")

    assert done.returncode == 2
    assert "make demo" in done.stderr
    assert pvm("status").returncode == 0
    assert not (pvm.home / "pg").exists()
