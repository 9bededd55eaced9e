"""A finished job whose pairs carry evidence, and verdicts on its matches."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvm_core import ids
from pvm_core.rules import Rules
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.decision import decide
from pvm_core.scoring.pair_score import score_pair, score_terms
from pvm_core.verification import PairEvidence, evidence_to_row
from pvm_jobs.source_policy import parse_policies
from pvm_resources.store.assembly import Store
from pvm_resources.store.labels import Labels
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.records import (
    Candidate,
    CandidatePair,
    Frame,
    Image,
    ImageSource,
    JobVideo,
    KeyframeSet,
    PairEvidenceRow,
    Product,
    Video,
)
from tests.pvm_core.test_calibration import evidence

INDUSTRY = "Gối công thái học"
CLASSIC = load_calibration(None, "classic")
RULES = Rules()


@dataclass(frozen=True)
class Pair:
    """A product in a video of its own: what was measured, and whether the video really shows it."""

    product: int
    evidence: PairEvidence
    cosine: float
    right: bool


def clear_cut(n: int, products: int, seed: int = 0) -> list[Pair]:
    """Pairs that the shipped calibration finds hard and verdicts can tell apart: right and wrong ones have
    the same geometry, and right ones look a little more alike than wrong ones."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        right = (i // products) % 2 == 0
        alike = float(np.clip(rng.normal(0.55 if right else 0.35, 0.06), 0, 1))
        strength = float(np.clip(rng.normal(0.45, 0.05), 0, 1))
        out.append(Pair(i % products, evidence(strength, alike), 0.5, right))
    return out


def write_job(
    repos: Store, pairs: Sequence[Pair], job_id: str = "job-1", verify: str = "v1"
) -> list[uuid.UUID]:
    """Writes a completed job with a match a pair; ids of the matches in the order of `pairs`."""
    industry = repos.industries.ensure(INDUSTRY)
    repos.jobs.create(industry.slug, {}, job_id)
    repos.jobs.set_running(job_id, "run")
    repos.jobs.set_keys(job_id, embed_model="classic", keyframes="k1", verify=verify)
    products = [
        Product(ids.product_id(industry.slug, f"P{n}"), "file", industry.slug, f"P{n}", f"Gối {n}", "B", "u")
        for n in range(max(p.product for p in pairs) + 1)
    ]
    images = [_image(product) for product in products]
    videos = [Video(ids.video_id(_sha(f"V{n}")), _sha(f"V{n}"), "file") for n in range(len(pairs))]
    frames = [
        Frame(
            ids.frame_id(v.video_id, "k1", 0), v.video_id, "k1", 0.0, "kept", 0, f"f/{v.video_id}.jpg",
            9, 9, 1.0, 7,
        )
        for v in videos
    ]  # fmt: skip
    repos.catalogue.set_products(job_id, products)
    repos.catalogue.write_images(
        job_id, images, [ImageSource(i.product_id, i.source_ref, "f", i.img_id) for i in images]
    )
    repos.videos.set_videos(
        job_id,
        videos,
        [JobVideo(f"clip{n}", v.video_id, f"/c/{n}.mp4", 9, 1.0, n) for n, v in enumerate(videos)],
    )
    repos.videos.write_frames(frames, [KeyframeSet(v.video_id, "k1", 1, 0) for v in videos])
    found = [
        CandidatePair(frames[n].frame_id, images[p.product].img_id, products[p.product].product_id,
                      videos[n].video_id, 0.0, 0, 1, p.cosine, None, p.cosine)
        for n, p in enumerate(pairs)
    ]  # fmt: skip
    repos.matching.write_candidates(
        job_id, [f.frame_id for f in frames],
        [Candidate(c.frame_id, c.img_id, 1, c.sim_rgb, None, c.similarity) for c in found],
    )  # fmt: skip
    repos.matching.write_evidence(
        PairEvidenceRow(c.frame_id, c.img_id, verify, evidence_to_row(p.evidence))
        for c, p in zip(found, pairs, strict=True)
    )
    matches = [_match(job_id, c, p) for c, p in zip(found, pairs, strict=True)]
    repos.matching.replace_matches(job_id, matches)
    repos.jobs.complete(job_id)
    return [m.match_id for m in matches]


def judge(repos: Store, matches: Sequence[uuid.UUID], pairs: Sequence[Pair], policies: str = "") -> None:
    """Somebody says of each match what is so."""
    labels = Labels(repos.database, parse_policies(policies))
    for match, pair in zip(matches, pairs, strict=True):
        labels.give(match, "accept" if pair.right else "reject", "Lan")


def _match(job_id: str, candidate: CandidatePair, pair: Pair) -> MatchRecord:
    scored = score_pair(candidate, pair.evidence, pair.cosine, None, CLASSIC, RULES)
    (decision,) = decide([scored], RULES, CLASSIC)
    return MatchRecord(
        **vars(decision), match_id=ids.match_id(job_id, candidate.product_id, candidate.video_id),
        accept=RULES.accept, calibration=CLASSIC.name, embed_model="classic", rules_key=RULES.key,
    )  # fmt: skip


def _image(product: Product) -> Image:
    digest = _sha(product.asin_or_itemid)
    img = ids.image_id(product.product_id, digest)
    return Image(img, product.product_id, digest, f"p/{img}.jpg", f"{product.asin_or_itemid}.jpg", 9, 9, 1, 0)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def contrary(products: int = 10) -> list[Pair]:
    """Pairs that all look the same and that the shipped calibration gives even chances, of products that are
    right throughout or wrong throughout: whatever the others teach of one is the opposite of what is so."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        terms = score_terms(evidence(0.2, middle), 0.05, None, CLASSIC, RULES)
        low, high = (middle, high) if (terms.score_pair or 0.0) < 0.5 else (low, middle)
    return [Pair(n % products, evidence(0.2, low), 0.05, n % 2 == 0) for n in range(2 * products)]


#: A dozen pairs, for tests that care for nothing else about them.
PAIRS_OF_12 = clear_cut(12, products=6)
