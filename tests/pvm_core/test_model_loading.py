"""The true loading code of open_clip, timm and rembg, on tiny models made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pvm_core.embedders import EmbedInput, embed_views, load_embedder
from pvm_core.embedders.fitting import BatchLimit
from pvm_core.errors import ModelError
from pvm_core.masks import load_segmenter
from pvm_core.model_registry import ModelSpec
from pvm_resources.models.weights_store import ModelStore
from tests.pvm_core.test_embedders import whole

pytestmark = pytest.mark.models

TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1},
}
SPECS = {
    "tiny-clip": ModelSpec("tiny-clip", "embedder", "open_clip", "pvm-tiny-clip", licence="MIT", dim=32),
    "tiny-vit": ModelSpec("tiny-vit", "embedder", "timm", "test_vit", licence="MIT", dim=64),
    "tiny-vit-96": ModelSpec(
        "tiny-vit-96", "embedder", "timm", "test_vit", licence="MIT", dim=64, image_size=96
    ),
    "u2netp": ModelSpec("u2netp", "segmenter", "rembg", "u2netp", licence="Apache-2.0"),
    "u2net-human-seg": ModelSpec("u2net-human-seg", "segmenter", "rembg", "u2net_human_seg", licence="MIT"),
    "isnet-general-use": ModelSpec(
        "isnet-general-use", "segmenter", "rembg", "isnet-general-use", licence="MIT"
    ),
}


def pictures(n: int = 5) -> list[EmbedInput]:
    rng = np.random.default_rng(0)
    return [EmbedInput(rng.integers(0, 256, (90 + i, 120, 3)).astype(np.uint8)) for i in range(n)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A model store with a tiny CLIP and a tiny vision transformer of random weights."""
    open_clip, timm, torch = (pytest.importorskip(m) for m in ("open_clip", "timm", "torch"))
    from safetensors.torch import save_file

    made = tmp_path_factory.mktemp("made")
    (made / "pvm-tiny-clip.json").write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(made)
    torch.manual_seed(7)
    torch.save(open_clip.create_model("pvm-tiny-clip").state_dict(), made / "clip.pt")
    vit = timm.create_model("test_vit", pretrained=False, num_classes=0)
    save_file(vit.state_dict(), made / "vit.safetensors")
    store = ModelStore(tmp_path_factory.mktemp("models"), SPECS)
    store.install("tiny-clip", made / "clip.pt")
    store.install("tiny-vit", made / "vit.safetensors")
    store.install("tiny-vit-96", made / "vit.safetensors")
    return store


@pytest.mark.parametrize(("name", "dim"), [("tiny-clip", 32), ("tiny-vit", 64), ("tiny-vit-96", 64)])
def test_a_learned_embedder_loads_and_embeds(store: ModelStore, name: str, dim: int) -> None:
    embedder = load_embedder(name, store.folder, "cpu", SPECS)
    assert (embedder.name, embedder.dim, embedder.device) == (name, dim, "cpu")
    views = embed_views(embedder, pictures(), "frame", gray=True)
    assert len(views) == 5
    for v in views:
        assert v.gray is not None
        assert v.rgb.shape == v.gray.shape == (4, dim)
        assert np.allclose(np.linalg.norm(v.rgb, axis=1), 1, atol=1e-4)
        assert not np.allclose(v.rgb, v.gray)
    rows = whole(embedder, pictures())
    assert np.allclose(rows, np.stack([v.rgb[0] for v in views]), atol=1e-4)
    assert not np.allclose(rows[0], rows[1])
    assert embedder.key == load_embedder(name, store.folder, "cpu", SPECS).key


def test_batches_do_not_change_the_answer(store: ModelStore) -> None:
    embedder = load_embedder("tiny-clip", store.folder, "cpu", SPECS)
    small = replace(embedder, limit=BatchLimit(2))  # type: ignore[type-var]
    many = np.concatenate([v.rgb for v in embed_views(embedder, pictures(7), "frame", False)])
    few = np.concatenate([v.rgb for v in embed_views(small, pictures(7), "frame", False)])
    assert np.allclose(many, few, atol=1e-4)


def test_input_size_is_part_of_the_key(store: ModelStore) -> None:
    keys = {load_embedder(n, store.folder, "cpu", SPECS).key for n in ("tiny-vit", "tiny-vit-96")}
    assert len(keys) == 2


def test_the_weights_that_were_saved_are_the_weights_that_are_used(store: ModelStore) -> None:
    import open_clip
    import torch

    embedder = load_embedder("tiny-clip", store.folder, "cpu", SPECS)
    model, _, transform = open_clip.create_model_and_transforms(
        "pvm-tiny-clip", pretrained=str(next((store.folder / "tiny-clip").glob("*.pt")))
    )
    model.eval()
    from PIL import Image

    (item,) = pictures(1)
    with torch.inference_mode():
        expected = model.encode_image(transform(Image.fromarray(item.rgb))[None], normalize=True).numpy()
    assert np.allclose(whole(embedder, [item]), expected, atol=1e-4)


def spoil(name: str, store: ModelStore) -> None:
    (weights,) = (p for p in (store.folder / name).iterdir() if p.suffix != ".json")
    weights.write_bytes(weights.read_bytes()[:-7] + b"tampers")


def test_weights_that_changed_are_refused(store: ModelStore, tmp_path: Path) -> None:
    own = ModelStore(tmp_path / "m", SPECS)
    own.install("tiny-clip", next((store.folder / "tiny-clip").glob("*.pt")))
    spoil("tiny-clip", own)
    with pytest.raises(ModelError) as caught:
        load_embedder("tiny-clip", own.folder, "cpu", SPECS)
    assert caught.value.code == "model.hash"


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-vit"])
def test_weights_of_another_network_are_refused(store: ModelStore, tmp_path: Path, name: str) -> None:
    other = {"tiny-clip": ("tiny-vit", "*.safetensors"), "tiny-vit": ("tiny-clip", "*.pt")}[name]
    own = ModelStore(tmp_path / "m", SPECS)
    own.install(name, next((store.folder / other[0]).glob(other[1])))
    with pytest.raises(ModelError) as caught:
        load_embedder(name, own.folder, "cpu", SPECS)
    assert caught.value.code == "model.weights"


@pytest.mark.parametrize("name", ["tiny-clip", "tiny-vit"])
def test_weights_that_are_no_weights_are_refused(store: ModelStore, tmp_path: Path, name: str) -> None:
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"not a checkpoint" * 10)
    own = ModelStore(tmp_path / "m", SPECS)
    own.install(name, junk)
    with pytest.raises(ModelError) as caught:
        load_embedder(name, own.folder, "cpu", SPECS)
    assert caught.value.code == "model.weights"


def test_a_wrong_length_is_refused(store: ModelStore) -> None:
    specs = {**SPECS, "tiny-clip": replace(SPECS["tiny-clip"], dim=512)}
    with pytest.raises(ModelError) as caught:
        load_embedder("tiny-clip", store.folder, "cpu", specs)
    assert caught.value.code == "model.dim"


def test_a_gpu_that_is_not_there_is_refused(store: ModelStore) -> None:
    import torch

    if torch.cuda.is_available():
        assert load_embedder("tiny-clip", store.folder, "auto", SPECS).device == "cuda"
        return
    assert load_embedder("tiny-clip", store.folder, "auto", SPECS).device == "cpu"
    with pytest.raises(ModelError) as caught:
        load_embedder("tiny-clip", store.folder, "cuda", SPECS)
    assert caught.value.code == "model.device"


def test_a_gpu_agrees_with_the_cpu(store: ModelStore) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    for name in ("tiny-clip", "tiny-vit"):
        host, gpu = (whole(load_embedder(name, store.folder, d, SPECS), pictures()) for d in ("cpu", "cuda"))
        assert (host * gpu).sum(axis=1).min() > 0.995


def tiny_network(path: Path, side: int, answer: str) -> None:
    """An ONNX network (1, 3, side, side) -> (1, 1, side, side) that finds the dark, the red, or nothing."""
    onnx = pytest.importorskip("onnx")
    helper, proto = onnx.helper, onnx.TensorProto
    weights = {"dark": [-1.0, -1.0, -1.0], "red": [2.0, -1.0, -1.0], "flat": [0.0, 0.0, 0.0]}[answer]
    kernel = helper.make_tensor("w", proto.FLOAT, [1, 3, 1, 1], weights)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "tiny",
        [helper.make_tensor_value_info("x", proto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("y", proto.FLOAT, [1, 1, side, side])],
        [kernel],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def photo() -> np.ndarray:
    """A dark product in the upper half, a red one in the lower, on white."""
    rgb = np.full((240, 200, 3), 250, np.uint8)
    rgb[30:100, 50:150] = 20
    rgb[140:220, 50:150] = (200, 20, 20)
    return rgb


@pytest.fixture(scope="module")
def masks_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelStore]:
    pytest.importorskip("rembg")

    def make(**answers: str) -> ModelStore:
        made, store = tmp_path_factory.mktemp("onnx"), ModelStore(tmp_path_factory.mktemp("models"), SPECS)
        for name, answer in answers.items():
            name = name.replace("_", "-")
            tiny_network(made / f"{name}.onnx", 1024 if name.startswith("isnet") else 320, answer)
            store.install(name, made / f"{name}.onnx")
        return store

    return make


@pytest.mark.parametrize("name", ["u2netp", "isnet-general-use"])
def test_a_learned_segmenter_loads_and_segments(masks_store: Callable[..., ModelStore], name: str) -> None:
    store = masks_store(**{name: "dark"})
    segmenter = load_segmenter(name, store.folder, specs=SPECS)
    result = segmenter.segment(photo(), "product")
    assert result.mask is not None
    assert (result.mask.shape, result.mask.dtype) == ((240, 200), np.uint8)
    assert set(np.unique(result.mask)) == {0, 255}
    assert result.mask[60, 100] == result.mask[180, 100] == 255
    assert result.mask[5, 5] == 0
    assert segmenter.key == load_segmenter(name, store.folder, specs=SPECS).key


def test_people_are_taken_away_on_frames_only(masks_store: Callable[..., ModelStore]) -> None:
    store = masks_store(u2netp="dark", u2net_human_seg="red")
    segmenter = load_segmenter("u2netp+u2net-human-seg", store.folder, specs=SPECS)
    frame, product = (segmenter.segment(photo(), kind).mask for kind in ("frame", "product"))
    assert frame is not None
    assert product is not None
    assert (frame[60, 100], frame[180, 100]) == (255, 0)
    assert (product[60, 100], product[180, 100]) == (255, 255)
    assert segmenter.key != load_segmenter("u2netp", store.folder, specs=SPECS).key


def test_a_network_that_sees_nothing_gives_no_mask(masks_store: Callable[..., ModelStore]) -> None:
    segmenter = load_segmenter("u2netp", masks_store(u2netp="flat").folder, specs=SPECS)
    assert segmenter.segment(photo(), "product").reason == "too-small"


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rembg")
    (tmp_path / "u2netp.onnx").write_bytes(b"not a network")
    store = ModelStore(tmp_path / "m", SPECS)
    store.install("u2netp", tmp_path / "u2netp.onnx")
    with pytest.raises(ModelError) as caught:
        load_segmenter("u2netp", store.folder, specs=SPECS)
    assert caught.value.code == "model.weights"


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pvm models pull u2netp"):
        load_segmenter("u2netp", tmp_path, specs=SPECS)
