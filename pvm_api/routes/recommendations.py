"""What is like a product."""

from __future__ import annotations

import uuid
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from pvm_api import models, views
from pvm_api.deps import Base, IndustryFilter, Reader, ServicesDep
from pvm_api.routes.products import Amount, Availability, Word, slug_of
from pvm_api.routes.similar import active_model
from pvm_resources.similar_products import MIN_SCORE, SimilarProduct, similar_products
from pvm_resources.store.product_queries import ProductFilter

router: Final = APIRouter(tags=["recommendations"])


@router.get(
    "/v1/recommendations/{product_id}/similar",
    operation_id="similarProducts",
    summary="Products that look like a product",
)
def similar(
    product_id: uuid.UUID,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    min_score: Annotated[float, Query(ge=0, le=1, description="Least similarity.")] = MIN_SCORE,
    category: Word = None,
    price_min: Amount = None,
    price_max: Amount = None,
    currency: Annotated[str | None, Query(pattern="^[A-Za-z]{3}$")] = None,
    source: Annotated[list[str] | None, Query(max_length=10)] = None,
    availability: Annotated[list[Availability] | None, Query(max_length=4)] = None,
    industry: IndustryFilter = None,
    near_duplicates: Annotated[
        Literal["exclude", "group"],
        Query(description="Products with the same pictures as this one: left out, or one item."),
    ] = "exclude",
) -> models.LikeProducts:
    """Products of all jobs, by the stored vectors of their pictures; itself is left out. Filters take away
    what does not match, and as many others are looked for."""
    wanted = ProductFilter(
        slug_of(services, industry), category, sources=source or (), availability=availability or (),
        price_min=price_min, price_max=price_max, currency=currency,
    )  # fmt: skip
    model = active_model(services)
    found = similar_products(
        services.store, model, product_id, wanted, limit=limit, min_score=min_score,
        grouped=near_duplicates == "group",
    )  # fmt: skip
    return models.LikeProducts(
        product_id=product_id, embed_model=model.name, items=[_item(one, base) for one in found]
    )


def _item(one: SimilarProduct, base: str) -> models.LikeProduct:
    return models.LikeProduct(
        product_id=one.product.product_id,
        product=views.listed_product(one.product, base, one.img_id),
        similarity_score=one.score,
        category=one.product.category,
        embedding_updated_at=one.embedded_at,
        why=one.why,
        near_duplicates=list(one.duplicates),
    )


router.add_api_route(
    "/recommendations/{product_id}/similar", similar, methods=["GET"],
    operation_id="similarProductsFounding", response_model=models.LikeProducts,
    summary="The same under its founding address",
)  # fmt: skip
