"""Labels as a folder to learn from: what `pvm evaluate` reads of it, and what never enters it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvm_core.errors import InputError
from pvm_evaluation.folders import PhotoSet, open_folder
from pvm_evaluation.label_export import Exported, export_labels
from pvm_jobs.source_policy import parse_policies
from pvm_resources.media.store import MediaStore
from pvm_resources.store.assembly import Store
from pvm_resources.store.labels import Labels
from tests.pvm_resources import world
from tests.pvm_resources.world import World


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    """An empty media store."""
    return MediaStore(str(tmp_path / "media"))


@pytest.fixture
def done(repos: Store, media: MediaStore) -> World:
    """A finished job whose pictures are stored, and a verdict on each of its three matches."""
    made = world.make(repos, job_id="job-1")
    world.write(repos, made)
    for image in made.images:
        media.put(image.local_path, b"\xff\xd8\xff" + image.sha256.encode())
    for frame in made.frames:
        media.put(str(frame.local_path), b"\xff\xd8\xff" + str(frame.frame_id).encode())
    labels = Labels(repos.database, parse_policies(""))
    for match, verdict in zip(world.matches(made), ("accept", "reject", "unsure"), strict=True):
        labels.give(match.match_id, verdict, "Lan")  # type: ignore[arg-type]
    return made


def _export(repos: Store, media: MediaStore, folder: Path, policies: str = "") -> Exported:
    rules = parse_policies(policies)
    return export_labels(Labels(repos.database, rules).judged(None), media, rules, folder)


def test_the_folder_is_one_that_evaluate_reads(
    repos: Store, media: MediaStore, done: World, tmp_path: Path
) -> None:
    assert _export(repos, media, tmp_path / "out") == Exported(accepted=1, rejected=1)
    found = open_folder(tmp_path / "out")
    assert isinstance(found, PhotoSet)
    right, wrong, _ = world.matches(done)
    scene = f"{right.best.frame_id}.jpg"
    assert {p.product for p in found.products} == {str(right.product_id), str(wrong.product_id)}
    assert found.label(str(right.product_id), scene) is True
    assert found.label(str(wrong.product_id), f"{wrong.best.frame_id}.jpg") is False
    assert found.label(str(wrong.product_id), scene) is None, "nobody said anything of this pair"
    assert len(found.scenes) == 2
    assert found.products[0].path.read_bytes().startswith(b"\xff\xd8\xff")


def test_what_terms_forbid_never_enters(repos: Store, media: MediaStore, done: World, tmp_path: Path) -> None:
    now = _export(repos, media, tmp_path / "now", '{"file": {"may_train": false}}')
    assert now == Exported(forbidden={"file": 2})
    assert list((tmp_path / "now").rglob("*.jpg")) == []
    with repos.database.transaction() as cursor:
        cursor.execute("UPDATE labels SET may_train = false WHERE verdict = 'accept'")
        cursor.execute("UPDATE labels SET platform = 'youtube' WHERE verdict = 'reject'")
    then = _export(repos, media, tmp_path / "then")
    assert then == Exported(forbidden={"file": 1, "youtube": 1})


def test_pictures_that_are_gone_are_counted(
    repos: Store, media: MediaStore, done: World, tmp_path: Path
) -> None:
    right, wrong, _ = world.matches(done)
    media.delete(next(i.local_path for i in done.images if i.img_id == right.best.img_id))
    with repos.database.transaction() as cursor:
        cursor.execute("DELETE FROM stored_frames WHERE frame_id = %s", [wrong.best.frame_id])
    assert _export(repos, media, tmp_path / "out") == Exported(gone=2)
    assert list((tmp_path / "out").rglob("*.jpg")) == []


def test_a_folder_that_holds_files_is_left_alone(
    repos: Store, media: MediaStore, done: World, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError) as caught:
            _export(repos, media, folder)
        assert caught.value.code == "labels.folder"
