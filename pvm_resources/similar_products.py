"""Products like a product, by the stored vectors of their pictures."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pvm_core.errors import ModelError
from pvm_core.images import hamming
from pvm_core.near_duplicates import MAX_BITS
from pvm_resources.store.assembly import Store
from pvm_resources.store.product_queries import ProductFilter, ProductRow
from pvm_resources.store.records import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The founding threshold, `SIMILARITY_THRESHOLD`.
MIN_SCORE: Final = 0.75
#: Pictures of the product that are searched with, the oldest first.
_PICTURES: Final = 8
#: Neighbours of each picture that the index is asked for, in turn, and at least so many for each product
#: wanted; where filters leave too few, all wanted products are compared, and `_MOST` pictures are taken.
_NEAR: Final = (50, 1_000)
_EACH: Final = 4
_MOST: Final = 5_000


@dataclass(frozen=True)
class SimilarProduct:
    """A product like the one asked for.

    Attributes:
        score: greatest cosine over their pictures, 0 to 1.
        img_id, like: the pictures that are most alike: its own, and the one of the product asked for.
        embedded_at: when the vector of `img_id` was stored.
        duplicates: products whose pictures are the same as its, in another size or quality.
    """

    product: ProductRow
    score: float
    img_id: uuid.UUID
    like: uuid.UUID
    embedded_at: datetime
    duplicates: tuple[uuid.UUID, ...] = ()

    @property
    def why(self) -> str:
        """What it was chosen for, in words."""
        return f"its picture looks like one of the product's (cosine {self.score:.2f})"


@dataclass(frozen=True)
class _Pair:
    """The most alike pictures of two products."""

    product_id: uuid.UUID
    img_id: uuid.UUID
    like: uuid.UUID
    similarity: float


def similar_products(
    store: Store,
    model: Model,
    product_id: uuid.UUID,
    wanted: ProductFilter,
    *,
    limit: int = 10,
    min_score: float = MIN_SCORE,
    grouped: bool = False,
) -> list[SimilarProduct]:
    """Products that look like a product, most alike first; itself is left out.

    Args:
        wanted: only these.
        limit: most products.
        min_score: least cosine, 0 to 1.
        grouped: products with the same pictures as the product are listed too. Others with the same pictures
            are one product in any case, the rest of them its `duplicates`.

    Raises:
        InputError: ``product.unknown``.
        ModelError: ``model.other``: the model has seen none of its pictures.
    """
    store.product_queries.get(product_id)
    own = store.product_queries.vectors(product_id, model.model_key, _PICTURES)
    if not own:
        reason = f"{model.name} has seen no picture of it"
        raise ModelError("model.other", str(product_id), reason, "Run a job that has its pictures")
    for near in (*_NEAR, None):
        asked = None if near is None else max(near, _EACH * limit)
        pairs, complete = _pairs(store, model, own, asked, wanted, min_score)
        pairs.pop(product_id, None)
        rows = {row.product_id: row for row in store.product_queries.matching(list(pairs), wanted)}
        left = sorted((pair for key, pair in pairs.items() if key in rows), key=_order)
        found = _grouped(store, left, own, rows, grouped, model)
        if complete or len(found) >= limit:
            break
    return found[:limit]


def _order(pair: _Pair) -> tuple[float, str]:
    return -pair.similarity, str(pair.product_id)


def _pairs(
    store: Store,
    model: Model,
    own: Mapping[uuid.UUID, NDArray[np.float32]],
    near: int | None,
    wanted: ProductFilter,
    min_score: float,
) -> tuple[dict[uuid.UUID, _Pair], bool]:
    """The best pair with each product among the `near` neighbours of each picture, or among all wanted ones,
    and whether no other product reaches the score."""
    best: dict[uuid.UUID, _Pair] = {}
    complete = True
    for like, vector in own.items():
        if near is None:
            found = store.product_queries.nearest(model.model_key, vector, wanted, min_score, _MOST)
        else:
            found = store.features.ann_search(model.model_key, vector, near)
            # The index may end early, where it has looked at as many as it may.
            complete = complete and bool(found) and found[-1].similarity < min_score
        for one in found:
            known = best.get(one.product_id)
            reaches = one.similarity >= min_score
            if reaches and (known is None or one.similarity > known.similarity):
                pair = _Pair(one.product_id, one.img_id, like, min(1.0, max(0.0, one.similarity)))
                best[one.product_id] = pair
    return best, complete


def _grouped(
    store: Store,
    pairs: Sequence[_Pair],
    own: Iterable[uuid.UUID],
    rows: Mapping[uuid.UUID, ProductRow],
    grouped: bool,
    model: Model,
) -> list[SimilarProduct]:
    """Products without those whose picture is the same as that of one before, which name them instead."""
    about = store.catalogue.images_of([*own, *(pair.img_id for pair in pairs)])
    times = store.product_queries.embedded_at([pair.img_id for pair in pairs], model.model_key)
    given = [about[img_id].phash for img_id in own if img_id in about]
    found: list[SimilarProduct] = []
    hashes: list[int] = []
    for pair in pairs:
        if pair.img_id not in about or pair.img_id not in times:
            continue
        phash = about[pair.img_id].phash
        if not grouped and any(hamming(phash, one) <= MAX_BITS for one in given):
            continue
        same = next((n for n, one in enumerate(hashes) if hamming(phash, one) <= MAX_BITS), None)
        if same is not None:
            first = found[same]
            found[same] = replace(first, duplicates=(*first.duplicates, pair.product_id))
            continue
        hashes.append(phash)
        at = times[pair.img_id]
        found.append(SimilarProduct(rows[pair.product_id], pair.similarity, pair.img_id, pair.like, at))
    return found
