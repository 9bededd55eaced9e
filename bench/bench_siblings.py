"""How often a sibling passes for a product that is not in the catalogue.

    .venv/bin/python bench/bench_siblings.py [--pairs 300] [--seed 1] [--embed-model efficientnet-lite0]

Every frame shows a generated product (family `test`: no brand, motif or texture of a fit) whose own listing
is missing; the catalogue has a sibling that differs in one colour or in one word, and `OTHERS` products that
are no siblings. Then the same frames with the right product in place of the sibling.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import numpy as np

from pvm_core.images import FRAME_FORMAT, PRODUCT_FORMAT, decode_stored, stored_jpeg
from pvm_core.retrieval import Gallery, search
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import Calibration, load_calibration
from pvm_core.scoring.margin import margins
from pvm_core.scoring.word_term import is_read
from pvm_core.text import choose_reader, load_reader
from pvm_core.verification import VerifyParams, verify_frame
from pvm_core.verification.words import read_product, tell_words
from pvm_demo.paint import Rgb
from pvm_demo.products import WORDLESS, SyntheticProduct, catalogue_picture, make_design, make_products
from pvm_demo.scenes import render_scene
from pvm_demo.solids import Design
from pvm_evaluation.measure import Described, RawPair, Setting, describe
from pvm_evaluation.metrics import score_pairs

#: Products in the catalogue beside the sibling; their margins make it a catalogue.
OTHERS: Final = 8
#: How far a colour of a sibling is turned, in turns: a brand sets its kinds apart by as much.
TURN: Final = (0.2, 0.5)
#: Share of a front whose colour must differ clearly.
VISIBLE: Final = 0.01
SIZE: Final = (960, 540)
Difference = Literal["colour", "word"]


@dataclass(frozen=True, eq=False)
class Case:
    """A frame with the catalogue picture of what it shows and that of a sibling."""

    name: str
    difference: Difference
    frame: Rgb
    shown: Rgb
    sibling: Rgb


def make_cases(seed: int, count: int) -> Iterator[Case]:
    """`count` cases, half of each difference, the same for the same seed."""
    made, generation = 0, 0
    while made < count:
        for product in make_products(seed * 1_000 + generation, 18, family="test", sibling_share=0.0):
            # A film's cover has no ribbon with a word of its own.
            if product.kind.shape in (*WORDLESS, "cover") or made == count:
                continue
            rng = np.random.default_rng([seed, 77, made])
            kind: Difference = "word" if made % 2 else "colour"
            yield _case(product, kind, rng, f"{seed}-{made}")
            made += 1
        generation += 1


def _case(product: SyntheticProduct, kind: Difference, rng: np.random.Generator, name: str) -> Case:
    words = [word for word in product.kind.flavours if word != product.style.flavour]
    turn = float(rng.choice((-1, 1)) * rng.uniform(*TURN))
    hues = ("ribbon_hue", "accent_hue") if rng.random() < 0.5 else ("accent_hue", "ribbon_hue")
    changes: list[dict[str, object]] = (
        [{"flavour": str(rng.choice(words))}]
        if kind == "word"
        else [{hue: getattr(product.style, hue) + turn} for hue in hues]
    )
    designs = [_changed(product, change) for change in changes]
    # Some layouts show no accent, some shapes no ribbon: what nobody can see is no difference.
    design = next((d for d in designs if _visible(product.design, d)), designs[-1])
    scene = render_scene(product, rng, float(rng.beta(1.6, 1.6)), size=SIZE)
    return Case(name, kind, scene.rgb, product.images[0], catalogue_picture(design, rng, 0))


def _changed(product: SyntheticProduct, change: dict[str, object]) -> Design:
    style = replace(product.style, **change)  # type: ignore[arg-type]
    return make_design(product.kind, style, product.design.grain)


def _visible(one: Design, other: Design) -> bool:
    apart = np.abs(one.front[..., :3].astype(np.int16) - other.front[..., :3]).max(axis=2)
    return float((apart > 40).mean()) > VISIBLE


def measured(
    cases: Iterator[Case], setting: Setting, others: list[Described]
) -> Iterator[tuple[Case, RawPair, RawPair]]:
    """Each case with the pair of its sibling, and that of the product shown, each in its catalogue."""
    methods = setting.methods()
    for case in cases:
        frame = Described(case.name, case.name, describe(case.frame, "frame", methods))
        pair = partial(_pair, frame, others, setting)
        sibling, shown = (
            Described(name, name, describe(rgb, "product", methods))
            for name, rgb in (("sibling", case.sibling), ("shown", case.shown))
        )
        yield case, pair(sibling, label=False), pair(shown, label=True)


def _pair(
    frame: Described, others: list[Described], setting: Setting, product: Described, *, label: bool
) -> RawPair:
    catalogue = [product, *others]
    vectors = frame.features.vectors
    gallery = Gallery.of([p.features.vectors for p in catalogue])
    found = search(gallery, np.zeros(1, np.intp), vectors.rgb, vectors.gray, len(catalogue))
    rank = found.index[0].tolist().index(0)
    names = [catalogue[i].name for i in found.index[0]]
    margin = margins(names, found.similarity[0].tolist())[rank]
    views = [product.features.view]
    evidence = verify_frame(frame.features.view, views, VerifyParams.from_rules(setting.rules))[0]
    gray = None if found.gray is None else float(found.gray[0][rank])
    return RawPair(
        "siblings", f"{frame.name}/{product.name}", product.name, frame.name, frame.name, 0.0, 0, label,
        float(found.rgb[0][rank]), gray, rank + 1, evidence, margin,
    )  # fmt: skip


def other_products(seed: int, setting: Setting) -> list[Described]:
    """`OTHERS` products of the same family that no frame shows."""
    methods = setting.methods()
    made = make_products(seed * 1_000 + 999, OTHERS, family="test", sibling_share=0.0, prefix="other-")
    return [Described(p.product_id, p.product_id, describe(p.images[0], "product", methods)) for p in made]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text-reader", default="auto")
    parser.add_argument("--embed-model", default="efficientnet-lite0")
    options = parser.parse_args()
    setting = Setting(options.embed_model, rules=Rules())
    calibration = load_calibration(None, options.embed_model)
    reader = choose_reader(options.text_reader)
    found = [
        (case, *(worded(case, pair, reader, calibration, setting.rules) for pair in both))
        for case, *both in measured(
            make_cases(options.seed, options.pairs), setting, other_products(options.seed, setting)
        )
    ]
    print(f"{'':24s} {'pairs':>6s} {'placed':>7s} {'high enough':>13s} {'accepted':>9s} {'with words':>11s}")
    for difference in ("colour", "word"):
        for what, place in ((f"sibling, another {difference}", 1), ("the product shown", 2)):
            pairs = [row[place] for row in found if row[0].difference == difference]
            scores = [s for _, s in score_pairs(pairs, calibration, setting.rules)]
            placed = sum(p.evidence is not None and p.evidence.transform is not None for p in pairs)
            high = [s for s in scores if (s.score_pair or 0.0) >= setting.rules.accept]
            left = sum(s.recolour is None and s.reprint is None for s in high)
            read = sum(not s.differs for s in high)
            print(f"{what:24s} {len(pairs):6d} {placed:7d} {len(high):13d} {left:9d} {read:11d}")


def worded(case: Case, pair: RawPair, reader: str, calibration: Calibration, rules: Rules) -> RawPair:
    """The pair with what words say, where a job would read them."""
    who, evidence = load_reader(reader), pair.evidence
    if who is None or evidence is None or evidence.transform is None:
        return pair
    ((_, score),) = score_pairs([pair], calibration, rules)
    if not is_read(score, evidence, rules):
        return pair
    product, frame = (
        decode_stored(stored_jpeg(rgb, form))
        for rgb, form in (
            (case.shown if pair.label else case.sibling, PRODUCT_FORMAT),
            (case.frame, FRAME_FORMAT),
        )
    )
    matrix = np.reshape(evidence.transform, (3, 3))
    words = tell_words(read_product(who, product), product, who, frame, matrix)
    return replace(pair, evidence=replace(evidence, words=words))


if __name__ == "__main__":
    main()
