"""Fits the calibration that the package ships for an embedder, as docs/accuracy.md describes.

    .venv/bin/python bench/fit_calibration.py PHOTO_SET ... --embed-model efficientnet-lite0 --out FILE

With `--learned-only` all terms but that of learned local features stay as FILE has them.

Learns from the photo sets named and from generated pairs, most of whose false ones are siblings. Generated
pairs have no margin: the two or three products drawn with a frame are no catalogue.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from pvm_core.local_features import choose_local
from pvm_core.retrieval import Gallery
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration, to_json
from pvm_core.scoring.learned_term import fit_learned
from pvm_demo.pairs import make_pairs
from pvm_evaluation.fitting import fit_on, to_samples
from pvm_evaluation.folders import open_folder
from pvm_evaluation.measure import Described, RawPair, SearchState, Setting, describe, measure, pairs_of_frame
from pvm_resources.process_pool import WorkPool

#: Seeds of the generated pairs, and pairs of each.
SEEDS = (1, 2, 3, 4)
PAIRS = 120


def generated(setting: Setting, seed: int) -> Iterator[RawPair]:
    """The pairs of a seed, measured."""
    methods = setting.methods()
    for n, (_, group) in enumerate(
        groupby(make_pairs(seed, PAIRS, family="fit"), key=lambda p: id(p.frame_rgb))
    ):
        pairs = list(group)
        products = tuple(
            Described(p.product_id, p.product_id, describe(p.product_rgb, "product", methods)) for p in pairs
        )
        name = f"{seed}-{n}"
        frame = Described(name, name, describe(pairs[0].frame_rgb, "frame", methods))
        gallery = Gallery.of([p.features.vectors for p in products])
        state = SearchState(setting, methods, products, gallery)
        yield from pairs_of_frame(state, frame, [p.label for p in pairs], "generated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--embed-model", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--photos", default="", help="what the photos are and under which licence")
    parser.add_argument("--local-features", default="auto", help="auto, none or DETECTOR+MATCHER")
    parser.add_argument("--learned-only", action="store_true", help="fit that term alone, keep the others")
    options = parser.parse_args()
    local = choose_local(options.local_features)
    setting = Setting(options.embed_model, rules=Rules(), local_features=local)
    with WorkPool(2) as pool:
        photos = [pair for f in options.folders for pair in measure(open_folder(f), setting, pool)]
    if options.learned_only:
        before = load_calibration(options.out, options.embed_model)
        said = {**before.provenance, "learned": options.photos}
        term = fit_learned(to_samples(photos))
        fitted = replace(before, learned=term, learned_by=local, provenance=said)
        options.out.write_text(to_json(fitted), encoding="utf-8")
        return
    drawn = [pair for seed in SEEDS for pair in generated(setting, seed)]
    samples = [*to_samples(photos), *(replace(s, margin=None) for s in to_samples(drawn))]
    embedder = setting.methods().embedder
    said = {"photos": options.photos, "generated": f"make_pairs(seed {SEEDS}, {PAIRS} each, family fit)"}
    name = f"{options.embed_model}-1"
    fitted = fit_on(
        samples, options.embed_model, name, setting.rules, embedder_key=embedder.key, provenance=said,
        learned_by=local,
    )  # fmt: skip
    options.out.write_text(to_json(fitted), encoding="utf-8")


if __name__ == "__main__":
    main()
