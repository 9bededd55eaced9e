"""Shapes of requests and answers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pvm_core.run_estimate import Basis, Enough
from pvm_core.scoring.verdict import Verdict
from pvm_jobs.lifecycle import JobStatus
from pvm_jobs.request import LANGUAGES_MAX, QUERIES_MAX, QUERY_MAX, SOURCE_MAX, SOURCES_MAX, JobRequest
from pvm_resources.store.records import JobCounts, MatchStatus

T = TypeVar("T")
_JOB = "01kaq2x8r3n6m4tz"
_UUID = "3f1c1c0e-7a55-5b0b-9d0a-2f6a6f0f7c11"


_Name = Annotated[str, Field(max_length=100)]
_SourceName = Annotated[str, Field(max_length=SOURCE_MAX)]
_SourceNames = Annotated[list[_SourceName], Field(max_length=SOURCES_MAX)]
_Phrase = Annotated[str, Field(max_length=QUERY_MAX)]
_Phrases = Annotated[list[_Phrase], Field(max_length=QUERIES_MAX)]
_Queries = Annotated[dict[_Name, _Phrases | _Phrase], Field(max_length=LANGUAGES_MAX)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Answer(BaseModel):
    @classmethod
    def of(cls, record: object, **more: Any) -> Self:
        """The answer with the record's fields of the same names, and `more`."""
        names = [name for name in cls.model_fields if name not in more and hasattr(record, name)]
        return cls(**{name: getattr(record, name) for name in names}, **more)


class Page(BaseModel, Generic[T]):
    """Items, and the absolute address of the next page; null on the last one."""

    items: list[T]
    next: str | None = Field(description="Absolute address of the next page, or null.")


class JobBody(JobRequest):
    """A job. What is not named is taken from the industry's standing sources, or from what this machine is
    set up for. The founding names `top_amz`, `top_ebay` and `platforms` are understood as well."""

    industry: str = Field(min_length=1, max_length=200, description="Name in any language, or slug.")
    top_amz: int | None = Field(None, ge=0, le=1000, description="Founding name: products of Amazon.")
    top_ebay: int | None = Field(None, ge=0, le=1000, description="Founding name: products of eBay.")
    platforms: Annotated[list[_Name], Field(max_length=10)] | None = Field(
        None, description="Founding name: `youtube`, `bilibili`."
    )

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"industry": "gối công thái học"},
                {
                    "industry": "gối công thái học",
                    "top_amz": 10,
                    "top_ebay": 10,
                    "queries": {"vi": ["gối công thái học"], "zh": ["人体工学枕头"]},
                    "platforms": ["youtube", "bilibili"],
                    "recency_days": 365,
                },
            ]
        },
    )


class Accepted(BaseModel):
    """A job that was accepted; its state is at `status_url`."""

    job_id: str = Field(examples=[_JOB])
    industry: str
    status: JobStatus
    status_url: str
    results_url: str


class Span(BaseModel):
    """A range: the least and the most."""

    least: float = Field(ge=0)
    most: float = Field(ge=0)


class CallsEstimate(BaseModel):
    """Requests of one kind, retries aside."""

    what: str = Field(examples=["searches", "listings", "video pages"])
    count: Span


class QuotaEstimate(BaseModel):
    """Calls of the day (UTC)."""

    used: int
    a_day: int | None = Field(description="Null where the source states no limit.")
    left: int | None
    enough: Enough | None = Field(description="For the most calls; `perhaps`: for the least only.")


class SourceEstimate(BaseModel):
    """What a source gives and costs."""

    kind: Literal["products", "videos"]
    source: str
    records: Span | None = Field(description="Products or videos; null: unknown before it is read.")
    counted: bool = Field(description="They were counted in a file, not asked for.")
    fresh: Span = Field(description="Of these, what is not stored here yet.")
    pictures: Span
    fresh_pictures: Span
    video_s: Span = Field(description="Seconds of its videos that are sampled.")
    fresh_video_s: Span
    frames: Span = Field(description="Keyframes of its videos.")
    fresh_frames: Span
    calls: list[CallsEstimate]
    calls_total: Span
    quota: QuotaEstimate | None = Field(description="Null where no calls are counted.")
    basis: Basis = Field(description="Of figures that were neither counted nor asked for.")
    remark: str = Field(description="What keeps it from answering; empty where nothing does.")


class StageEstimate(BaseModel):
    """What a stage takes; `calls` is waiting for shops and sites, `start` everything around the stages."""

    stage: str = Field(examples=["keyframes"])
    unit: str = Field(examples=["second of video"])
    items: Span
    seconds: Span
    basis: Basis = Field(description="`measured` by earlier jobs of this machine, or the documented default.")
    jobs: int = Field(description="Earlier jobs that measured it.")


class Estimate(BaseModel):
    """What a job would take; nothing was stored, and nobody asked."""

    seconds: Span
    complete: bool = Field(description="False: the size of a source is unknown, so all is the least.")
    disk_bytes: Span
    disk_free: int
    sources: list[SourceEstimate]
    stages: list[StageEstimate]


class Fault(BaseModel):
    """Why a job failed."""

    code: str = ""
    subject: str = ""
    reason: str = ""
    remedy: str = ""
    retryable: bool = False
    stage: str | None = None


@dataclass(frozen=True)
class Counts(JobCounts):
    """What a job holds so far; matches by status, a verdict standing over the score."""


class Progress(_Answer):
    """How far a stage is; `total` is null where it is not known yet."""

    stage: str
    done: int
    total: int | None
    reused: int


class Source(_Answer):
    """Outcome of a source in the job."""

    kind: Literal["products", "videos"]
    source: str
    state: str = Field(description="ok, partial, not_configured, not_eligible, rate_limited or failed.")
    reason: str
    remedy: str
    found: int


class Job(_Answer):
    """A job. Within a phase `percent` follows the items that its stages have done; it never goes back."""

    job_id: str = Field(examples=[_JOB])
    industry: str
    status: JobStatus
    phase: str = Field(examples=["matching"])
    percent: int = Field(ge=0, le=100)
    eta_s: int | None = Field(
        description="Seconds that the rest takes at the pace of this run; null where it has none yet, and "
        "where the job is not running."
    )
    error: Fault | None
    embed_model: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None
    status_url: str
    results_url: str


class JobDetail(Job):
    """A job with its counts, progress and sources."""

    request: dict[str, Any] = Field(description="The request, completed with defaults.")
    counts: Counts
    progress: list[Progress]
    sources: list[Source]


class Event(_Answer):
    """An event of a job, in the order of writing."""

    event_id: uuid.UUID
    name: str = Field(examples=["image.embeddings.completed"])
    job_id: str
    item: str = Field(description="The item it concerns; empty for an event of the whole job.")
    payload: dict[str, Any]
    created_at: datetime


class JobProblem(_Answer):
    """A failure that concerned one item; the job went on."""

    stage: str
    item: str
    code: str
    message: str
    retryable: bool


class Result(_Answer):
    """A match, flat: one row per product and video. Pictures are null where the source's terms ended their
    keeping; the addresses of product and video stay."""

    match_id: uuid.UUID = Field(examples=[_UUID])
    job_id: str
    industry: str
    product: str = Field(description="The product's id as its source gave it.")
    product_id: uuid.UUID
    source: str
    title: str
    brand: str
    price: str = Field(description="A plain decimal; empty where the source states none.")
    currency: str = Field(description="ISO 4217; empty where unknown.")
    product_url: str
    video: str = Field(description="The video's name in the job.")
    video_id: uuid.UUID
    platform: str
    video_url: str = Field(description="At the second of the match, where its site takes one.")
    video_title: str
    channel: str = Field(description="Who published it, as its platform names them.")
    published_at: datetime | None
    ts: float = Field(description="Second of the video at which the product is seen best.")
    score: float = Field(ge=0, le=1)
    status: MatchStatus = Field(description="A verdict of people stands over what the score says.")
    scored_status: MatchStatus = Field(description="What the score alone says.")
    verdict: Verdict | None = Field(description="Of people on product and video; null: nobody judged it.")
    reason: str
    sim_deep: float | None
    sim_kp: float | None
    sim_edge: float | None
    score_pair: float = Field(
        description="Of the best pair. `score` is more where further shots and pictures agree, less where a "
        "rule keeps the match from being accepted."
    )
    rival_product_id: uuid.UUID | None = Field(
        description="Another product that fits the same place of the frame and contests it; null: none does."
    )
    rival_product: str | None = Field(description="Its id as its source gave it.")
    rival_title: str | None
    rival_score: float | None = Field(description="Of its pair at that place, 0 to 1.")
    rival_image_url: str | None = Field(description="Its picture; null where none is kept.")
    rival_match_url: str | None = Field(description="Its own match in the same video.")
    mirrored: bool = Field(
        description="The frame shows the product left for right: clip or catalogue picture is mirrored."
    )
    listing_group: uuid.UUID | None = Field(
        description="The first listing of a product that is listed more than once; each listing is given the "
        "same score and evidence."
    )
    listed_as: str = Field(description="That listing's id as its source gave it; empty: listed once.")
    attention: float | None = Field(
        description="Of the video's presenter, 0 to 1; null: unknown, or not analysed."
    )
    consistency: int
    coverage: int
    embed_model: str
    calibration: str
    evidence_url: str | None = Field(description="Picture that proves the match.")
    review_url: str = Field(description="The match on the review page, for people.")
    product_image_url: str | None
    frame_url: str | None
    match_url: str
    media_purged_at: datetime | None
    created_at: datetime
    label: Verdict | None = Field(description="The same as `verdict`.")


class LabelBody(_Model):
    """A verdict on a match."""

    verdict: Literal["accept", "reject", "unsure", "undo"] = Field(
        description="`undo` takes the newest verdict back; the one before it counts again."
    )

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"verdict": "accept"}]})


class LabelRow(_Answer):
    """A verdict with the version of the match it was given on. It belongs to product and video within the
    industry, so it counts for the matches of later jobs as well."""

    label_id: uuid.UUID
    industry: str
    product_id: uuid.UUID
    product: str = Field(description="The product's id as its source gave it.")
    title: str
    video_id: uuid.UUID
    video: str = Field(description="The video's newest name in the industry.")
    match_id: uuid.UUID = Field(description="The match it was given on; its job may be gone.")
    job_id: str
    verdict: Literal["accept", "reject", "unsure", "none"] = Field(
        description="`none`: an undo took back the only verdict there was."
    )
    who: str
    score: float
    status: MatchStatus
    ts: float
    calibration: str
    embed_model: str
    rules_key: str
    source: str
    platform: str
    may_train: bool = Field(description="The terms of both sources allowed learning from it at that time.")
    created_at: datetime
    superseded_at: datetime | None = Field(description="A newer verdict counts since then.")


class Labelled(BaseModel):
    """The verdict that counts for a match now."""

    match_id: uuid.UUID
    label: LabelRow | None = Field(description="Null: nobody judged it.")


class IndustryPrecision(_Answer):
    """Verdicts on the accepted matches of an industry's latest completed job."""

    industry: str
    job_id: str
    accepted: int = Field(description="Matches accepted by their score.")
    right: int = Field(description="Those that people accept.")
    wrong: int = Field(description="Those that people reject.")
    unsure: int
    missed: int = Field(description="Matches not accepted by their score that people accept.")
    open: int = Field(description="Matches accepted or for review that nobody judged.")
    precision: float | None = Field(description="right / (right + wrong); null where nobody judged any.")
    bound: float | None = Field(
        description="One-sided 95 % lower bound (Clopper and Pearson), were the judged ones drawn at random."
    )


class Picture(_Answer):
    """A stored picture."""

    id: uuid.UUID
    url: str
    width: int
    height: int
    ts: float | None = None


class _Product(_Answer):
    product_id: uuid.UUID
    product: str = Field(description="The id as its source gave it.")
    source: str
    title: str
    description: str = Field(description="Plain text, at most 5,000 characters.")
    category: str
    brand: str
    price: str = Field(description="A plain decimal; empty where unknown.")
    currency: str = Field(description="ISO 4217; empty where unknown.")
    availability: Literal["", "in_stock", "out_of_stock", "preorder", "backorder"]
    url: str
    attributes: dict[str, str] = Field(description="Name to value, such as colour and size.")
    updated_at: datetime = Field(description="When its source changed it, else when it was met first.")
    created_at: datetime
    matches_url: str


class Product(_Product):
    """A product with its pictures."""

    pictures: list[Picture]


class ListedProduct(_Product):
    """A product of a list, with its first picture; null where none is stored."""

    image_url: str | None
    product_api_url: str


class LikeProduct(BaseModel):
    """A product like the one asked for, or to show beside it."""

    product_id: uuid.UUID
    product: ListedProduct
    similarity_score: float = Field(ge=0, le=1, description="Of the parts, by the rules' weights.")
    parts: dict[str, float] = Field(
        description="Cosines of `look` and `text`; `seen` in the same videos; `popular`. Unknown ones lack."
    )
    category: str
    embedding_updated_at: datetime | None = Field(
        description="When what it was found by was stored; null where it was computed now."
    )
    why: str
    near_duplicates: list[uuid.UUID] = Field(
        description="Other listings of it, and products with the same pictures."
    )


class LikeProducts(BaseModel):
    """Products, the best first."""

    product_id: uuid.UUID
    embed_model: str | None = Field(description="Of pictures; null where none were embedded yet.")
    text_model: str
    items: list[LikeProduct]


_Text = Annotated[str, Field(max_length=1_000)]


class ProductPatch(_Model):
    """Fields of a product to be changed; null empties one. Without `version` and `timestamp` the change is
    of now."""

    title: _Text | None = None
    name: _Text | None = Field(None, description="Founding name of `title`.")
    description: Annotated[str, Field(max_length=100_000)] | None = None
    category: _Text | None = None
    brand: _Text | None = None
    price: str | float | None = Field(None, examples=["19.99"])
    currency: _Text | None = Field(None, description="ISO 4217.")
    availability: str | bool | int | None = Field(
        None, description="`in_stock`, `out_of_stock`, `preorder`, `backorder`, or a shop's own word."
    )
    url: _Text | None = None
    attributes: Annotated[dict[str, str | int | float | bool], Field(max_length=100)] | None = None
    pictures: Annotated[list[str], Field(max_length=250)] | None = Field(
        None, description="Addresses of pictures (http, https)."
    )
    version: int | None = Field(None, ge=0, description="Its maker's own version, which grows.")
    timestamp: str | None = Field(None, max_length=40, description="ISO 8601; when the change was made.")
    event_id: str | None = Field(None, max_length=100, description="The same change twice counts once.")


class ProductBody(ProductPatch):
    """A whole product; fields that are not named are empty."""

    id: str = Field(max_length=500, description="The id as its shop gives it.", examples=["prod-123"])
    industry: str | None = Field(None, max_length=200, description="Whose catalogue names it so.")


class ProductEvent(_Model):
    """One change in the founding wire shape."""

    event_type: str = Field(max_length=50, description="`create`, `update` or `delete`.")
    product_id: str = Field(max_length=500, description="The product's id here, or as its shop gives it.")
    timestamp: str | None = Field(None, max_length=40)
    data: dict[str, Any] | str | None = Field(None, description="Of an update the changed fields only.")
    version: int | None = None
    event_id: str | None = Field(None, max_length=100)
    industry: str | None = Field(None, max_length=200)


class ProductEvents(_Model):
    """Changes, those of a product in their order."""

    events: Annotated[list[ProductEvent], Field(min_length=1, max_length=500)]


class ProductChanged(BaseModel):
    """What a change came to."""

    product_id: uuid.UUID | None = Field(description="Null where the change was refused.")
    effect: Literal["created", "updated", "deleted", "none"] = Field(
        description="`none`: a duplicate, or older than what stands."
    )
    changed: list[str] = Field(description="Fields that have another value now.")
    product_api_url: str | None
    code: str | None = Field(None, description="Why it was refused; null where it was not.")
    detail: str | None = None


class ProductsChanged(BaseModel):
    """What changes came to, in their order."""

    applied: int
    unchanged: int
    refused: int
    items: list[ProductChanged]


class Video(_Answer):
    """A video with its first hundred keyframes; `file_url` is null where the file is not kept."""

    video_id: uuid.UUID
    platform: str
    url: str
    title: str
    duration_s: float | None
    published_at: datetime | None
    width: int | None
    height: int | None
    file_url: str | None
    frames: list[Picture]
    matches_url: str
    created_at: datetime


class AttentionSecond(_Answer):
    """One second of a face; null: unknown, which is never inattentive."""

    second: int
    score: float | None
    coverage: float = Field(description="Share of the second's samples with a known pose.")
    pose: float | None
    gaze: float | None
    eyes: float | None


class AttentionTrack(_Answer):
    """A face without a gap; two tracks may be one person."""

    track: int
    first_s: float
    last_s: float
    score: float | None
    coverage: float
    confidence: float
    blinks: list[tuple[float, float]] = Field(description="Seconds: closing, open again.")
    blinks_per_minute: float | None
    perclos: float | None = Field(description="Greatest share of a window with eyes at least 80 % closed.")
    perclos_window_s: float
    seconds: list[AttentionSecond]


class AttentionVariant(_Answer):
    """What the analysis under one detector says of a video."""

    detector: str
    main: bool = Field(description="This is the one that counts in results.")
    status: Literal["complete", "running", "failed", "missing"]
    reason: dict[str, Any] | None = Field(description="Why there is none: code, reason, remedy.")
    score: float | None
    coverage: float | None
    confidence: float | None
    presenter: int | None
    frames: int | None = Field(description="Frames that were looked at.")
    frames_with_face: int | None
    seconds_cpu: float | None = Field(description="Processor time of finding the faces.")
    tracks: list[AttentionTrack]


class VideoAttention(_Answer):
    """Who looks where in a video."""

    video_id: uuid.UUID
    job_id: str | None = Field(description="The job whose analysis this is; null: no job's has begun.")
    status: Literal["complete", "running", "failed", "missing"]
    reason: dict[str, Any] | None = Field(description="Why there is none: code, reason, remedy.")
    score: float | None = Field(description="Of the presenter, 0 to 1; null: unknown.")
    coverage: float | None
    confidence: float | None
    presenter: int | None = Field(description="Number of the presenter's track; null: nobody is seen.")
    tracks: list[AttentionTrack]
    variants: list[AttentionVariant] = Field(
        description="The job's analyses under each detector it was run with; the one that counts first."
    )
    matches_url: str


class Similar(_Answer):
    """A product picture like the given one."""

    product_id: uuid.UUID
    product: str
    title: str
    url: str
    image_id: uuid.UUID
    image_url: str
    product_api_url: str
    similarity: float = Field(description="Cosine of the two vectors, -1 to 1.")


class SimilarList(BaseModel):
    """Product pictures, most alike first."""

    embed_model: str
    items: list[Similar]


class VideoHit(BaseModel):
    """A video that shows the picture, flat."""

    video_id: uuid.UUID
    video: str = Field(description="Its newest name in a job.")
    platform: str
    video_title: str
    channel: str
    published_at: datetime | None
    video_url: str = Field(description="At the second it is seen best, where its site takes one.")
    ts: float = Field(description="Second of the video at which it is seen best.")
    score: float = Field(ge=0, le=1)
    status: MatchStatus
    reason: str
    sim_deep: float | None
    sim_kp: float | None
    sim_edge: float | None
    mirrored: bool = Field(description="The frame shows it left for right.")
    consistency: int = Field(description="Independent shots that show it.")
    frame_id: uuid.UUID
    frame_url: str
    video_api_url: str


class VideoHits(BaseModel):
    """Videos that show a picture, best first: accepted ones and those for review."""

    embed_model: str
    frames: int = Field(description="Keyframes that were verified.")
    unknown: int = Field(description="Those of them that could not be measured under the rules of today.")
    items: list[VideoHit]


class Upload(BaseModel):
    """A stored catalogue or video; `source` is what a job names it by."""

    source: str = Field(examples=["upload:" + "0" * 64 + ".csv"])
    sha256: str
    bytes: int
    kind: Literal["products", "videos"] = Field(description="The field of a job that `source` belongs in.")
    products: int | None = Field(description="Rows that can be used; null of a video.")
    problems: int = Field(description="Rows that cannot.")


class Sources(_Model):
    """Standing sources of an industry."""

    products: _SourceNames | _SourceName | None = None
    videos: _SourceNames | _SourceName | None = None
    columns: dict[str, str] | None = Field(
        None, description="Columns of catalogues by field, where their names say it not."
    )


class IndustryBody(_Model):
    """A new industry; one that exists keeps what is not named."""

    name: str = Field(min_length=1, max_length=200, examples=["gối công thái học"])
    queries: _Queries | None = None
    sources: Sources | None = None
    every_hours: int | None = Field(None, ge=1, le=8760, description="Run the standing sources that often.")


class IndustryPatch(_Model):
    """Fields of an industry to be changed; `every_hours` null: no longer run automatically."""

    queries: _Queries | None = None
    sources: Sources | None = None
    every_hours: int | None = Field(None, ge=1, le=8760)


class Industry(_Answer):
    """An industry."""

    slug: str = Field(examples=["goi-cong-thai-hoc"])
    name: str
    queries: Any
    sources: dict[str, Any]
    rule_set: str
    every_hours: int | None
    jobs_url: str
    results_url: str
    rules_url: str
    created_at: datetime
    updated_at: datetime


RuleValue = bool | int | float | str
_RuleGiven = bool | int | float | Annotated[str, Field(max_length=200)]


class RulesBody(_Model):
    """Rules of an industry: a named set and the fields it overrides."""

    rule_set: str = Field("default", max_length=50)
    overrides: dict[_Name, _RuleGiven] = Field(
        default_factory=dict, max_length=100, examples=[{"accept": 0.85}]
    )


class RulesPatch(_Model):
    """Rules to be changed; a field set to null falls back to the set."""

    rule_set: str | None = Field(None, max_length=50)
    overrides: dict[_Name, _RuleGiven | None] = Field(
        default_factory=dict, max_length=100, examples=[{"accept": None}]
    )


class Rules(BaseModel):
    """Rules as stored, and as a job of this machine computes under them."""

    rule_set: str
    overrides: dict[str, RuleValue]
    effective: dict[str, RuleValue] = Field(description="What the environment sets wins.")


class Ready(BaseModel):
    """Whether the service can work; each part with its state."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
