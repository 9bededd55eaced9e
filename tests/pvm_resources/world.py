"""A small job with a row in every table, written through the repositories."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pvm_core import ids
from pvm_core.errors import Problem
from pvm_core.scoring.calibration import load_calibration
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.reason import Reason
from pvm_jobs.events import Event
from pvm_resources.store.assembly import Store
from pvm_resources.store.job_changes import outbox_write
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.records import (
    AssetState,
    Candidate,
    CheckVerdict,
    Embedding,
    Frame,
    Image,
    ImageSource,
    Industry,
    Job,
    JobVideo,
    KeyframeSet,
    KeypointSet,
    Kind,
    Mask,
    Model,
    PairEvidenceRow,
    Product,
    Progress,
    Video,
)
from pvm_resources.store.source_runs import DeadLetter, SourceRuns, SourceState, VideoFile

KEYS = {"keyframes": "k1", "masks": "m1", "embeddings": "e1", "keypoints": "p1", "verify": "v1"}
DIM = 8


def sha(text: str) -> str:
    """A SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def unit(seed: int, dim: int = DIM) -> NDArray[np.float32]:
    """A float32 unit vector (dim,) that depends on `seed` alone."""
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class World:
    """The rows of one job: 3 products of 2 pictures each, 2 videos of 3 kept frames and a rejected one."""

    industry: Industry
    job: Job
    products: Sequence[Product]
    images: Sequence[Image]
    videos: Sequence[Video]
    members: Sequence[JobVideo]
    frames: Sequence[Frame]
    rejected: Sequence[Frame]

    @property
    def kept_ids(self) -> list[object]:
        """Ids of the kept frames."""
        return [frame.frame_id for frame in self.frames]


def make(repos: Store, name: str = "gối công thái học", job_id: str | None = None) -> World:
    """Makes the job and its inputs; every call with the same job id writes the same rows."""
    industry = repos.industries.ensure(name)
    job = repos.jobs.create(industry.slug, {"products": "p.csv", "videos": "clips"}, job_id)
    products = [
        Product(
            ids.product_id(industry.slug, f"P{n}"), "file", industry.slug, f"P{n}", f"Gối {n}", "Brand", "u"
        )
        for n in range(3)
    ]
    images = [
        Image(
            ids.image_id(p.product_id, sha(f"{p.asin_or_itemid}{n}")), p.product_id,
            sha(f"{p.asin_or_itemid}{n}"),
            f"products/{p.product_id}/{n}.jpg", f"{p.asin_or_itemid}-{n}.jpg", 100, 80, 2**64 - 1 - n, n,
        )
        for p in products for n in range(2)
    ]  # fmt: skip
    videos = [Video(ids.video_id(sha(f"V{n}")), sha(f"V{n}"), "folder", duration_s=9.0) for n in range(2)]
    members = [
        JobVideo(f"clip{n}", v.video_id, f"/clips/clip{n}.mp4", 1000 + n, 5.5 + n, n)
        for n, v in enumerate(videos)
    ]
    frames = [
        Frame(
            ids.frame_id(v.video_id, "k1", 1000 * n), v.video_id, "k1", float(n), "kept", n,
            f"videos/{v.video_id}/{n}.jpg", 96, 54, 1.5, 7 + n,
        )
        for v in videos for n in range(3)
    ]  # fmt: skip
    rejected = [
        Frame(ids.frame_id(v.video_id, "k1", 500), v.video_id, "k1", 0.5, "rejected", reason="black")
        for v in videos
    ]
    return World(industry, job, products, images, videos, members, frames, rejected)


def write(repos: Store, world: World) -> None:
    """Writes a row into every table, from products to `job.completed`."""
    job = world.job.job_id
    repos.jobs.set_running(job, "run-1")
    repos.jobs.set_keys(job, embed_model="classic", **KEYS)
    _inputs(repos, world)
    _features(repos, world)
    _pairs(repos, world)
    repos.state.start_stage(job, "masks", 12)
    repos.state.write_problems(
        job, [Problem("masks", "x.jpg", "picture.truncated", "It ends early. Replace it")]
    )
    repos.state.set_progress(job, Progress("masks", 12, 12, 3))
    repos.state.finish_asset(
        job, AssetState("evidence", "d1", 1), events=[Event(job, "evidences.generation.completed")]
    )
    repos.state.write_verdicts(job, [CheckVerdict("evidence", "readable", "d1", True, True)])
    _collected(repos, world)
    if repos.calibrations.in_force(world.industry.slug, "classic") is None:
        version = repos.calibrations.next_version(world.industry.slug, "classic")
        repos.calibrations.install(
            world.industry.slug, version, load_calibration(None, "classic"), {"labels": 12}, "Lan"
        )
    repos.jobs.complete(job)


def _collected(repos: Store, world: World) -> None:
    """What collection from the net leaves behind."""
    job, source_runs = world.job.job_id, SourceRuns(repos.database)
    source_runs.set_states(job, "products", [SourceState("products", "ebay", "partial", "one", "see", 3)])
    source_runs.answers(job, "ebay").put("search|pillow|0", {"itemSummaries": []})
    source_runs.add_dead_letters(
        job, [DeadLetter("product_images", "https://a/1.jpg", "fetch.http", "503. Later", 3)]
    )
    file = VideoFile("youtube", "abc", world.videos[0].video_id, "/downloads/abc.mp4", 9)
    repos.database.commit(SourceRuns.video_file_write(file))


def _inputs(repos: Store, world: World) -> None:
    job = world.job.job_id
    repos.catalogue.set_products(job, world.products, events=[Event(job, "products.collections.completed")])
    repos.catalogue.write_images(
        job, world.images, [ImageSource(i.product_id, i.source_ref, "fp", i.img_id) for i in world.images],
        events=[Event(job, "products.image.ready", str(i.img_id)) for i in world.images],
    )  # fmt: skip
    repos.videos.set_videos(
        job, world.videos, world.members, events=[Event(job, "videos.collections.completed")]
    )
    repos.videos.write_frames(
        [*world.frames, *world.rejected], [KeyframeSet(v.video_id, "k1", 3, 1) for v in world.videos]
    )


def _features(repos: Store, world: World) -> None:
    job = world.job.job_id
    repos.features.register_model(Model("e1", "classic", "embedder", DIM, {"licence": "ours"}, active=True))
    items: list[tuple[Kind, uuid.UUID]] = [("product", i.img_id) for i in world.images]
    items += [("frame", f.frame_id) for f in world.frames]
    repos.features.write(
        "masks",
        [
            Mask(item, kind, "m1", False, None, 0.0, "time") if n % 2 else
            Mask(item, kind, "m1", True, f"masks/{item}.png", 0.5)
            for n, (kind, item) in enumerate(items)
        ],
    )  # fmt: skip
    repos.features.write(
        "embeddings",
        [
            Embedding(
                item, kind, "e1", "classic", view, unit(10 * n + view), unit(n) if kind == "product" else None
            )
            for n, (kind, item) in enumerate(items) for view in range(2)
        ],
    )  # fmt: skip
    repos.features.write(
        "keypoints", [KeypointSet(item, kind, "p1", 9, f"kp/{item}.npz") for kind, item in items]
    )
    repos.database.commit(
        outbox_write(
            Event(job, f"{side}.{feature}.completed")
            for feature in ("embeddings", "keypoints") for side in ("image", "video")
        )
    )  # fmt: skip


def _pairs(repos: Store, world: World) -> None:
    job = world.job.job_id
    repos.matching.write_candidates(
        job,
        [f.frame_id for f in world.frames],
        [
            Candidate(f.frame_id, i.img_id, n + 1, 0.9 - n / 10, None, 0.9 - n / 10)
            for f in world.frames for n, i in enumerate(world.images)
        ],
    )  # fmt: skip
    repos.matching.write_evidence(
        PairEvidenceRow(c.frame_id, c.img_id, "v1", {"inliers": 20 - c.rank})
        for c in repos.matching.candidates(job)
    )
    repos.matching.replace_scores(
        job,
        (
            PairScore(
                p.frame_id,
                p.img_id,
                p.product_id,
                p.video_id,
                p.ts,
                p.shot,
                p.sim_rgb,
                raw["inliers"] / 20,
                None,
                0.5,
            )
            for p, raw in repos.matching.evidence(job, "v1")
            if raw is not None
        ),
    )
    found = matches(world)
    repos.matching.replace_matches(
        job,
        found,
        events=[
            *(Event(job, "match.result", str(m.match_id)) for m in found),
            Event(job, "matchings.process.completed"),
        ],
    )
    repos.matching.set_evidence(job, {found[0].match_id: f"evidence/{found[0].match_id}.jpg"})


def matches(world: World, accept: float = 0.8) -> list[MatchRecord]:
    """One match per product with the first video: 0.9 accepted, 0.6 review, 0.3 rejected."""
    found, video = [], world.videos[0].video_id
    for n, product in enumerate(world.products):
        image = next(i for i in world.images if i.product_id == product.product_id)
        frame, score = world.frames[n], round(0.9 - 0.3 * n, 3)
        found.append(
            MatchRecord(
                PairScore(
                    frame.frame_id, image.img_id, product.product_id, video, frame.ts, frame.shot or 0,
                    0.5, 0.6, None, score,
                ),
                score, "accepted" if score >= accept else ("review", "rejected")[n - 1],
                Reason("legacy", {"text": "why"}), 2, 1,
                ids.match_id(world.job.job_id, product.product_id, video), accept, "cal-1", "classic", "r1",
            )
        )  # fmt: skip
    return found
