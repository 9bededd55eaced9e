"""What a report says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pvm_core.scoring.decision import Status
from pvm_core.scoring.verdict import Verdict

#: Why a match has no picture: its source's terms ended its keeping, or never let it leave the platform; it
#: was never drawn; the file would have grown too large.
Missing = Literal["", "purged", "restricted", "none", "left_out"]


@dataclass(frozen=True)
class ReportMatch:
    """One product in one video.

    Attributes:
        product: the product's id at its source; price: a plain decimal; currency: ISO 4217; "" where unknown.
        video: its name; channel: who published it; published_at: when, where known.
        product_url, video_url: http(s) addresses, the video's at `ts`; None where there is none.
        ts: second at which the product is seen best.
        status: with a verdict standing over the score; scored_status: by the score alone.
        mirrored: the frame shows the product left for right.
        reason: why the score is what it is, one sentence in the report's language.
        thumbnail, evidence: JPEG files; None where `missing` says why.
        attributions: what the terms of its sources require beside it.
    """

    match_id: str
    product: str
    title: str
    brand: str
    price: str
    currency: str
    product_url: str | None
    source: str
    video: str
    video_url: str | None
    platform: str
    channel: str
    published_at: datetime | None
    ts: float
    score: float
    status: Status
    scored_status: Status
    verdict: Verdict | None
    reason: str
    thumbnail: bytes | None = None
    evidence: bytes | None = None
    missing: Missing = ""
    attributions: tuple[str, ...] = ()
    mirrored: bool = False


@dataclass(frozen=True)
class Precision:
    """How often an accepted match is right.

    Attributes:
        right, known: right ones among those judged; `bound`: one-sided 95 % lower bound of right / known.
        basis: ``labels``: of people on the matches of this job; ``measured``: on pictures whose truth is
            known, under the calibration of this job (docs/accuracy.md).
    """

    right: int
    known: int
    bound: float
    basis: Literal["labels", "measured"]

    @property
    def share(self) -> float:
        """right / known."""
        return self.right / self.known


@dataclass(frozen=True)
class Report:
    """What a report says of one job of an industry.

    Attributes:
        products, videos: how many were compared.
        matches: best first.
        left_out: matches of the asked statuses beyond those listed.
        precision: None where nobody judged a match and the calibration was not measured.
        accept: the score from which a match is accepted.
    """

    industry: str
    job_id: str
    finished_at: datetime | None
    made_at: datetime
    products: int
    videos: int
    matches: tuple[ReportMatch, ...]
    precision: Precision | None
    accept: float
    calibration: str
    embed_model: str
    left_out: int = 0
