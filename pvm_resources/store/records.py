"""What the repositories take and return: frozen dataclasses, one per table or question."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pvm_core.scoring.decision import Status
from pvm_core.scoring.pair import Pair
from pvm_jobs.lifecycle import JobStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["product", "frame"]
MatchStatus = Status
ModelKind = Literal["embedder", "segmenter", "detector"]


@dataclass(frozen=True)
class Industry:
    """An industry: its name as typed, its standing sources and its rules.

    Attributes:
        slug: ASCII name used in partitions and paths.
        queries: search queries, e.g. ``{"vi": [...]}``.
        sources: standing sources ``{"products": ..., "videos": ...}``.
        rule_set, rules: the named rule set and the fields it overrides.
    """

    slug: str
    name: str
    queries: Any
    sources: dict[str, Any]
    rule_set: str
    rules: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Job:
    """A job. `keys` names the parameters it was computed under: ``keyframes``, ``masks``, ``embeddings``,
    ``keypoints``, ``verify``, ``rules``; `industry` is the slug; `rules` are those its matches were decided
    under, None before that."""

    job_id: str
    industry: str
    partition_key: str
    request: dict[str, Any]
    phase: str
    status: JobStatus
    run_id: str | None
    error: dict[str, Any] | None
    keys: dict[str, str]
    embed_model: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rules: dict[str, Any] | None = None


@dataclass(frozen=True)
class JobCounts:
    """What a job holds; matches by status, a verdict standing over the score."""

    products: int
    images: int
    videos: int
    frames: int
    candidates: int
    scores: int
    accepted: int
    review: int
    rejected: int
    problems: int


@dataclass(frozen=True)
class Product:
    """A product. `asin_or_itemid` is the id as given; `namespace` keeps two catalogues apart; `price` is a
    plain decimal and `currency` an ISO 4217 code, "" where unknown; the last five are as
    `pvm_core.product_facts.Facts` has them."""

    product_id: uuid.UUID
    src: str
    namespace: str
    asin_or_itemid: str
    title: str = ""
    brand: str = ""
    url: str = ""
    price: str = ""
    currency: str = ""
    description: str = ""
    category: str = ""
    availability: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Image:
    """A stored product picture. `phash` is the 64-bit hash, 0 to 2**64 - 1; `position` its place in the
    gallery of this job."""

    img_id: uuid.UUID
    product_id: uuid.UUID
    sha256: str
    local_path: str
    source_ref: str
    width: int
    height: int
    phash: int
    position: int = 0


@dataclass(frozen=True)
class ImageSource:
    """What a picture reference answered last time: with the same fingerprint it is not decoded again."""

    product_id: uuid.UUID
    source_ref: str
    fingerprint: str
    img_id: uuid.UUID


@dataclass(frozen=True)
class Video:
    """A video by content. `channel` is who published it, as its platform names them; "" where unknown."""

    video_id: uuid.UUID
    sha256: str
    platform: str
    url: str = ""
    title: str = ""
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    published_at: datetime | None = None
    channel: str = ""


@dataclass(frozen=True)
class JobVideo:
    """A video's name in one job. `source_ref` is where its file is; `size` in bytes, `mtime` in seconds."""

    given_name: str
    video_id: uuid.UUID
    source_ref: str
    size: int | None = None
    mtime: float | None = None
    position: int = 0

    def __str__(self) -> str:
        return self.given_name


@dataclass(frozen=True)
class KeyframeSet:
    """A video whose keyframes under `params_key` are done; `problem` is a code where it ended early."""

    video_id: uuid.UUID
    params_key: str
    frames: int
    rejected: int
    problem: str = ""


@dataclass(frozen=True)
class Frame:
    """A keyframe, or with status ``rejected`` a sampled frame without file, and the reason."""

    frame_id: uuid.UUID
    video_id: uuid.UUID
    params_key: str
    ts: float
    status: Literal["kept", "rejected"] = "kept"
    shot: int | None = None
    local_path: str | None = None
    width: int | None = None
    height: int | None = None
    sharpness: float | None = None
    phash: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Item:
    """A picture of a job, of either kind: what the workers take.

    Attributes:
        item_id: img_id or frame_id; parent_id: the product or the video.
        local_path: key of the JPEG in the media store.
        ts, shot: seconds from the start and number of the shot; None for a product picture.
        mask_path, kp_path: keys of its files under the keys given; None without a trustworthy mask, and
            without keypoints.
        label: what messages call it: the product's id as given, or the video's name and the second.
    """

    item_id: uuid.UUID
    kind: Kind
    parent_id: uuid.UUID
    local_path: str
    width: int
    height: int
    ts: float | None = None
    shot: int | None = None
    mask_path: str | None = None
    kp_path: str | None = None
    label: str = ""

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Mask:
    """A mask, or the reason why the picture goes on without one."""

    item_id: uuid.UUID
    kind: Kind
    method_key: str
    has_mask: bool
    mask_path: str | None
    coverage: float
    reason: str = ""


@dataclass(frozen=True)
class Embedding:
    """One view of a picture: float32 (dim,), unit length; `emb_gray` None where the flag is off."""

    item_id: uuid.UUID
    kind: Kind
    model_key: str
    model: str
    view: int
    emb_rgb: NDArray[np.float32]
    emb_gray: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class KnownPicture:
    """A stored product picture with its vectors under one model.

    Attributes:
        local_path: key of the JPEG in the media store.
        rgb: float32 (V, dim), unit rows, in order of their views; gray: the same, None where any lacks one.
    """

    local_path: str
    rgb: NDArray[np.float32]
    gray: NDArray[np.float32] | None


@dataclass(frozen=True)
class EmbeddingBatch:
    """Some rows of a stream: row i is view `views[i]` of item `ids[i]`.

    Attributes:
        ids: item ids, ordered; all views of an item lie side by side.
        views: int16 (N,).
        rgb: float32 (N, dim).
        gray: float32 (N, dim), or None where any row of the batch has none.
    """

    ids: list[uuid.UUID]
    views: NDArray[np.int16]
    rgb: NDArray[np.float32]
    gray: NDArray[np.float32] | None


@dataclass(frozen=True)
class KeypointSet:
    """Keypoints of a picture; ``excused`` with a reason where there is no file."""

    item_id: uuid.UUID
    kind: Kind
    method_key: str
    n_keypoints: int
    kp_blob_path: str | None
    status: Literal["ok", "excused"] = "ok"
    reason: str = ""


@dataclass(frozen=True)
class Model:
    """A registered model or method; `spec` is JSON-able. At most one per kind is active."""

    model_key: str
    name: str
    kind: ModelKind
    dim: int | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    active: bool = False


@dataclass(frozen=True)
class Neighbour:
    """A found product picture: cosine similarity to the query, in full precision."""

    img_id: uuid.UUID
    product_id: uuid.UUID
    similarity: float


@dataclass(frozen=True)
class FoundFrame:
    """A stored keyframe like a picture, with its video.

    Attributes:
        sim_rgb, sim_gray: cosine to the picture, greatest over the frame's views; None where not computed.
        local_path, mask_path, kp_path: media keys; None without mask or keypoints under the keys asked for.
        video: the video's newest name in a job; video_path: its file, for a folder's clip, else "".
    """

    frame_id: uuid.UUID
    video_id: uuid.UUID
    ts: float
    shot: int
    local_path: str
    width: int
    height: int
    sim_rgb: float
    sim_gray: float | None
    mask_path: str | None
    kp_path: str | None
    platform: str
    url: str
    title: str
    channel: str
    published_at: datetime | None
    video: str
    video_path: str


@dataclass(frozen=True)
class Recall:
    """Recall of the index against exact search: `found` of `wanted` neighbours over `queries` queries."""

    queries: int
    wanted: int
    found: int

    @property
    def value(self) -> float | None:
        """In [0, 1]; None where there was nothing to look for."""
        return self.found / self.wanted if self.wanted else None


@dataclass(frozen=True)
class Candidate:
    """A candidate picture of a frame: rank from 1, cosines in [-1, 1]."""

    frame_id: uuid.UUID
    img_id: uuid.UUID
    rank: int
    sim_rgb: float
    sim_gray: float | None
    similarity: float


@dataclass(frozen=True)
class CandidatePair(Candidate, Pair):
    """A candidate with what scoring needs to know about both sides."""


@dataclass(frozen=True)
class PairEvidenceRow:
    """Raw measurements of two pictures under one set of parameters; `raw` is JSON-able."""

    frame_id: uuid.UUID
    img_id: uuid.UUID
    verify_key: str
    raw: dict[str, Any]


@dataclass(frozen=True)
class AssetState:
    """An asset that finished for a job: its data version, its rows, JSON-able metadata."""

    asset: str
    data_version: str
    rows: int
    metadata: dict[str, Any] = field(default_factory=dict)
    finished_at: datetime | None = None


@dataclass(frozen=True)
class CheckVerdict:
    """The verdict of a check about one data version of an asset."""

    asset: str
    check_name: str
    data_version: str
    passed: bool
    blocking: bool
    severity: Literal["WARN", "ERROR"] = "ERROR"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `done` of `total` items (None: not known yet), `reused` of them from before."""

    stage: str
    done: int
    total: int | None = None
    reused: int = 0


@dataclass(frozen=True)
class StageShare:
    """How far a stage is, as a share that no rerun takes back.

    Attributes:
        job_id: whose stage.
        stage: its name.
        share: 0 to 1, the most that was ever done of it.
        reused_share: 0 to 1, what the present run found done.
        began_at: in the present run; None: it has not begun in it.
        moved_at: when something of it was done last; None where nothing was.
    """

    job_id: str
    stage: str
    share: float
    reused_share: float
    began_at: datetime | None
    moved_at: datetime | None = None


@dataclass(frozen=True)
class OutboxEvent:
    """An event as stored; `seq` grows with the order of writing."""

    seq: int
    event_id: uuid.UUID
    job_id: str
    name: str
    item: str
    payload: dict[str, Any]
    created_at: datetime
