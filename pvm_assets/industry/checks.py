"""Checks of what an industry has as a whole."""

from __future__ import annotations

from typing import Final

from pvm_assets.checks.factory import CheckOutcome
from pvm_assets.industry.asset import IndustryStage, industry_check
from pvm_resources.store.text_vectors import UNASSIGNED

#: Products that are searched for, and neighbours of each, to measure the index.
_SAMPLE: Final = 50
_NEIGHBOURS: Final = 10


@industry_check("product_text_embeddings", blocking=True)
def index_complete(stage: IndustryStage) -> CheckOutcome:
    """Every product that has words has a vector of the model that serves."""
    state = stage.index.state(stage.index.serving().model_key, stage.slug)
    summary = f"{state.products - state.missing} of {state.products} products have a vector"
    return CheckOutcome(not state.missing, summary, metadata={"missing": state.missing})


@industry_check("product_text_embeddings", blocking=False)
def no_stale_vector(stage: IndustryStage) -> CheckOutcome:
    """No vector was made of other words than its product has now. Changes that come while it runs are found
    by the sensor `catalogue`."""
    state = stage.index.state(stage.index.serving().model_key, stage.slug)
    summary = f"{state.stale} vectors of {state.products} are of words of before"
    return CheckOutcome(not state.stale, summary, "WARN", {"stale": state.stale})


@industry_check("similarity_index", blocking=False)
def recall_against_exact(stage: IndustryStage) -> CheckOutcome:
    """What the index finds is what a comparison with every product finds, on a sample."""
    index, queries = stage.index, stage.services.store.text_vectors
    key = index.serving().model_key
    vectors = index.vectors(key)
    found = wanted = 0
    for product in queries.sample(key, stage.slug, _SAMPLE):
        vector = vectors.get_product_embedding(product)
        if vector is None:
            continue
        exact = queries.nearest(key, product, _NEIGHBOURS)
        near = {one.product_id for one in vectors.find_similar_products(vector, _NEIGHBOURS, 0.0)}
        wanted += len(exact)
        found += len(near & set(exact))
    recall = found / wanted if wanted else 1.0
    least = stage.rules.min_recall_at_k
    summary = f"recall at {_NEIGHBOURS} is {recall:.3f} on a sample; at least {least} is wanted"
    return CheckOutcome(recall >= least, summary, "WARN", {"recall": recall, "threshold": least})


@industry_check("recommendations", blocking=True)
def recommendations_sound(stage: IndustryStage) -> CheckOutcome:
    """No product is recommended beside itself or twice, and none that cannot be bought or was purged."""
    bad = (
        0 if stage.slug == UNASSIGNED else stage.services.store.appearances.unsound(stage.slug)
    )  # fmt: skip
    return CheckOutcome(not bad, f"{bad} recommendations are of what cannot be shown", metadata={"bad": bad})


@industry_check("industry_report", blocking=False)
def report_readable(stage: IndustryStage) -> CheckOutcome:
    """The report's file is there."""
    path = stage.services.store.appearances.report(stage.slug)
    there = path is None or stage.services.media.exists(path)
    figures = {"reports": int(path is not None), "readable": int(path is not None and there)}
    return CheckOutcome(there, path or "no job has completed yet", "WARN", figures)


CHECKS: Final = (
    index_complete,
    no_stale_vector,
    recall_against_exact,
    recommendations_sound,
    report_readable,
)
