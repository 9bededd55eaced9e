"""What is like a product, and what to show beside it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from pvm_api import models, views
from pvm_api.deps import Base, IndustryFilter, Reader, ServicesDep
from pvm_api.routes.products import Amount, Availability, Word, slug_of
from pvm_resources.product_likeness import By, Likeness, LikeProduct, likeness_of
from pvm_resources.store.product_queries import ProductFilter

router: Final = APIRouter(tags=["recommendations"])

Limit = Annotated[int, Query(ge=1, le=100)]
Money = Annotated[str | None, Query(pattern="^[A-Za-z]{3}$")]
Sources = Annotated[list[str] | None, Query(max_length=10)]
Availabilities = Annotated[list[Availability] | None, Query(max_length=4)]


@router.get(
    "/v1/recommendations/{product_id}/similar",
    operation_id="similarProducts",
    summary="Products like a product",
)
def similar(
    product_id: uuid.UUID,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    limit: Limit = 10,
    min_score: Annotated[
        float | None,
        Query(ge=0, le=1, description="Least similarity; default `SIMILARITY_THRESHOLD`, which is 0.75."),
    ] = None,
    by: Annotated[
        By | None,
        Query(description="Default: `visual`, or `text` where no picture of the product is known."),
    ] = None,
    category: Word = None,
    price_min: Amount = None,
    price_max: Amount = None,
    currency: Money = None,
    source: Sources = None,
    availability: Availabilities = None,
    industry: IndustryFilter = None,
    near_duplicates: Annotated[
        Literal["exclude", "group"],
        Query(description="Other listings, and products with the same pictures: left out, or one item."),
    ] = "exclude",
) -> models.LikeProducts:
    """Products of all jobs by the stored vectors of their pictures, of their words, or of both; itself is
    left out. Filters take away what does not match, and as many others are looked for."""
    wanted = ProductFilter(
        slug_of(services, industry), category, sources=source or (), availability=availability or (),
        price_min=price_min, price_max=price_max, currency=currency,
    )  # fmt: skip
    likeness = likeness_of(services.text_index, product_id)
    least = services.settings.similarity_threshold if min_score is None else min_score
    found = likeness.similar(
        product_id, wanted, by=by, limit=limit, min_score=least, grouped=near_duplicates == "group"
    )
    return _answer(likeness, product_id, found, base)


@router.get(
    "/v1/recommendations/{product_id}",
    operation_id="recommendedProducts",
    summary="Products to show beside a product",
)
def recommended(
    product_id: uuid.UUID,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    limit: Limit = 10,
    category: Word = None,
    price_min: Amount = None,
    price_max: Amount = None,
    currency: Money = None,
    source: Sources = None,
    industry: IndustryFilter = None,
) -> models.LikeProducts:
    """What appears in the same videos, looks alike, reads alike and is popular, by the rules' weights, and
    diverse; never what is deleted or cannot be bought. Of a new product its words tell enough."""
    wanted = ProductFilter(
        slug_of(services, industry), category, sources=source or (), price_min=price_min,
        price_max=price_max, currency=currency,
    )  # fmt: skip
    likeness = likeness_of(services.text_index, product_id)
    return _answer(likeness, product_id, likeness.beside(product_id, wanted, limit), base)


def _answer(
    likeness: Likeness, product_id: uuid.UUID, found: Sequence[LikeProduct], base: str
) -> models.LikeProducts:
    return models.LikeProducts(
        product_id=product_id,
        embed_model=likeness.model.name if likeness.model else None,
        text_model=likeness.index.serving().model_key,
        items=[_item(one, base) for one in found],
    )


def _item(one: LikeProduct, base: str) -> models.LikeProduct:
    return models.LikeProduct(
        product_id=one.product.product_id,
        product=views.listed_product(one.product, base, one.img_id),
        similarity_score=one.score,
        parts=dict(one.parts),
        category=one.product.category,
        embedding_updated_at=one.embedded_at,
        why=one.why,
        near_duplicates=list(one.duplicates),
    )


for _path, _route, _name in (
    ("/recommendations/{product_id}/similar", similar, "similarProductsFounding"),
    ("/recommendations/{product_id}", recommended, "recommendedProductsFounding"),
):
    router.add_api_route(
        _path, _route, methods=["GET"], operation_id=_name, response_model=models.LikeProducts,
        summary="The same under its founding address",
    )  # fmt: skip
