"""A small finished job with drawn products, drawn frames, real evidence pictures and a real clip."""

from __future__ import annotations

import functools
import hashlib
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from pvm_core import ids
from pvm_core.evidence.contact_sheet import encode_within
from pvm_core.evidence.page import MAX_EVIDENCE_BYTES, EvidenceInput, render_evidence
from pvm_core.images import encode_jpeg
from pvm_core.scoring.pair import PairScore
from pvm_core.scoring.reason import Reason
from pvm_core.verification.types import PairEvidence, evidence_to_row
from pvm_demo import make_products, render_scene
from pvm_demo.paint import Rgb
from pvm_demo.products import SyntheticProduct
from pvm_demo.scenes import Scene
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.store.assembly import Store
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.records import (
    Frame,
    Image,
    ImageSource,
    JobVideo,
    KeyframeSet,
    PairEvidenceRow,
    Product,
    Video,
)

NAME = "Gối công thái học"
JOB = "job-1"
#: (score, status, reason) of the matches, best first.
_SCORES = (
    (0.962, "accepted", Reason("accepted.alone", {"best": 0.94, "shots": 4})),
    (0.931, "accepted", Reason("accepted.alone", {"best": 0.93, "shots": 2})),
    (0.874, "accepted", Reason("accepted.alone", {"best": 0.87, "shots": 1})),
    (0.823, "accepted", Reason("accepted.alone", {"best": 0.82, "shots": 1})),
    (0.799, "review", Reason("rival", {"rival": "", "rival_score": 0.83, "best": 0.85, "margin": 0.05})),
    (0.741, "review", Reason("best.low", {"best": 0.74, "least": 0.80})),
    (0.612, "review", Reason("geometry.low", {"value": 0.04, "least": 0.10}, alike=0.93)),
    (0.318, "rejected", Reason("geometry.low", {"value": 0.06, "least": 0.10})),
    (0.121, "rejected", Reason("keypoints.none")),
)


@dataclass(frozen=True)
class Shelf:
    """The job: ids of its matches, best first; the last but one is of eBay with its pictures purged."""

    industry: str
    matches: tuple[uuid.UUID, ...]
    products: tuple[Product, ...]
    videos: tuple[Video, ...]


def clip(path: Path, pictures: list[Rgb], fps: int = 10, seconds: float = 2.0) -> None:
    """A clip that shows each picture for some seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "g": "10"})
        stream.height, stream.width = (side // 2 * 2 for side in pictures[0].shape[:2])  # type: ignore[attr-defined]
        stream.pix_fmt = "yuv420p"  # type: ignore[attr-defined]
        for picture in pictures:
            for _ in range(round(fps * seconds)):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode())  # type: ignore[attr-defined]


@functools.cache
def _drawn() -> tuple[list[SyntheticProduct], list[Scene], list[bytes]]:
    """Products, a scene of each, and three clips of the scenes: drawn once in a process, which takes longer
    than most tests."""
    drawn = make_products(3, len(_SCORES))
    scenes = [render_scene(one, np.random.default_rng(n), 0.2) for n, one in enumerate(drawn)]
    clips = []
    for n in range(3):
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            clip(Path(file.name), [scene.rgb for scene in scenes[n::3]])
            clips.append(Path(file.name).read_bytes())
    return drawn, scenes, clips


def fill(database: Database, media: MediaStore, folder: Path) -> Shelf:
    """Writes the job."""
    repos = Store.over(database)
    industry = repos.industries.ensure(NAME)
    drawn, scenes, clips = _drawn()
    for n, content in enumerate(clips):
        (folder / f"clip{n}.mp4").write_bytes(content)
    repos.jobs.create(industry.slug, {}, JOB)
    repos.jobs.set_keys(JOB, embed_model="classic", keyframes="k1", verify="v1")
    products = [
        Product(
            ids.product_id(industry.slug, one.product_id), "ebay" if n == 7 else "file", industry.slug,
            one.product_id, one.title, one.brand, one.url,
        )
        for n, one in enumerate(drawn)
    ]  # fmt: skip
    videos = [_video(folder / f"clip{n}.mp4", n) for n in range(3)]
    images = [_image(media, product, drawn[n].images[0]) for n, product in enumerate(products)]
    frames = [_frame(media, videos[n % 3], n, scenes[n].rgb) for n in range(len(drawn))]
    repos.catalogue.set_products(JOB, products)
    repos.catalogue.write_images(
        JOB, images, [ImageSource(i.product_id, i.source_ref, "f", i.img_id) for i in images]
    )
    repos.videos.set_videos(JOB, videos, [
        JobVideo(f"clip{n}", video.video_id, str(path), path.stat().st_size, 1.0, n)
        for n, video in enumerate(videos)
        for path in (folder / f"clip{n}.mp4",)
    ])  # fmt: skip
    repos.videos.write_frames(frames, [KeyframeSet(video.video_id, "k1", 3, 0) for video in videos])
    matches = [
        _match(products[n], videos[n % 3], images[n], frames[n], *_SCORES[n]) for n in range(len(_SCORES))
    ]
    rival = {"rival": str(products[1].product_id), "rival_image": str(images[1].img_id)}
    contested = replace(matches[4].reason, values={**matches[4].reason.values, **rival})
    matches[4] = replace(matches[4], reason=contested, best=replace(matches[4].best, score_pair=0.85))
    repos.matching.replace_matches(JOB, matches)
    repos.matching.write_evidence([
        PairEvidenceRow(frames[n].frame_id, images[n].img_id, "v1", _measured(drawn[n].images[0], scene.quad))
        for n, scene in enumerate(scenes[:7])
        if scene.quad is not None
    ])  # fmt: skip
    shown = {}
    for n, found in enumerate(matches[:7]):
        key = f"evidence/{JOB}/{found.match_id}.jpg"
        given = EvidenceInput(
            drawn[n].images[0], scenes[n].rgb, score=found.score, status=found.status, ts=found.ts,
            terms={name: getattr(found.best, name) for name in ("sim_kp", "sim_deep", "sim_edge")},
            product_title=drawn[n].title, product_ref=drawn[n].product_id, video_name=f"clip{n % 3}",
            reason=found.reason.text(), **_alignment(drawn[n].images[0], scenes[n].quad),
        )  # fmt: skip
        media.put(key, encode_within(render_evidence(given), MAX_EVIDENCE_BYTES))
        shown[found.match_id] = key
    repos.matching.set_evidence(JOB, shown)
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE matches SET best_img_id = NULL, media_purged_at = now() WHERE match_id = %s",
            [matches[7].match_id],
        )
        cursor.execute("UPDATE products SET url = 'https://www.ebay.com/itm/7' WHERE src = 'ebay'")
    repos.jobs.complete(JOB)
    return Shelf(industry.slug, tuple(m.match_id for m in matches), tuple(products), tuple(videos))


def _measured(picture: Rgb, quad: np.ndarray | None) -> dict[str, Any]:
    """The geometry of a pair, as it is stored."""
    found = {name: np.asarray(value).tolist() for name, value in _alignment(picture, quad).items()}
    return evidence_to_row(
        PairEvidence(
            tentative=30,
            inliers=24,
            model="homography",
            transform=tuple(np.ravel(found["transform"])),
            points_product=tuple(map(tuple, found["inliers_product"])),
            points_frame=tuple(map(tuple, found["inliers_frame"])),
        )
    )


def _alignment(picture: Rgb, quad: np.ndarray | None) -> dict[str, object]:
    import cv2

    if quad is None:
        return {}
    high, wide = picture.shape[:2]
    inset = 0.12
    corners = np.array([[inset, inset], [1 - inset, inset], [1 - inset, 1 - inset], [inset, 1 - inset]]) * (
        wide,
        high,
    )
    transform = cv2.getPerspectiveTransform(corners.astype(np.float32), quad.astype(np.float32))
    points = np.random.default_rng(1).uniform(0.25, 0.75, (24, 2)) * (wide, high)
    there = cv2.perspectiveTransform(points[None].astype(np.float32), transform)[0]
    return {"transform": transform, "inliers_product": points, "inliers_frame": there}


def _video(path: Path, n: int) -> Video:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    platform, url, title = (
        ("file", "", ""),
        ("youtube", "https://www.youtube.com/watch?v=abc123", "Top 5 gối chống đau cổ 2025"),
        ("bilibili", "https://www.bilibili.com/video/BV1xx?p=2", "Mở hộp gối cao su non"),
    )[n]
    return Video(ids.video_id(digest), digest, platform, url, title, 6.0)


def _image(media: MediaStore, product: Product, rgb: Rgb) -> Image:
    data = encode_jpeg(rgb, 92)
    digest = hashlib.sha256(data).hexdigest()
    img = ids.image_id(product.product_id, digest)
    key = f"products/{product.product_id}/{img}.jpg"
    media.put(key, data)
    return Image(
        img,
        product.product_id,
        digest,
        key,
        f"{product.asin_or_itemid}.jpg",
        rgb.shape[1],
        rgb.shape[0],
        1,
        0,
    )


def _frame(media: MediaStore, video: Video, n: int, rgb: Rgb) -> Frame:
    ts = 2.0 * (n // 3) + 1.0
    frame = ids.frame_id(video.video_id, "k1", round(ts * 1000))
    key = f"videos/{video.video_id}/frames/{frame}.jpg"
    media.put(key, encode_jpeg(rgb, 90))
    return Frame(frame, video.video_id, "k1", ts, "kept", n // 3, key, rgb.shape[1], rgb.shape[0], 1.0, 1)


def _match(
    product: Product, video: Video, image: Image, frame: Frame, score: float, status: str, reason: Reason
) -> MatchRecord:
    few = reason.code == "keypoints.none"
    best = PairScore(
        frame.frame_id, image.img_id, product.product_id, video.video_id, frame.ts, frame.shot or 0,
        min(1.0, score + 0.03), None if few else max(0.0, score - 0.1), None if few else score, score,
    )  # fmt: skip
    return MatchRecord(
        best, score, status, reason, round(score * 4), 1,  # type: ignore[arg-type]
        ids.match_id(JOB, product.product_id, video.video_id), 0.8, "classic-3", "classic", "r-4f1c",
    )  # fmt: skip
