"""How far a pair leads: its cosine less that of the most alike other product of the same frame."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def margins(products: Sequence[Hashable], similarity: Sequence[float]) -> list[float | None]:
    """The margin of each pair of one frame, [-2, 2]; negative where another product is more alike.

    Pictures of one product do not compete with each other. A pair without any other product beside it has no
    margin: there is nobody to lead.

    Args:
        products: whom each pair belongs to, its listing group where it is of one.
        similarity: its cosine, [-1, 1].
    """
    best: dict[Hashable, float] = {}
    for product, value in zip(products, similarity, strict=True):
        best[product] = max(value, best.get(product, value))
    if len(best) < 2:
        return [None] * len(similarity)
    first, second = sorted(best, key=lambda product: best[product], reverse=True)[:2]
    return [
        value - best[second if product == first else first]
        for product, value in zip(products, similarity, strict=True)
    ]
