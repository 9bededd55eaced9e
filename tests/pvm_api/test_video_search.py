"""Which videos show a picture: by REST and on the command line, over real keyframes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from pvm_api import json_body
from pvm_api.app import create_app
from pvm_cli.main import app as cli
from pvm_core.embedders import EmbedInput, load_embedder
from pvm_core.ids import content_key
from pvm_core.images import decode_stored
from pvm_core.keypoints import KeypointParams, detect, to_npz
from pvm_core.rules import Rules
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.settings import load_settings
from pvm_resources.store.api_keys import Keys
from pvm_resources.store.assembly import Store
from pvm_resources.store.records import Embedding, KeypointSet, Model
from tests.pvm_api.drawn import jpeg
from tests.pvm_api.review.shelf import JOB, NAME, Shelf, fill


@dataclass(frozen=True)
class Place:
    """A home with the shelf's job, its keyframes embedded and described."""

    home: Path
    media: MediaStore
    shelf: Shelf
    store: Store
    client: TestClient

    def picture(self, n: int) -> bytes:
        """The stored picture of the shelf's product `n`."""
        product = self.shelf.products[n].product_id
        image = next(i for i in self.store.catalogue.images(JOB) if i.product_id == product)
        return self.media.get(image.local_path)


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    home, clips = tmp_path / "home", tmp_path / "clips"
    clips.mkdir()
    settings = load_settings(tmp_path / "none.env", home=home, api_rate=100_000)
    media, store = MediaStore(settings.media), Store.over(database)
    shelf = fill(database, media, clips)
    monkeypatch.setenv("PVM_HOME", str(home))
    monkeypatch.setenv("PVM_DATABASE_URL", database_url)
    headers = {"X-API-Key": Keys(database).create("n8n", ["read"])[1]}
    with TestClient(create_app(settings, database, media), headers=headers) as client:
        yield Place(home, media, shelf, store, client)


def _describe_frames(place: Place) -> None:
    """Vectors and keypoints of the shelf's keyframes, as a job makes them."""
    embedder = load_embedder("classic", None)
    params = KeypointParams.from_rules(Rules())
    key = content_key("keypoints", params.key, "off")
    features = place.store.features
    features.register_model(
        Model("search", "classic", "embedder", embedder.dim, {"masks": "off"}, active=True)
    )
    for frame in list(place.store.videos.frames(JOB, "k1")):
        rgb = decode_stored(place.media.get(str(frame.local_path)))
        (views,) = embedder.embed_views([EmbedInput(rgb)], "frame", False)
        features.write("embeddings", [
            Embedding(frame.frame_id, "frame", "search", "classic", n, one) for n, one in enumerate(views.rgb)
        ])  # fmt: skip
        found = detect(rgb, None, params)
        path = f"kp/{key}/{frame.frame_id}.npz"
        place.media.put(path, to_npz(found))
        features.write("keypoints", [KeypointSet(frame.frame_id, "frame", key, len(found), path)])


def _asked(place: Place, data: bytes, query: str = "") -> dict[str, object]:
    answer = place.client.post(f"/v1/videos/similar{query}", files={"picture": ("a.jpg", data, "image/jpeg")})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_picture_finds_the_videos_that_show_it(place: Place) -> None:
    _describe_frames(place)
    shown = 0
    for n in range(6):
        found = _asked(place, place.picture(n))
        items = found["items"]
        assert isinstance(items, list)
        assert (found["frames"], found["unknown"]) == (9, 0)
        accepted = [one for one in items if one["status"] == "accepted"]
        # The shelf shows product n in video n % 3, and siblings of it nowhere else.
        assert {one["video"] for one in accepted} <= {f"clip{n % 3}"}
        shown += len(accepted)
        for one in accepted:
            assert one["score"] >= 0.8
            assert place.client.get(one["frame_url"]).status_code == 200
            assert "t=" in one["video_url"]
            assert not any(isinstance(value, dict | list) for value in one.values())
    assert shown >= 4, "most of them are found"


@pytest.mark.parametrize("path", ["/v1/videos/similar", "/v1/products/similar"])
def test_a_picture_as_large_as_cameras_make_them_is_taken(place: Place, path: str) -> None:
    _describe_frames(place)
    noise = np.random.default_rng(5).integers(0, 255, (1_000, 1_000, 3), np.uint8)
    done, data = cv2.imencode(".jpg", noise)
    assert done
    assert len(data) > 2 * json_body.BYTES_MAX
    answer = place.client.post(path, files={"picture": ("a.jpg", data.tobytes(), "image/jpeg")})
    assert answer.status_code == 200, answer.text


def test_nothing_is_made_up(place: Place) -> None:
    _describe_frames(place)
    noise = _asked(place, jpeg(77, 400, 400))
    assert [one for one in noise["items"] if one["status"] == "accepted"] == []  # type: ignore[attr-defined]
    elsewhere = place.store.industries.ensure("another").slug
    assert _asked(place, place.picture(0), f"?industry={elsewhere}")["frames"] == 0
    assert _asked(place, place.picture(0), f"?industry={place.shelf.industry}")["frames"] == 9
    for data, code in ((b"", "picture.empty"), (b"%PDF-1.7", "picture.type")):
        answer = place.client.post("/v1/videos/similar", files={"picture": ("a.jpg", data, "image/jpeg")})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (
        place.client.post("/v1/videos/similar?industry=none", files={"picture": jpeg(1)}).status_code == 404
    )


def test_frames_without_keypoints_are_counted_and_never_accepted(place: Place) -> None:
    _describe_frames(place)
    with place.store.database.transaction() as cursor:
        cursor.execute("DELETE FROM keypoint_sets")
    found = _asked(place, place.picture(0))
    assert (found["frames"], found["unknown"]) == (9, 9)
    assert [one for one in found["items"] if one["status"] == "accepted"] == []  # type: ignore[attr-defined]


def test_the_command_line(place: Place, tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(place.picture(1))
    early = CliRunner().invoke(cli, ["search", str(tmp_path / "p.jpg")])
    assert (early.exit_code, "no picture was embedded yet" in early.output.replace("\n", " ")) == (2, True)
    _describe_frames(place)
    expected = _asked(place, place.picture(1))["items"]
    done = CliRunner().invoke(cli, ["search", str(tmp_path / "p.jpg"), "-i", NAME, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["frame_id"] for one in found] == [one["frame_id"] for one in expected]  # type: ignore[attr-defined]
    table = CliRunner().invoke(cli, ["search", str(tmp_path / "p.jpg")])
    assert "9 keyframes compared" in table.output
    missing = CliRunner().invoke(cli, ["search", str(tmp_path / "none.jpg")])
    assert (missing.exit_code, "none.jpg" in missing.output) == (2, True)
