"""A folder of clips: what is found, and what each clip is called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pvm_core.errors import InputError, MediaError
from pvm_resources.sources.base import Collected, Query, VideoRecord, VideoSource
from pvm_resources.sources.folder.videos import FolderVideos

QUERY = Query("pillows")


def clips(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
    return folder


def collect(folder: Path) -> Collected[VideoRecord]:
    return FolderVideos(folder).collect(QUERY)


def names(folder: Path) -> list[str]:
    return [record.given_name for record in collect(folder).records]


def test_it_is_a_video_source() -> None:
    assert isinstance(FolderVideos(Path("x")), VideoSource)


def test_clips_of_all_folders_are_found_and_others_passed_over(tmp_path: Path) -> None:
    clips(
        tmp_path,
        "b.mp4",
        "a.MKV",
        "sub/c.WebM",
        "sub/deep/d.mov",
        "e.txt",
        "f.mp4.part",
        ".g.mp4",
        ".h/i.mp4",
    )
    found = collect(tmp_path)
    assert [r.given_name for r in found.records] == ["a", "b", "c", "d"]
    assert found.status.state == "ok"
    record = found.records[2]
    assert record.path == (tmp_path / "sub/c.WebM").absolute()
    assert (record.size, record.external_id, record.platform) == (10, "sub/c.WebM", "file")
    assert FolderVideos(tmp_path).fetch(record, tmp_path) == record.path


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["x.mp4", "sub/x.mp4"], ["sub/x", "x"]),
        (["a/x.mp4", "b/x.mp4", "y.mp4"], ["a/x", "b/x", "y"]),
        (["x.mp4", "x.mkv"], ["x.mkv", "x.mp4"]),
        (["x.mp4", "x.mkv", "x.mp4.mov"], ["x.mkv", "x.mp4", "x.mp4.mov"]),
        (["clip.v1.mp4", "clip.v2.mp4"], ["clip.v1", "clip.v2"]),
        (["gối 枕.mp4"], ["gối 枕"]),
    ],
)
def test_names_are_short_and_unique(tmp_path: Path, files: list[str], expected: list[str]) -> None:
    assert names(clips(tmp_path, *files)) == expected


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    assert names(clips(tmp_path, "one.mp4") / "one.mp4") == ["one"]


def test_links_are_followed_without_going_round(tmp_path: Path) -> None:
    clips(tmp_path / "real", "a.mp4", "sub/b.mp4", ".kept/c.mp4")
    (tmp_path / "real/sub/up").symlink_to(tmp_path / "real")
    (tmp_path / "real/again").symlink_to(tmp_path / "real/sub")
    (tmp_path / "real/c.mp4").symlink_to(tmp_path / "real/.kept/c.mp4")
    assert names(tmp_path / "real") == ["a", "c", "b"]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    clips(tmp_path, "good.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = collect(tmp_path)
    assert [r.given_name for r in found.records] == ["good"]
    assert {p.item: p.code for p in found.problems} == {
        "gone.mp4": "video.missing",
        "loop.mp4": "video.unreadable",
        "pipe.mp4": "video.unreadable",
    }
    assert found.status.state == "partial"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_closed_files_and_folders_are_named(tmp_path: Path) -> None:
    clips(tmp_path, "good.mp4", "closed.mp4", "shut/in.mp4")
    (tmp_path / "closed.mp4").chmod(0)
    (tmp_path / "shut").chmod(0)
    try:
        assert {p.item for p in collect(tmp_path).problems} == {"closed.mp4", "shut"}
    finally:
        (tmp_path / "shut").chmod(0o700)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda folder: folder / "none", "videos.missing"),
        (lambda folder: folder, "videos.none"),
        (lambda folder: clips(folder, "readme.txt"), "videos.none"),
    ],
)
def test_nothing_to_collect(tmp_path: Path, make: object, code: str) -> None:
    with pytest.raises(InputError) as caught:
        collect(make(tmp_path))  # type: ignore[operator]
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_file_that_goes_away_before_it_is_fetched(tmp_path: Path) -> None:
    record = collect(clips(tmp_path, "a.mp4")).records[0]
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(MediaError, match=r"video\.missing"):
        FolderVideos(tmp_path).fetch(record, tmp_path)


def test_a_name_that_is_no_text_is_refused_and_written_out(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/bad\xff.mp4"
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - a name in bytes
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    clips(tmp_path, "good.mp4")
    found = collect(tmp_path)
    assert [record.given_name for record in found.records] == ["good"]
    assert [(problem.item, problem.code) for problem in found.problems] == [
        (r"bad\xff.mp4", "video.unreadable")
    ]


PARTS = st.sampled_from(["a", "b", "a.mp4", "ü"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["s", "t"]), max_size=2), PARTS, st.sampled_from(["mp4", "mov", "MKV"])
        ),
        min_size=1,
        max_size=8,
        unique_by=str,
    )
)
def test_names_never_clash(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[list[str], str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("clips")
    clips(folder, *("/".join([*folders, f"{stem}.{suffix}"]) for folders, stem, suffix in files))
    found = names(folder)
    assert len(set(found)) == len(found) == len(files)


def test_files_of_another_type_are_named_once_a_type_and_none_is_skipped_in_silence(tmp_path: Path) -> None:
    names = ("a.mp4", "n/b.txt", "n/c.TXT", "d.txt", "e.docx", "README", ".hidden", ".h/x.txt", "sub/f.gif")
    clips(tmp_path, *names)
    Image.new("RGB", (8, 8)).save(tmp_path / "sub" / "f.gif")
    found = collect(tmp_path)

    assert [one.given_name for one in found.records] == ["a"]
    told = {one.item: one.message for one in found.problems}
    assert {one.code for one in found.problems} == {"video.passed_over"}
    assert sorted(told) == ["README", "d.txt", "e.docx", "sub/f.gif"], (
        "the first of each type, nothing hidden"
    )
    assert "3 files of the type .txt, this one the first" in told["d.txt"]
    assert "it is no video by its name" in told["README"]
    assert "it is a still picture" in told["sub/f.gif"]
    assert all("Videos end in " in message and " mp4, " in message for message in told.values())
