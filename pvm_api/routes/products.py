"""Products: whole, one by one and in pages; their changes."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from pvm_api import models, views
from pvm_api.deps import Base, IndustryFilter, Reader, Runner, ServicesDep
from pvm_api.paging import Cursor, Limit, cut, next_url
from pvm_api.services import Services
from pvm_resources.store.product_changes import Outcome
from pvm_resources.store.product_queries import ProductFilter

router: Final = APIRouter(tags=["products"])

#: What a body says of the change, not of the product.
_ABOUT: Final = ("version", "timestamp", "event_id")
Availability = Literal["in_stock", "out_of_stock", "preorder", "backorder"]
ProductName = Annotated[
    str, Path(min_length=1, max_length=500, description="The product's id here, or as its shop gives it.")
]
Word = Annotated[str | None, Query(max_length=200)]
Amount = Annotated[
    Decimal | None, Query(ge=0, le=Decimal(10) ** 15, description="In `currency`, where given.")
]


#: Of the making of a product, beside 201.
_WAS_THERE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": models.ProductChanged, "description": "It was there."}
}


@router.get("/v1/products", operation_id="listProducts", summary="Products, newest first")
def list_products(
    request: Request,
    services: ServicesDep,
    base: Base,
    caller: Reader,
    industry: IndustryFilter = None,
    category: Word = None,
    brand: Word = None,
    source: Annotated[list[str] | None, Query(max_length=10)] = None,
    availability: Annotated[list[Availability] | None, Query(max_length=4)] = None,
    price_min: Amount = None,
    price_max: Amount = None,
    currency: Annotated[str | None, Query(pattern="^[A-Za-z]{3}$", description="ISO 4217.")] = None,
    text: Annotated[str | None, Query(max_length=200, description="Part of the title.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.Page[models.ListedProduct]:
    """Products of all jobs and changes. `category` and `brand` are whole, in any case; a product without a
    price is within no bounds."""
    filters = {
        "industry": industry, "category": category, "brand": brand, "source": source,
        "availability": availability, "price_min": str(price_min), "price_max": str(price_max),
        "currency": currency, "text": text,
    }  # fmt: skip
    place = services.cursors.read("products", filters, cursor) if cursor else None
    wanted = ProductFilter(
        slug_of(services, industry), category, brand, text, source or (), availability or (), price_min,
        price_max, currency,
    )  # fmt: skip
    after = (datetime.fromisoformat(place[0]), uuid.UUID(place[1])) if place else None
    page, last = cut(services.store.product_queries.page(wanted, limit + 1, after), limit)
    here = [last.created_at.isoformat(), str(last.product_id)] if last else None
    follow = services.cursors.write("products", filters, here) if here else None
    return models.Page[models.ListedProduct](
        items=[views.listed_product(row, base) for row in page], next=next_url(request, base, follow)
    )


@router.get("/v1/products/{product_id}", operation_id="getProduct", summary="One product")
def get_product(product_id: uuid.UUID, services: ServicesDep, base: Base, caller: Reader) -> models.Product:
    """A product with its stored pictures."""
    return views.product(
        services.store.product_queries.get(product_id),
        services.store.match_queries.pictures(product_id),
        base,
    )


@router.post(
    "/v1/products",
    operation_id="createProduct",
    status_code=201,
    summary="Make a product, or say it whole again",
    responses=_WAS_THERE,
)
def create_product(
    body: models.ProductBody, response: Response, services: ServicesDep, base: Base, caller: Runner
) -> models.ProductChanged:
    """Makes a product. Of one that is there every field takes what is said, and what is not said is
    emptied, but for fields that a newer change has set."""
    found = _change(services, base, "create", body.id, body, body.industry)
    if found.effect != "created":
        response.status_code = 200
    response.headers["Location"] = f"{base}/v1/products/{found.product_id}"
    return found


@router.patch("/v1/products/{product_id}", operation_id="changeProduct", summary="Change a product")
def change_product(
    product_id: ProductName, body: models.ProductPatch, services: ServicesDep, base: Base, caller: Runner
) -> models.ProductChanged:
    """Sets the fields that are named; each keeps the version it was set by, so that an older change still
    applies to what nothing newer has set."""
    return _change(services, base, "update", product_id, body)


@router.delete("/v1/products/{product_id}", operation_id="deleteProduct", summary="Delete a product")
def delete_product(
    product_id: ProductName, services: ServicesDep, base: Base, caller: Runner
) -> models.ProductChanged:
    """Deletes a product with its pictures, vectors and matches in every job; its id and the version of the
    delete stay. While a job that has it is running the answer is 409."""
    return _change(services, base, "delete", product_id)


@router.post("/v1/products/events", operation_id="sendProductEvents", summary="Send changes of products")
def send_events(
    body: models.ProductEvents, services: ServicesDep, base: Base, caller: Runner
) -> models.ProductsChanged:
    """Applies changes in the founding wire shape in one transaction, in their order; one that is refused is
    named in its place and leaves the others alone."""
    events = [one.model_dump(exclude_none=True) for one in body.events]
    items = [_outcome(one, base) for one in services.catalogue.take(events)]
    refused = sum(one.code is not None for one in items)
    unchanged = sum(one.effect == "none" for one in items) - refused
    return models.ProductsChanged(
        applied=len(items) - refused - unchanged, unchanged=unchanged, refused=refused, items=items
    )


def _change(
    services: Services,
    base: str,
    kind: str,
    product: str,
    body: models.ProductPatch | None = None,
    industry: str | None = None,
) -> models.ProductChanged:
    said: dict[str, Any] = body.model_dump(exclude_unset=True) if body else {}
    event: dict[str, Any] = {name: said.pop(name) for name in _ABOUT if name in said}
    event |= {"event_type": kind, "product_id": product, "industry": industry}
    event["data"] = {name: value for name, value in said.items() if name not in ("id", "industry")}
    (outcome,) = services.catalogue.take([event], known=kind != "create")
    if outcome.error is not None:
        raise outcome.error
    return _outcome(outcome, base)


def _outcome(one: Outcome, base: str) -> models.ProductChanged:
    if one.error is not None:
        return models.ProductChanged(
            product_id=None, effect="none", changed=[], product_api_url=None,
            code=one.error.code, detail=str(one.error),
        )  # fmt: skip
    url = None if one.effect == "deleted" else f"{base}/v1/products/{one.product_id}"
    return models.ProductChanged(
        product_id=one.product_id,
        effect=one.effect or "none",
        changed=list(one.changed),
        product_api_url=url,
        code=None,
    )


def slug_of(services: Services, industry: str | None) -> str | None:
    """The slug of an industry by name or slug; None for none.

    Raises:
        InputError: ``industry.unknown``.
    """
    return services.store.industries.get(industry).slug if industry else None


for _path, _route, _method, _name, _shape, _status in (
    ("/products", list_products, "GET", "listProductsFounding", models.Page[models.ListedProduct], 200),
    ("/products", create_product, "POST", "createProductFounding", models.ProductChanged, 201),
    ("/products/events", send_events, "POST", "sendProductEventsFounding", models.ProductsChanged, 200),
    ("/products/{product_id}", get_product, "GET", "getProductFounding", models.Product, 200),
    ("/products/{product_id}", change_product, "PATCH", "changeProductFounding", models.ProductChanged, 200),
    ("/products/{product_id}", delete_product, "DELETE", "deleteProductFounding", models.ProductChanged, 200),
):
    router.add_api_route(
        _path, _route, methods=[_method], operation_id=_name, response_model=_shape, status_code=_status,
        summary="The same under its founding address", responses=_WAS_THERE if _status == 201 else None,
    )  # fmt: skip
