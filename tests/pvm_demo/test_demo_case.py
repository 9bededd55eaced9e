"""Generated cases on disk: complete, resumable, and what the truth says."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pvm_core.errors import InputError, StoreError
from pvm_demo.case import read_truth, score_results, write_case
from pvm_demo.clips import Case, CaseSpec, make_case
from pvm_demo.scoring import ResultRow

SMALL_SPEC = CaseSpec(
    seed=1,
    family="test",
    n_products=6,
    n_clips=3,
    n_outsiders=2,
    size=(480, 270),
    fps=8,
    shots=(2, 3),
    shot_s=(0.8, 1.5),
)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("case") / "case"
    write_case(folder, SMALL_SPEC)
    return folder


@pytest.fixture(scope="module")
def plan() -> Case:
    return make_case(SMALL_SPEC)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_catalogue_names_pictures_that_are_there(case: Path) -> None:
    products = rows(case / "products.csv")
    assert list(products[0]) == ["product_id", "title", "brand", "url", "image"]
    assert len({r["product_id"] for r in products}) == SMALL_SPEC.n_products
    named = {case / r["image"] for r in products}
    assert named == set((case / "images").iterdir())
    assert list(rows(case / "truth.csv")[0]) == ["product_id", "video_id", "start_s", "end_s"]


def test_clips_decode_and_last_as_long_as_planned(case: Path, plan: Case) -> None:
    import av

    for clip in plan.clips:
        with av.open(str(case / "videos" / f"{clip.video_id}.mp4")) as container:
            stream = container.streams.video[0]
            times = [float(f.pts * f.time_base) for f in container.decode(stream)]
            assert (stream.height, stream.width) == clip.size
        assert len(times) == clip.frames
        assert times[-1] + 1 / clip.fps == pytest.approx(clip.duration_s, abs=0.01)
    truth, background = read_truth(case)
    assert truth == list(plan.truth)
    assert background == list(plan.background)


def test_a_second_call_finds_the_case(case: Path) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in case.rglob("*.*")}
    info = write_case(case, SMALL_SPEC)
    assert not info.made
    assert info.clips == SMALL_SPEC.n_clips
    assert {p: p.stat().st_mtime_ns for p in case.rglob("*.*")} == stamps


def test_a_broken_run_is_taken_up_and_ends_the_same(case: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    seen: list[tuple[int, int]] = []

    class KilledError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == total - 1:
            raise KilledError

    with pytest.raises(KilledError):
        write_case(folder, SMALL_SPEC, stop, workers=1)
    assert not json.loads((folder / "case.json").read_text())["complete"]
    (folder / "videos" / "half.part.mp4").write_bytes(b"cut off")
    kept = {p.name: p.stat().st_mtime_ns for p in (folder / "images").iterdir()}
    info = write_case(folder, SMALL_SPEC)
    assert info.made
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "images").iterdir()} == kept
    assert not list(folder.rglob("*.part*"))
    for path in (case / "images").iterdir():
        assert (folder / "images" / path.name).read_bytes() == path.read_bytes()
    assert (folder / "truth.csv").read_bytes() == (case / "truth.csv").read_bytes()


def test_another_spec_replaces_the_case(tmp_path: Path) -> None:
    tiny = replace(
        SMALL_SPEC, n_products=2, n_clips=1, n_outsiders=0, size=(160, 90), shots=(1, 1), shot_s=(0.3, 0.4)
    )
    write_case(tmp_path / "case", tiny)
    info = write_case(tmp_path / "case", replace(tiny, seed=9))
    assert info.made
    assert len(list((tmp_path / "case" / "videos").iterdir())) == 1


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        write_case(tmp_path, SMALL_SPEC)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        write_case(tmp_path / "file" / "case", SMALL_SPEC)
    assert caught.value.code == "demo.write"


def test_results_are_scored_against_the_case(case: Path) -> None:
    truth, _ = read_truth(case)
    right = {(t.product_id, t.video_id): t for t in truth}
    score = score_results(case, [ResultRow(p, v, 0.9, t.start_s) for (p, v), t in right.items()])
    assert (score.precision, score.recall) == (1, 1)
    assert score.seconds_right == score.true == len(right)
    with pytest.raises(InputError, match=r"truth\.csv"):
        score_results(case / "images", [])
