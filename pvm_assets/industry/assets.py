"""The four assets of an industry: vectors of words, their index, recommendations, its report."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import dagster as dg

from pvm_assets.data_version import version_of
from pvm_assets.industry.asset import IndustryStage, industry_asset
from pvm_assets.report import Column, Report
from pvm_assets.work.evidence import evidence_page, weights_of
from pvm_assets.work.industry_report import report_matches, report_of
from pvm_assets.work.picture_source import picture_source
from pvm_core.errors import StoreError
from pvm_core.recommending.ranking import Ranked
from pvm_core.report.model import Report as PageReport
from pvm_core.report.page import render_report
from pvm_resources.models.calibrations import calibration_of
from pvm_resources.product_likeness import likeness_of
from pvm_resources.settings import load_policies
from pvm_resources.store.match_queries import ResultFilter
from pvm_resources.store.match_record import MatchView
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.store.records import Job
from pvm_resources.store.text_vectors import UNASSIGNED

#: Recommendations stored of each product, and products written together.
RECOMMENDED: Final = 20
_BATCH: Final = 100
#: Jobs in the trend of a report, and matches and bytes of pictures in the report.
TREND: Final = 20
_MATCHES: Final = 500
_BYTES: Final = 20_000_000


@industry_asset(
    table="product_text_embeddings",
    columns=(
        Column("product_id", "uuid", "the product"),
        Column("model_key", "text", "the model of words; several stand side by side"),
        Column("embedding", "vector(384)", "unit length"),
        Column("text_version", "text", "of which words it was made"),
        Column("updated_at", "timestamptz", "when it was stored"),
    ),
    kinds={"python", "postgres", "scikitlearn"},
    code_version="1",
)
def product_text_embeddings(stage: IndustryStage) -> Report:
    """Vectors of name, description and category: TF-IDF with a fitted reduction, 384 numbers, unit length.

    Only what has no vector of its present words is embedded. A catalogue that has grown or shrunk by half
    gets a new model, whose vectors are made beside those that serve.
    """
    index = stage.index
    fitted = index.refit()
    if fitted:
        stage.log.info(f"fitted {fitted}")
    embedded = index.embed(stage.slug, lambda count: stage.log.info(f"{count} products embedded"))
    serving = index.serving()
    state = index.state(serving.model_key, stage.slug)
    return Report(
        state.products - state.missing,
        version_of((serving.model_key, state.products, state.missing, state.stale, stage.started)),
        {"model": serving.model_key, "fitted_on": serving.products, "embedded": embedded,
         "waiting_model": fitted or ""},
    )  # fmt: skip


@industry_asset(
    table="product_text_embeddings",
    columns=(
        Column("product_id", "uuid", "the product"),
        Column("embedding", "vector(384)", "searched by the index"),
    ),
    kinds={"postgres"},
    code_version="1",
)
def similarity_index(stage: IndustryStage) -> Report:
    """The index that similar products are found by. A new model serves from here on, once no product of any
    industry lacks a vector of it; the vectors of the one before it are removed."""
    index = stage.index
    promoted = index.promote()
    serving = index.serving()
    state = index.state(serving.model_key, stage.slug)
    return Report(
        state.products - state.missing,
        version_of((serving.model_key, state.products, state.missing, state.stale, stage.started)),
        {"model": serving.model_key, "took_over": promoted is not None,
         "vectors_of_all_industries": index.vectors(serving.model_key).count()},
    )  # fmt: skip


@industry_asset(
    table="product_recommendations",
    columns=(
        Column("product_id", "uuid", "the product"),
        Column("place", "int4", "0 for the best"),
        Column("other_id", "uuid", "what to show beside it"),
        Column("score", "float8", "0 to 1"),
        Column("parts", "jsonb", "what it is made of: seen, look, text, popular"),
    ),
    kinds={"python", "postgres"},
    code_version="1",
)
def recommendations(stage: IndustryStage) -> Report:
    """What to show beside each product of the industry: seen in the same videos, alike, popular, diverse."""
    store, wanted = stage.services.store, ProductFilter()
    listed = iter([] if stage.slug == UNASSIGNED else store.appearances.products(stage.slug))
    written, products = 0, 0
    while some := list(islice(listed, _BATCH)):
        found: dict[uuid.UUID, list[Ranked[uuid.UUID]]] = {}
        for product in some:
            likeness = likeness_of(stage.index, product)
            found[product] = [
                Ranked(one.product.product_id, one.score, one.parts)
                for one in likeness.recommended(product, wanted, limit=RECOMMENDED)
            ]
        written += store.appearances.set_recommendations(found)
        products += len(some)
        stage.log.info(f"recommendations of {products} products")
    return Report(written, version_of((stage.slug, written, products, stage.started)), {"products": products})


@industry_asset(
    table="industry_reports",
    columns=(
        Column("industry", "text", "the slug"),
        Column("job_id", "text", "the job that is reported, the latest completed one"),
        Column("path", "text", "key of the HTML file in the media store"),
        Column("made_at", "timestamptz", "when it was made"),
    ),
    kinds={"python", "html"},
    code_version="1",
)
def industry_report(stage: IndustryStage) -> Report:
    """The report of `pvm report` on the industry's latest completed job, as one HTML file, with the trend
    over its jobs: products, videos, what was accepted, and how often that was right."""
    store = stage.services.store
    jobs = (
        []
        if stage.slug == UNASSIGNED
        else [
            store.jobs.get(job.job_id)
            for job in store.match_queries.jobs(TREND, industry=stage.slug)
            if job.status == "completed"
        ]
    )
    if not jobs:
        return Report(0, version_of((stage.slug,)), {"trend": "no job has completed yet"})
    path = f"reports/{stage.slug}.html"
    if stage.rules.blur_faces:
        # One that was made before the rule may show faces: where the next is refused none is left.
        stage.services.media.delete(path)
    report = _page(stage, jobs[0])
    stage.services.media.put(path, render_report(report, "en").encode())
    shown = [uuid.UUID(match.match_id) for match in report.matches]
    if not store.appearances.set_report(stage.slug, jobs[0].job_id, path, shown):
        stage.services.media.delete(path)
        reason = "a product of it was deleted while it was made"
        raise StoreError("store.conflict", path, reason, "Materialise industry_report again")
    return Report(
        len(report.matches),
        version_of((jobs[0].job_id, len(report.matches), stage.started)),
        {"job": jobs[0].job_id, "path": path, "trend": dg.MetadataValue.md(_trend(stage, jobs))},
    )


def _page(stage: IndustryStage, job: Job) -> PageReport:
    services, store = stage.services, stage.services.store
    policies = load_policies(services.settings)
    weights = weights_of(job.rules or vars(stage.rules))
    source = picture_source(services.media, services.settings.models, blurs=stage.rules.blur_faces)
    wanted = ResultFilter([job.job_id], 0.0, ["accepted"])
    rows = store.match_queries.results(wanted, _MATCHES)

    def page(row: MatchView) -> bytes:
        item = store.match_queries.evidence_item(row.match_id)
        return evidence_page(source, item, weights, policies, language="en", reason=_reason(row))

    matches = report_matches(rows, page, policies, _reason, max_bytes=_BYTES)
    return report_of(
        store.industries.get(stage.slug), job, store.jobs.counts(job.job_id),
        store.labels(policies).tallies([job.job_id])[job.job_id],
        calibration_of(services.settings.models, job.embed_model or ""), matches,
        accept=rows[0].accept if rows else stage.rules.accept, made_at=datetime.now(UTC),
        left_out=max(0, store.match_queries.count(wanted) - len(rows)),
    )  # fmt: skip


def _reason(row: MatchView) -> str:
    text = row.reason.text()
    return f"{text[:1].upper()}{text[1:]}."


def _trend(stage: IndustryStage, jobs: list[Job]) -> str:
    """A table in Markdown, the newest job first."""
    tallies = stage.services.store.labels(load_policies(stage.services.settings)).tallies(
        [job.job_id for job in jobs]
    )
    lines = ["| job | ended | products | videos | accepted | for review | judged | precision |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for job in jobs:
        counts, tally = stage.services.store.jobs.counts(job.job_id), tallies[job.job_id]
        values: list[Any] = [
            job.job_id, f"{job.finished_at:%Y-%m-%d %H:%M}" if job.finished_at else "", counts.products,
            counts.videos, counts.accepted, counts.review, tally.judged,
            "" if tally.precision is None else f"{tally.precision:.3f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(value) for value in values) + " |")
    return "\n".join(lines)


ASSETS: Final = (product_text_embeddings, similarity_index, recommendations, industry_report)
