"""What masks cost and what they are worth.

    python bench/bench_masks.py [--shared ../shared] [--every 3] [--sheet FOLDER]

First: how often the classic segmenter answers on real references and frames, why not, and its time. Second:
keypoint verification of true and false (frame, product) pairs of cases/dev with and without masks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from pvm_core.keypoints import KeypointParams, detect
from pvm_core.masks import MaskResult, Segmenter, load_segmenter
from pvm_core.rules import Rules
from pvm_core.verification import VerifyParams, View, verify_frame

sys.path.insert(0, str(Path(__file__).parent))
from bench_embedders import case_frames, gallery

Picture = np.ndarray
#: Other products each frame is compared with.
STRANGERS = 4


def timed(segmenter: Segmenter, pictures: list[Picture], kind: str) -> list[MaskResult]:
    start = time.process_time()
    results = [segmenter.segment(rgb, kind) for rgb in pictures]  # type: ignore[arg-type]
    spent = 1000 * (time.process_time() - start) / len(results)
    reasons = Counter(r.reason for r in results)
    print(f"{kind}: {spent:.1f} ms of one core; " + ", ".join(f"{r} {n}" for r, n in reasons.most_common()))
    return results


def views(pictures: list[Picture], masks: list[MaskResult] | None) -> tuple[list[View], float]:
    params, found = KeypointParams.from_rules(Rules()), []
    start = time.process_time()
    for i, rgb in enumerate(pictures):
        mask = masks[i].mask if masks else None
        found.append(View(detect(rgb, mask, params), rgb, mask))
    return found, 1000 * (time.process_time() - start) / len(pictures)


def compare(frames: list[View], truth: list[str], products: dict[str, View]) -> tuple[np.ndarray, np.ndarray]:
    """Inliers of every true pair, and of `STRANGERS` false ones a frame."""
    rng, names, params = np.random.default_rng(0), sorted(products), VerifyParams.from_rules(Rules())
    true, false = [], []
    for frame, name in zip(frames, truth, strict=True):
        others = rng.choice([n for n in names if n != name], STRANGERS, replace=False)
        found = verify_frame(frame, [products[name], *(products[o] for o in others)], params)
        true.append(found[0].inliers)
        false += [e.inliers for e in found[1:]]
    return np.array(true), np.array(false)


def share(counts: np.ndarray, least: int) -> float:
    """Per cent of the counts that reach `least`."""
    return 100 * float((counts >= least).mean())


def sheet(path: Path, pictures: list[Picture], results: list[MaskResult], columns: int = 12) -> None:
    cells = []
    for rgb, result in zip(pictures, results, strict=True):
        shown = rgb.copy()
        if result.mask is not None:
            shown[result.mask == 0] = (255, 0, 255)
        scale = 150 / max(shown.shape[:2])
        small = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cell = np.zeros((166, 154, 3), np.uint8)
        cell[: small.shape[0], : small.shape[1]] = small
        text = f"{result.coverage:.2f}" if result.has_mask else result.reason
        cells.append(cv2.putText(cell, text, (2, 162), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--segmenter", default="classic")
    parser.add_argument("--models", type=Path, default=Path("data/models"))
    parser.add_argument("--every", type=int, default=3, help="one frame in so many")
    parser.add_argument("--sheet", type=Path, help="folder for contact sheets of the masks")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    segmenter = load_segmenter(arguments.segmenter, arguments.models)
    references = gallery(arguments.shared)
    seen = list(case_frames(arguments.shared / "cases" / "dev"))[:: arguments.every]
    pictures, frames = [rgb for *_, rgb in references], [rgb for *_, rgb in seen]
    product_masks = timed(segmenter, pictures, "product")
    frame_masks = timed(segmenter, frames, "frame")
    if arguments.sheet:
        sheet(arguments.sheet / "products.png", pictures, product_masks)
        sheet(arguments.sheet / "frames.png", frames, frame_masks)
    print(f"{len(frames)} true pairs, {STRANGERS * len(frames)} false ones")
    print(f"{'masks':>9} {'ms/frame':>9} {'median inliers':>15} {'>= 8':>6} {'>= 15':>6} {'false >= 8':>11}")
    for title, of_products, of_frames in (
        ("none", None, None),
        ("products", product_masks, None),
        ("frames", None, frame_masks),
        ("both", product_masks, frame_masks),
    ):
        shown, _ = views(pictures, of_products)
        looked, ms = views(frames, of_frames)
        named = {name: view for (_, name, _), view in zip(references, shown, strict=True)}
        true, false = compare(looked, [product for _, product, _ in seen], named)
        figures = f"{ms:9.1f} {np.median(true):15.0f} {share(true, 8):5.1f}% {share(true, 15):5.1f}%"
        print(f"{title:>9} {figures} {share(false, 8):10.1f}%", flush=True)


if __name__ == "__main__":
    main()
