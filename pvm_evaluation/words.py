"""What words say about measured pairs: the pairs a job would read, read as it reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from pvm_core.images import FRAME_FORMAT, PRODUCT_FORMAT, Rgb, decode_picture, decode_stored, stored_jpeg
from pvm_core.keyframes import Keyframe, KeyframeParams, iter_keyframes
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration
from pvm_core.scoring.word_term import READ_ROUNDS, to_read
from pvm_core.text import Line, Reader, load_reader
from pvm_core.verification.word_evidence import WordEvidence
from pvm_core.verification.words import read_product, tell_words
from pvm_evaluation.folders import CaseFolder, PhotoSet
from pvm_evaluation.measure import RawPair
from pvm_evaluation.metrics import score_pairs
from pvm_resources.process_pool import WorkPool

_Key = tuple[str, str]


@dataclass(frozen=True)
class _Task:
    """A scene or a clip, and the pairs to be read in it."""

    path: Path
    pairs: tuple[RawPair, ...]


@dataclass(frozen=True, eq=False)
class _State:
    reader: Reader
    products: Mapping[str, Path]
    rules: Rules
    scenes: bool
    seen: dict[str, tuple[Sequence[Line], Rgb]] = field(default_factory=dict)


def with_words(
    folder: PhotoSet | CaseFolder, pairs: Sequence[RawPair], reader: str, rules: Rules,
    calibration: Calibration, pool: WorkPool,
) -> list[RawPair]:  # fmt: skip
    """The pairs, those that would carry a match or contest one with what words say.

    Args:
        reader: a name that `choose_reader` gave, not ``none``.
    """
    paths = {p.stem if isinstance(folder, CaseFolder) else p.name: p for p in _files(folder)}
    products = {p.name: p.path for p in folder.products}
    found = list(pairs)
    setup = partial(_load, reader, products, rules, isinstance(folder, PhotoSet))
    for _ in range(READ_ROUNDS):
        wanted = _wanted(found, rules, calibration)
        tasks = [
            _Task(paths[video], tuple(of_video))
            for video, of_video in groupby(sorted(wanted, key=lambda p: p.video), key=lambda p: p.video)
        ]
        if not tasks:
            break
        read = {key: words for done in pool.map(_read, tasks, setup) for key, words in done.unwrap().items()}
        found = [_with(p, read.get((p.frame, p.image))) for p in found]
    return found


def _files(folder: PhotoSet | CaseFolder) -> Sequence[Path]:
    return folder.scenes if isinstance(folder, PhotoSet) else folder.videos


def _load(reader: str, products: Mapping[str, Path], rules: Rules, scenes: bool) -> _State:
    loaded = load_reader(reader)
    assert loaded is not None
    return _State(loaded, products, rules, scenes)


def _wanted(pairs: Sequence[RawPair], rules: Rules, calibration: Calibration) -> list[RawPair]:
    scored = sorted(score_pairs(pairs, calibration, rules), key=lambda one: one[0].video)
    names = {(score.frame_id, score.img_id): raw for raw, score in scored}
    groups = {raw.pair.product_id: raw.named("product", raw.group) for raw, _ in scored if raw.group}
    chosen = []
    for _, of_video in groupby(scored, key=lambda one: one[0].video):
        known = [(score, raw.evidence) for raw, score in of_video if raw.evidence is not None]
        chosen += [names[p.frame_id, p.img_id] for p in to_read(known, rules, groups)]
    return chosen


def _with(pair: RawPair, words: WordEvidence | None) -> RawPair:
    if words is None or pair.evidence is None:
        return pair
    return replace(pair, evidence=replace(pair.evidence, words=words))


def _read(state: _State, task: _Task) -> dict[_Key, WordEvidence]:
    wanted = {p.frame for p in task.pairs}
    frames = dict(_frames(state, task.path, wanted))
    found: dict[_Key, WordEvidence] = {}
    for pair in task.pairs:
        assert pair.evidence is not None
        assert pair.evidence.transform is not None
        matrix = np.reshape(pair.evidence.transform, (3, 3))
        lines, product = _product(state, pair.image)
        found[pair.frame, pair.image] = tell_words(lines, product, state.reader, frames[pair.frame], matrix)
    return found


def _frames(state: _State, path: Path, wanted: set[str]) -> list[tuple[str, Rgb]]:
    if state.scenes:
        rgb = decode_picture(path.read_bytes(), path.name).rgb
        return [(path.name, decode_stored(stored_jpeg(rgb, FRAME_FORMAT)))]
    cut = iter_keyframes(path, KeyframeParams.from_rules(state.rules))
    named = ((f"{path.stem}@{f.pts_ms}", f.rgb) for f in cut if isinstance(f, Keyframe))
    return [(name, decode_stored(stored_jpeg(rgb, FRAME_FORMAT))) for name, rgb in named if name in wanted]


def _product(state: _State, image: str) -> tuple[Sequence[Line], Rgb]:
    if image not in state.seen:
        path = state.products[image]
        rgb = decode_stored(stored_jpeg(decode_picture(path.read_bytes(), path.name).rgb, PRODUCT_FORMAT))
        state.seen[image] = (read_product(state.reader, rgb), rgb)
    return state.seen[image]
