"""Write a large generated case: the load of the memory and throughput benchmark.

usage: python bench/make_case.py FOLDER [--keyframes 500]

Clips are cut about once a second, so a clip's shots are about its keyframes; places are reused under other
crops, which keeps drawing cheap without making two keyframes alike. About 20 keyframes a second on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pvm_demo.case import write_case
from pvm_demo.clips import CaseSpec

#: Shots of one clip; about a minute and a half, as long as short videos are.
_SHOTS = 100


def bench_spec(keyframes: int) -> CaseSpec:
    """The case that yields about `keyframes` keyframes from 40 products."""
    clips = max(keyframes // _SHOTS, 1)
    shots = max(keyframes // clips, 1)
    return CaseSpec(
        seed=keyframes,
        family="demo",
        n_products=40,
        n_clips=clips,
        size=(640, 360),
        fps=4,
        shots=(shots, shots),
        shot_s=(0.8, 1.1),
        stages_per_clip=10,
    )


def main() -> None:
    """Write the case named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keyframes", type=int, default=500)
    options = parser.parse_args()
    info = write_case(
        options.folder,
        bench_spec(options.keyframes),
        lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr, flush=True),
    )
    print(f"\n{info.clips} clips, {info.seconds:.0f} s of video, {info.pictures} pictures in {info.folder}")


if __name__ == "__main__":
    main()
