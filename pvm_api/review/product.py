"""The page of a product: its pictures, the videos that show it, what is like it, what to show beside it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from pvm_api.deps import ServicesDep
from pvm_api.review.access import SignedIn
from pvm_api.review.pages import PageRoute, shown_of
from pvm_api.review.view import page
from pvm_api.services import Services
from pvm_core.links import web
from pvm_resources.product_likeness import LikeProduct, likeness_of
from pvm_resources.store.match_queries import PictureRow
from pvm_resources.store.product_queries import ProductFilter
from pvm_resources.store.review_queries import Card, Wanted

router: Final = APIRouter(prefix="/review/product", include_in_schema=False, route_class=PageRoute)

#: Pictures, matches, and products of each list.
_PICTURES: Final = 24
_MATCHES: Final = 24
_LIKE: Final = 12
#: A person who looks judges for themselves: less alike than what a call answers with by default, but not all
#: else the shop sells. In the demo's shop cookbooks have 0.46 to 0.66 with each other, 0.16 with a juice.
_LEAST: Final = 0.3


@dataclass(frozen=True)
class Tile:
    """A product of a list: `picture` is one that may be shown, None where there is none."""

    one: LikeProduct
    picture: uuid.UUID | None


@router.get("/{product_id}")
def product(request: Request, product_id: uuid.UUID, services: ServicesDep, visitor: SignedIn) -> Response:
    """One product."""
    row = services.store.product_queries.get(product_id)
    terms = services.policies[row.source]
    slug = services.store.appearances.industry_of(product_id)
    likeness = likeness_of(services.text_index, product_id)
    wanted = ProductFilter()
    similar = likeness.similar(product_id, wanted, by="both", limit=_LIKE, min_score=_LEAST)
    beside = likeness.beside(product_id, wanted, _LIKE)
    cards = _matches(services, product_id, slug)
    return page(
        request, "product.html", product=row, product_url=web(row.url),
        attribution=terms.attribution, restricted=not terms.store_media,
        pictures=_pictures(services, product_id) if terms.store_media else [],
        industry=services.store.industries.get(slug) if slug else None,
        cards=[(card, shown_of(card, services)) for card in cards],
        similar=_tiles(services, similar), beside=_tiles(services, beside),
    )  # fmt: skip


def _pictures(services: Services, product_id: uuid.UUID) -> list[PictureRow]:
    return services.store.match_queries.pictures(product_id, _PICTURES)


def _matches(services: Services, product_id: uuid.UUID, slug: str | None) -> list[Card]:
    """Matches of the industry's latest completed job, accepted and for review, the best first."""
    latest = services.latest_jobs(slug) if slug else []
    if not latest:
        return []
    wanted = Wanted(latest[0].job_id, statuses=("accepted", "review"), product=product_id)
    return services.store.review_queries.cards(wanted, _MATCHES)


def _tiles(services: Services, found: list[LikeProduct]) -> list[Tile]:
    firsts = services.store.product_queries.first_pictures([one.product.product_id for one in found])
    return [
        Tile(
            one,
            (one.img_id or firsts.get(one.product.product_id))
            if services.policies[one.product.source].store_media
            else None,
        )
        for one in found
    ]
