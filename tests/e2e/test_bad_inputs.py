"""Bad inputs of every kind in one job: a clear message each, the rest of the job finished, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from pathlib import Path

import pytest
import tiny
from harness import Pvm

INDUSTRY = "Đủ thứ hỏng"
LONG = "x" * 10_000


def _png_bomb() -> bytes:
    """A PNG of a few bytes that declares 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _broken_case(folder: Path) -> tiny.Tiny:
    case = tiny.write_case(folder, products=8, clips=4)
    images, videos = folder / "images", folder / "videos"
    whole = (images / "p1.jpg").read_bytes()
    (images / "empty.jpg").write_bytes(b"")
    (images / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (images / "text.jpg").write_text("this is no picture")
    (images / "bomb.png").write_bytes(_png_bomb())
    (images / "clip.jpg").write_bytes((videos / "c0.mp4").read_bytes())
    good = [{"product_id": f"p{n}", "title": f"Hộp số {n}", "image": f"images/p{n}.jpg"} for n in range(8)]
    rows = [
        *good,
        {"product_id": "p0", "title": "Hộp số 0", "image": "images/p0.jpg"},
        {"product_id": "long-title", "title": "枕" * 10_000, "image": "images/p1.jpg"},
        {"product_id": LONG, "title": "long id", "image": "images/p1.jpg"},
        {"product_id": "../../etc/passwd", "title": "climbing id", "image": "images/p1.jpg"},
        {"product_id": "empty", "image": "images/empty.jpg"},
        {"product_id": "cut", "image": "images/cut.jpg"},
        {"product_id": "text", "image": "images/text.jpg"},
        {"product_id": "bomb", "image": "images/bomb.png"},
        {"product_id": "clip", "image": "images/clip.jpg"},
        {"product_id": "gone", "image": "images/gone.jpg"},
        {"product_id": "climb", "image": "../../../../etc/hostname"},
        {"product_id": "", "title": "no id", "image": "images/p0.jpg"},
        {"product_id": "no-image", "image": ""},
    ]
    tiny.write_catalogue(case.products, rows)
    clip = (videos / "c0.mp4").read_bytes()
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "cut.mp4").write_bytes(clip[: len(clip) // 2])
    (videos / "picture.mp4").write_bytes(whole)
    (videos / "text.webm").write_text("this is no video")
    (videos / "Phim — 枕头 đẹp.mp4").write_bytes(clip)
    return case


@pytest.fixture(scope="module")
def broken(shared_pvm: Pvm, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The job of the broken case: its exit code, problems by item, rows and messages."""
    case = _broken_case(tmp_path_factory.mktemp("broken"))
    done = shared_pvm.run(case.products, case.videos, INDUSTRY)
    status = json.loads(shared_pvm("status", "--json").stdout)
    job = next(j for j in status["jobs"] if j["industry"] == "du-thu-hong")
    shown = shared_pvm("results", "--industry", INDUSTRY, "--format", "csv")
    return {
        "code": done.returncode,
        "stderr": done.stderr,
        "job": job,
        "detail": shared_pvm("status", "--job", job["job"]).stdout,
        "rows": list(csv.DictReader(io.StringIO(shown.stdout))),
    }


def test_the_job_finishes_and_finds_what_can_be_found(broken: dict[str, object]) -> None:
    assert broken["code"] == 0, broken["stderr"]
    found = {(row["product"], row["video"]) for row in broken["rows"]}  # type: ignore[attr-defined]

    assert ("p0", "c0") in found
    # The same bytes under another name are the same video, under both its names.
    assert ("p0", "Phim — 枕头 đẹp") in found


@pytest.mark.parametrize(
    "item",
    [
        "images/empty.jpg", "images/cut.jpg", "images/text.jpg", "images/bomb.png", "images/clip.jpg",
        "images/gone.jpg", "empty", "cut", "picture", "text",
        "products.csv line 12", "products.csv line 20", "products.csv line 21", "products.csv line 22",
    ],
)  # fmt: skip
def test_each_broken_file_or_row_is_named_with_its_problem(broken: dict[str, object], item: str) -> None:
    named = {line.strip().partition(": ")[0] for line in str(broken["detail"]).splitlines()}

    assert item in named


def test_problems_are_grouped_at_the_end_of_the_run(broken: dict[str, object]) -> None:
    assert "problems; the rest of the job went on" in str(broken["stderr"])
    assert "[picture." in str(broken["stderr"])
    assert "[video." in str(broken["stderr"])
    assert "Traceback" not in str(broken["stderr"])
    assert len(str(broken["stderr"])) < 20_000


def test_an_id_that_climbs_is_kept_as_an_id_and_touches_no_file(
    broken: dict[str, object], shared_pvm: Pvm
) -> None:
    stored = {path.relative_to(shared_pvm.home).parts[0] for path in shared_pvm.home.rglob("*.jpg")}

    assert stored <= {"media"}
    assert not any("passwd" in path.name for path in shared_pvm.home.rglob("*"))


CATALOGUES = {
    "empty file": b"",
    "header only": b"product_id,title,image\n",
    "no image column": b"product_id,title\np0,box\n",
    "no id column": b"title,image\nbox,images/p0.jpg\n",
    "not text": b"\xff\xfe\x00\x01\x02" + bytes(range(256)),
    "a picture": b"\xff\xd8\xff\xe0" + b"\0" * 500,
}


@pytest.mark.parametrize("content", CATALOGUES.values(), ids=CATALOGUES.keys())
def test_a_catalogue_that_cannot_be_read_is_named_with_exit_code_2(
    shared_pvm: Pvm, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "products.csv").write_bytes(content)
    (tmp_path / "videos").mkdir()

    done = shared_pvm.run(tmp_path / "products.csv", tmp_path / "videos", "hỏng")

    assert done.returncode == 2, done.stderr
    assert "products.csv" in done.stderr
    assert "[catalogue." in done.stderr or "[table." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_videos_is_named(shared_pvm: Pvm, tmp_path: Path) -> None:
    case = tiny.write_case(tmp_path, products=1, clips=1)
    (tmp_path / "none").mkdir()

    done = shared_pvm.run(case.products, tmp_path / "none", "hỏng")

    assert done.returncode == 2, done.stderr
    assert "none" in done.stderr


def test_a_catalogue_mostly_broken_is_stopped_by_its_check(shared_pvm: Pvm, tmp_path: Path) -> None:
    case = tiny.write_case(tmp_path, products=3, clips=1)
    for n in (1, 2):
        (tmp_path / "images" / f"p{n}.jpg").write_bytes(b"")

    done = shared_pvm.run(case.products, case.videos, "hỏng")

    assert done.returncode == 1, done.stderr
    assert "pictures_decodable" in done.stderr
    assert "1 of 3 pictures can be used" in done.stderr
    assert "[check.failed]" in done.stderr


def test_a_job_with_nothing_usable_ends_with_exit_code_3(shared_pvm: Pvm, tmp_path: Path) -> None:
    case = tiny.write_case(tmp_path, products=1, clips=1)
    (case.videos / "c0.mp4").write_bytes(b"")

    done = shared_pvm.run(case.products, case.videos, "hỏng")

    assert done.returncode == 3, done.stderr
    assert "c0" in done.stderr


def test_files_that_are_no_videos_are_named_at_the_end_of_the_run_and_the_rest_is_done(
    shared_pvm: Pvm, tmp_path: Path
) -> None:
    case = tiny.write_case(tmp_path, products=2, clips=2)
    for name in ("notes.txt", "more.txt", "cover.psd"):
        (case.videos / name).write_bytes(b"x")

    done = shared_pvm.run(case.products, case.videos, "lẫn lộn")

    assert done.returncode == 0, done.stderr
    assert "[video.passed_over]" in done.stderr
    assert "cover.psd" in done.stderr
    assert "2 files of the type .txt" in " ".join(done.stderr.split())


def test_pictures_by_absolute_path_need_allow_outside(shared_pvm: Pvm, tmp_path: Path) -> None:
    case = tiny.write_case(tmp_path / "case", products=2, clips=2)
    pictures = tmp_path / "elsewhere"
    (tmp_path / "case" / "images").rename(pictures)
    rows = [{"product_id": f"p{n}", "image": str(pictures / f"p{n}.jpg")} for n in range(2)]
    tiny.write_catalogue(case.products, rows)

    refused = shared_pvm.run(case.products, case.videos, "ảnh ở ngoài")
    assert refused.returncode != 0
    assert "--allow-outside" in refused.stderr
    assert "Traceback" not in refused.stderr

    done = shared_pvm.run(case.products, case.videos, "ảnh ở ngoài", "--allow-outside")
    assert done.returncode == 0, done.stderr
    found = shared_pvm("results", "-i", "ảnh ở ngoài", "--format", "csv").stdout
    assert [row["product"] for row in csv.DictReader(io.StringIO(found))] == ["p0"]
