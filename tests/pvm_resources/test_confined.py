"""Links in the folders of sources: followed inside, refused by name where they lead out, swapped or not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pvm_core.errors import InputError, MediaError
from pvm_jobs.request import JobRequest
from pvm_resources.sources.admission import Places
from pvm_resources.sources.base import Collected, PictureRef, Query, VideoRecord
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from pvm_resources.sources.confined import Confinement, held, opened_unlinked
from pvm_resources.sources.folder.videos import FolderVideos
from pvm_resources.sources.picture_reader import Pictures

QUERY = Query("")
PICTURE = b"a picture"


@dataclass(frozen=True)
class Stand:
    """A root that requests may name, and a secret beside it."""

    root: Path
    secret: Path

    @property
    def confinement(self) -> Confinement:
        return Confinement((self.root,))

    def videos(self, folder: Path | None = None, *, anywhere: bool = False) -> Collected[VideoRecord]:
        bounds = Confinement((self.root,), anywhere)
        return FolderVideos(folder or self.root / "clips", bounds).collect(QUERY)

    def catalogue(self, *images: str) -> Path:
        path = self.root / "c.csv"
        path.write_text("product_id,image\n" + "".join(f"{n},{i}\n" for n, i in enumerate(images)))
        return path


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    root, secret = tmp_path / "root", tmp_path / "secret"
    for folder in (root / "clips", root / "images", root / "shared", secret):
        folder.mkdir(parents=True)
    for path in (root / "clips/own.mp4", root / "shared/theirs.mp4", secret / "s.mp4"):
        path.write_bytes(b"a video")
    for path in (root / "images/a.jpg", root / "good.jpg", secret / "s.jpg", secret / "c.csv"):
        path.write_bytes(PICTURE)
    return Stand(root, secret)


def test_a_link_of_the_video_folder_that_leads_out_of_the_root_is_refused_by_name(stand: Stand) -> None:
    (stand.root / "clips/out.mp4").symlink_to(stand.secret / "s.mp4")
    (stand.root / "clips/up.mp4").symlink_to("../../secret/s.mp4")
    (stand.root / "clips/folder").symlink_to(stand.secret)
    (stand.root / "clips/shared").symlink_to(stand.root / "shared")
    found = stand.videos()
    assert [record.external_id for record in found.records] == ["own.mp4", "shared/theirs.mp4"]
    assert {p.item: p.code for p in found.problems} == {
        "out.mp4": "video.outside", "up.mp4": "video.outside", "folder": "video.outside",
    }  # fmt: skip
    assert "secret" not in repr(found.problems)
    assert found.status.state == "partial"
    assert len(stand.videos(anywhere=True).records) == 5


def test_a_folder_outside_all_roots_is_its_own_bound(stand: Stand, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.mp4").write_bytes(b"a video")
    (mine / "b.mp4").symlink_to(stand.secret / "s.mp4")
    (tmp_path / "latest").symlink_to(mine)
    for folder in (mine, tmp_path / "latest"):
        assert [r.external_id for r in stand.videos(folder).records] == ["a.mp4"]


def test_a_source_exchanged_for_a_link_after_it_was_admitted_is_refused(stand: Stand) -> None:
    places = Places(stand.root.parent / "uploads", (stand.root,))
    given = JobRequest(products=(str(stand.catalogue("good.jpg")),), videos=(str(stand.root / "clips"),))
    request = places.admit(given)
    (stand.root / "c.csv").unlink()
    (stand.root / "c.csv").symlink_to(stand.secret / "c.csv")
    (stand.root / "clips").rename(stand.root / "away")
    (stand.root / "clips").symlink_to(stand.secret)
    with pytest.raises(InputError, match=r"source\.outside"):
        FileCatalogue(Path(request.products[0]), "n", stand.confinement).collect(QUERY)
    with pytest.raises(InputError, match=r"source\.outside"):
        stand.videos(Path(request.videos[0]))


@pytest.mark.parametrize("name", ["../secret/s.mp4", "clips/../../secret/s.mp4", "link/s.mp4"])
def test_no_spelling_of_a_location_leads_out(stand: Stand, name: str) -> None:
    (stand.root / "link").symlink_to(stand.secret)
    places = Places(stand.root.parent / "uploads", (stand.root,))
    with pytest.raises(InputError, match=r"source\.forbidden"):
        places.admit(JobRequest(videos=(f"{stand.root}/{name}",)))


def test_a_request_from_outside_cannot_lift_the_bounds(stand: Stand) -> None:
    places = Places(stand.root.parent / "uploads", (stand.root,))
    with pytest.raises(InputError, match=r"allow_outside.*source\.forbidden"):
        places.admit(JobRequest(products=("ebay",), allow_outside=True))


def test_pictures_of_a_catalogue_stay_in_its_folder(stand: Stand) -> None:
    (stand.root / "images/out.jpg").symlink_to(stand.secret / "s.jpg")
    (stand.root / "images/in.jpg").symlink_to("a.jpg")
    (stand.root / "away").symlink_to(stand.secret)
    images = ("images/in.jpg", "images/out.jpg", "away/s.jpg", "images/../../secret/s.jpg", "images/..")
    path = stand.catalogue("good.jpg", *images, f"{stand.secret}/s.jpg")
    found = FileCatalogue(path, "n", stand.confinement).collect(QUERY)
    assert [r.external_id for r in found.records] == ["0", "1", "5"], "images/.. is the folder itself"
    assert [p.code for p in found.problems] == ["catalogue.outside"] * 4
    assert all("--allow-outside" in p.message for p in found.problems)
    lifted = FileCatalogue(path, "n", Confinement(anywhere=True)).collect(QUERY)
    assert len(lifted.records) == 7
    assert Pictures().read(lifted.records[6].pictures[0]) == PICTURE


def test_a_picture_exchanged_for_a_link_after_the_catalogue_was_read_is_refused(stand: Stand) -> None:
    path = stand.catalogue("images/a.jpg", "good.jpg")
    first, second = FileCatalogue(path, "n", stand.confinement).collect(QUERY).records
    assert Pictures().read(first.pictures[0]) == PICTURE
    (stand.root / "images").rename(stand.root / "old")
    (stand.root / "images").symlink_to(stand.secret)
    (stand.secret / "a.jpg").write_bytes(b"secret")
    (stand.root / "good.jpg").unlink()
    (stand.root / "good.jpg").symlink_to(stand.secret / "s.jpg")
    for record in (first, second):
        with pytest.raises(MediaError, match=r"picture\.outside"):
            Pictures().read(record.pictures[0])


def test_what_is_opened_stays_what_it_was(stand: Stand) -> None:
    path = stand.root / "good.jpg"
    with held(path) as opened:
        path.unlink()
        path.symlink_to(stand.secret / "c.csv")
        (stand.secret / "c.csv").write_bytes(b"secret")
        assert opened.read_bytes() == PICTURE
    with pytest.raises(OSError, match=r"[Ll]ink|[Nn]ot a directory"), held(path):
        pass


def test_devices_and_pipes_are_not_waited_for(stand: Stand) -> None:
    pipe = stand.root / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), stand.root):
        with pytest.raises(IsADirectoryError):
            opened_unlinked(path)
        with pytest.raises(MediaError, match=r"picture\.type"):
            Pictures().read(PictureRef("given", path))
