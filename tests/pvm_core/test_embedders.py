"""The classic embedder finds printed things again; any picture gives unit rows; models are chosen by rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvm_core.embedders import Embedder, EmbedInput, choose_embedder, embed_views, load_embedder
from pvm_core.embedders.classic import ClassicEmbedder, ClassicParams
from pvm_core.errors import ModelError
from pvm_core.model_registry import MODELS, PREFERENCE, resolve
from pvm_core.weights import Manifest, folder_of, read_manifest


def whole(embedder: Embedder, inputs: Sequence[EmbedInput]) -> np.ndarray:
    """float32 (N, dim): each picture as a whole."""
    return np.concatenate([v.rgb for v in embed_views(embedder, inputs, "product", gray=False)])


def product(seed: int, h: int = 420, w: int = 300) -> np.ndarray:
    """A printed package: panels, shapes and lettering of its own."""
    rng = np.random.default_rng(seed)
    rgb = np.full((h, w, 3), rng.integers(30, 220, 3), np.uint8)
    for _ in range(14):
        x, y = int(rng.integers(0, w)), int(rng.integers(0, h))
        ink = [int(v) for v in rng.integers(0, 256, 3)]
        if rng.random() < 0.5:
            cv2.circle(rgb, (x, y), int(rng.integers(8, 60)), ink, int(rng.choice([-1, 3])))
        else:
            cv2.rectangle(
                rgb, (x, y), (x + int(rng.integers(10, 120)), y + int(rng.integers(10, 90))), ink, -1
            )
    for _ in range(8):
        word = "".join(chr(int(c)) for c in rng.integers(65, 91, rng.integers(3, 9)))
        place = (int(rng.integers(0, w // 2)), int(rng.integers(20, h)))
        ink = [int(v) for v in rng.integers(0, 256, 3)]
        cv2.putText(rgb, word, place, int(rng.integers(0, 4)), rng.uniform(0.6, 1.8), ink, 2, cv2.LINE_AA)
    return rgb


def frame(shown: np.ndarray, seed: int) -> np.ndarray:
    """A vertical frame with blurred fill: `shown`, tilted and turned, among other print."""
    rng = np.random.default_rng(seed + 1000)
    scene = cv2.resize(product(seed + 5000, 300, 400), (540, 420))
    h, w = shown.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    turn = rng.uniform(-0.6, 0.6)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    seen = (corners - [w / 2, h / 2]) @ spin.T * rng.uniform(0.65, 0.8)
    seen = seen + rng.uniform(-15, 15, (4, 2)) + [rng.uniform(180, 360), 210]
    warp = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    inside = cv2.warpPerspective(np.full((h, w), 255, np.uint8), warp, (540, 420))
    scene = np.where(inside[..., None] > 127, cv2.warpPerspective(shown, warp, (540, 420)), scene)
    scene = cv2.GaussianBlur((scene * rng.uniform(0.6, 0.95)).astype(np.uint8), (0, 0), 0.8)
    full = cv2.GaussianBlur(cv2.resize(scene, (540, 960)), (0, 0), 30)
    full[270:690] = scene
    return full


@pytest.fixture(scope="module")
def classic() -> Embedder:
    return load_embedder("classic", None)


def test_finds_products_again_in_cluttered_frames(classic: Embedder) -> None:
    pictures = [product(seed) for seed in range(14)]
    table = np.concatenate(
        [v.rgb for v in embed_views(classic, list(map(EmbedInput, pictures)), "product", False)]
    )
    frames = [EmbedInput(frame(p, seed)) for seed, p in enumerate(pictures)]
    best = [int((v.rgb @ table.T).max(axis=0).argmax()) for v in embed_views(classic, frames, "frame", False)]
    assert sum(b == i for i, b in enumerate(best)) >= 13


def test_finds_a_product_lying_on_its_side(classic: Embedder) -> None:
    pictures = [EmbedInput(product(seed)) for seed in range(8)]
    turned = [EmbedInput(np.ascontiguousarray(np.rot90(p.rgb))) for p in pictures]
    sims = whole(classic, turned) @ whole(classic, pictures).T
    assert (sims.argmax(axis=1) == np.arange(8)).all()


def test_colour_tells_low_texture_things_apart(classic: Embedder) -> None:
    def ball(*ink: int) -> EmbedInput:
        rgb = np.full((300, 300, 3), 245, np.uint8)
        cv2.circle(rgb, (150, 150), 90, ink, -1)
        return EmbedInput(rgb)

    red, yellow, dull_red = whole(classic, [ball(200, 30, 30), ball(235, 200, 40), ball(150, 35, 30)])
    assert dull_red @ red > dull_red @ yellow


def test_views_and_channels(classic: Embedder) -> None:
    item = EmbedInput(product(1))
    (shown,) = embed_views(classic, [item], "product", gray=True)
    (seen,) = embed_views(classic, [item], "frame", gray=True)
    (plain,) = embed_views(classic, [item], "frame", gray=False)
    assert shown.gray is not None
    assert seen.gray is not None
    assert shown.rgb.shape == shown.gray.shape == (1, classic.dim)
    assert seen.rgb.shape == seen.gray.shape == (4, classic.dim)
    assert plain.gray is None
    # View 0 of a frame is the whole picture, as a product's only view is.
    assert np.allclose(seen.rgb[0], shown.rgb[0], atol=1e-6)
    assert np.array_equal(plain.rgb, seen.rgb)


def test_gray_ignores_colour(classic: Embedder) -> None:
    grey = cv2.cvtColor(product(3), cv2.COLOR_RGB2GRAY)
    item = EmbedInput(np.repeat(grey[..., None], 3, axis=2))
    views = embed_views(classic, [item, EmbedInput(product(3))], "product", gray=True)
    assert views[0].gray is not None
    assert views[1].gray is not None
    assert views[0].gray[0] @ views[1].gray[0] > 0.99
    assert views[0].rgb[0] @ views[1].rgb[0] < views[0].gray[0] @ views[1].gray[0]


def test_what_the_mask_leaves_out_does_not_count(classic: Embedder) -> None:
    mask = np.zeros((500, 500), np.uint8)
    mask[40:460, 100:400] = 255
    first, second = (cv2.resize(product(s), (500, 500)) for s in (70, 71))
    first[mask > 0] = second[mask > 0] = product(9).reshape(-1, 3)
    masked = whole(classic, [EmbedInput(first, mask), EmbedInput(second, mask)])
    bare = whole(classic, [EmbedInput(first), EmbedInput(second)])
    assert masked[0] @ masked[1] > 0.95 > bare[0] @ bare[1]


def test_a_picture_embeds_alike_alone_and_in_a_batch(classic: Embedder) -> None:
    items = [EmbedInput(product(seed)) for seed in range(3)]
    together = embed_views(classic, items, "frame", gray=True)
    for item, views in zip(items, together, strict=True):
        (alone,) = embed_views(classic, [item], "frame", gray=True)
        assert np.array_equal(alone.rgb, views.rgb)


@settings(max_examples=40, deadline=None)
@given(
    h=st.integers(1, 200),
    w=st.integers(1, 200),
    seed=st.integers(0, 2**16),
    style=st.sampled_from(["noise", "flat", "print"]),
    masked=st.booleans(),
)
def test_any_picture_gives_unit_rows(h: int, w: int, seed: int, style: str, masked: bool) -> None:
    rng = np.random.default_rng(seed)
    rgb = {
        "noise": lambda: rng.integers(0, 256, (h, w, 3)).astype(np.uint8),
        "flat": lambda: np.full((h, w, 3), rng.integers(0, 256, 3), np.uint8),
        "print": lambda: cv2.resize(product(seed), (w, h)),
    }[style]()
    mask = (rng.random((h, w)) < 0.5).astype(np.uint8) * 255 if masked else None
    (views,) = embed_views(ClassicEmbedder(), [EmbedInput(rgb, mask)], "frame", gray=True)
    assert views.gray is not None
    for rows in (views.rgb, views.gray):
        assert rows.dtype == np.float32
        assert np.isfinite(rows).all()
        assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)


def test_no_pictures_give_no_rows(classic: Embedder) -> None:
    assert embed_views(classic, [], "frame", gray=True) == []


def test_key_and_length_are_what_the_registry_says(classic: Embedder) -> None:
    assert classic.dim == MODELS["classic"].dim
    # pgvector indexes halfvec up to 4,000 dimensions.
    assert classic.dim <= 4000
    assert classic.key == load_embedder("classic", None).key
    assert classic.key != ClassicEmbedder(params=ClassicParams(keypoints=100)).key


def pretend(models: Path, name: str) -> None:
    """Weights of a model as the store would lay them down."""
    folder = folder_of(models, name)
    folder.mkdir(parents=True)
    (folder / "w.pt").write_bytes(b"w")
    manifest = Manifest(name, "w.pt", "0" * 64, 1, "test", "MIT", False, "first use")
    (folder / "model.json").write_text(manifest.to_json())


class TestChoice:
    def test_auto_without_anything_is_what_the_base_install_has(self, tmp_path: Path) -> None:
        assert choose_embedder("auto", None, {"classic"}) == "classic"
        assert choose_embedder("auto", tmp_path / "none", set(PREFERENCE)) == "efficientnet-lite0"

    @pytest.mark.skipif(find_spec("open_clip") is None, reason="needs the extra `models`")
    def test_auto_needs_weights_and_calibration(self, tmp_path: Path) -> None:
        pretend(tmp_path, "clip-vit-b32")
        assert choose_embedder("auto", tmp_path, {"classic"}) == "classic"
        assert choose_embedder("auto", tmp_path, {"classic", "clip-vit-l14"}) == "classic"
        assert choose_embedder("auto", tmp_path, {"classic", "clip-vit-b32"}) == "clip-vit-b32"

    @pytest.mark.skipif(find_spec("timm") is None, reason="needs the extra `models`")
    def test_auto_prefers_the_best(self, tmp_path: Path) -> None:
        pretend(tmp_path, "clip-vit-b32")
        pretend(tmp_path, "dinov2-base")
        assert choose_embedder("auto", tmp_path, set(PREFERENCE)) == "dinov2-base"

    def test_a_named_model_needs_no_calibration_but_its_weights(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"pvm models pull clip-vit-b32") as caught:
            choose_embedder("clip-vit-b32", tmp_path, set())
        assert caught.value.code == "model.missing"
        pretend(tmp_path, "clip-vit-b32")
        assert choose_embedder("clip-vit-b32", tmp_path, set()) == "clip-vit-b32"

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("nonsense", "model.unknown"),
            ("", "model.unknown"),
            ("u2netp", "model.kind"),
            ("timm:", "model.unknown"),
        ],
    )
    def test_what_is_no_embedder_is_refused(self, name: str, code: str) -> None:
        with pytest.raises(ModelError) as caught:
            choose_embedder(name, None, set())
        assert caught.value.code == code
        with pytest.raises(ModelError) as caught:
            load_embedder(name, None)
        assert caught.value.code == code

    def test_a_missing_model_says_how_to_get_it(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"pvm models pull dinov2-small"):
            load_embedder("dinov2-small", tmp_path)

    def test_other_models_of_the_libraries_have_names(self) -> None:
        spec = resolve("open_clip:ViT-B-16/datacomp_xl_s13b_b90k")
        assert (spec.library, spec.architecture, spec.pretrained) == (
            "open_clip",
            "ViT-B-16",
            "datacomp_xl_s13b_b90k",
        )
        assert not spec.permissive
        assert resolve("timm:vit_tiny_patch16_224").architecture == "vit_tiny_patch16_224"


@pytest.mark.parametrize("name", ["../up", "a/../../b", "open_clip:A/b", "..", ".", "timm:x\\y"])
def test_a_models_folder_stays_inside_the_store(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, name)
    assert folder.parent == tmp_path
    assert folder.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"name": "x"}),
        json.dumps(Manifest("n", "../w", "", 1, "", "", False, "").__dict__),
    ],
)
def test_a_broken_manifest_is_named(tmp_path: Path, text: str) -> None:
    pretend(tmp_path, "clip-vit-b32")
    (folder_of(tmp_path, "clip-vit-b32") / "model.json").write_text(text)
    with pytest.raises(ModelError) as caught:
        read_manifest(tmp_path, "clip-vit-b32")
    assert caught.value.code == "model.manifest"


def test_every_entry_of_the_registry_is_whole() -> None:
    for name, spec in MODELS.items():
        assert spec.name == name
        assert spec.licence
        assert spec.library == "builtin" or spec.architecture
        assert (spec.dim > 0) == (spec.kind == "embedder")
    assert set(PREFERENCE) == {n for n, s in MODELS.items() if s.kind == "embedder"}
    assert not MODELS["bria-rmbg"].permissive
