"""Time per item of keypoints and verification, beside a plain loop over the same OpenCV calls.

    python bench/bench_matching.py [--frames 12] [--candidates 30]

Pictures are generated; times are of one core (threads pinned), median of all frames.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# ruff: noqa: E402 - threads are pinned before numpy and OpenCV are imported
import argparse
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pvm_core.keypoints import KeypointParams, detect
from pvm_core.rules import Rules
from pvm_core.verification import VerifyParams, View, verify_frame
from pvm_demo.pairs import make_pairs


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of processor time of one call."""
    start = time.process_time()
    call()
    return (time.process_time() - start) * 1e3


def plain_verify(frame: View, products: Sequence[View]) -> int:
    """What a first version would do: brute-force matching, ratio test, RANSAC homography, pair by pair."""
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    inliers = 0
    for product in products:
        if len(product.keypoints) < 2 or len(frame.keypoints) < 2:
            continue
        found = matcher.knnMatch(frame.keypoints.root, product.keypoints.root, k=2)
        good = [m for m, n in found if m.distance < 0.8 * n.distance]
        if len(good) >= 8:
            source = np.array([product.keypoints.xy[m.trainIdx] for m in good])
            target = np.array([frame.keypoints.xy[m.queryIdx] for m in good])
            _, kept = cv2.findHomography(source, target, cv2.RANSAC, 5.0)
            inliers += 0 if kept is None else int(kept.sum())
    return inliers


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--candidates", type=int, default=30)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = list(make_pairs(7, 3 * options.frames, family="fit"))
    params, verify_params = KeypointParams.from_rules(Rules()), VerifyParams.from_rules(Rules())
    frames = list({id(p.frame_rgb): p.frame_rgb for p in pictures}.values())[: options.frames]
    catalogue = list({p.product_id: p.product_rgb for p in pictures}.values())
    catalogue = (catalogue * (1 + options.candidates // len(catalogue)))[: options.candidates]
    detection = [timed(lambda rgb=rgb: detect(rgb, None, params)) for rgb in (*frames, *catalogue[:10])]
    views = [View(detect(rgb, None, params), rgb) for rgb in catalogue]
    shown = [View(detect(rgb, None, params), rgb) for rgb in frames]
    verify_frame(shown[0], views, verify_params)
    ours = [timed(lambda v=v: verify_frame(v, views, verify_params)) for v in shown]
    plain = [timed(lambda v=v: plain_verify(v, views)) for v in shown]
    warped = sum(e.print_mid is not None for v in shown for e in verify_frame(v, views, verify_params))
    print(f"{'stage':42s} {'ms (one core)':>14s}")
    print(f"{'keypoints, a picture':42s} {np.median(detection):14.1f}")
    print(f"{f'verification, a frame x {len(views)} candidates':42s} {np.median(ours):14.1f}")
    print(f"{'  plain loop: match, ratio, RANSAC alone':42s} {np.median(plain):14.1f}")
    print(f"warped and compared: {warped / len(shown):.1f} pairs a frame")


if __name__ == "__main__":
    main()
