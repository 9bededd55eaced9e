"""Products like a product by look, by words or by both; and what to show beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pvm_core.arrays import F32
from pvm_core.errors import ModelError
from pvm_core.recommending.ranking import (
    Ranked,
    blend,
    co_appearance,
    diversify,
    popularity,
    recommend_weights,
    similar_weights,
)
from pvm_core.rules import Rules
from pvm_core.text_vectors.tokens import product_text
from pvm_resources.similar_products import MIN_SCORE, SimilarProduct, similar_products
from pvm_resources.store.product_queries import ProductFilter, ProductRow
from pvm_resources.text_index import TextIndex

if TYPE_CHECKING:
    from pvm_resources.store.records import Model

By = Literal["visual", "text", "both"]
#: Candidates of each kind for every product wanted, and at least so many.
_EACH: Final = 4
_LEAST: Final = 40
#: Least score of a recommendation: below it nothing speaks for a product.
_WORTH: Final = 0.05
#: Products of the same videos that are looked at.
_TOGETHER: Final = 200
#: Availabilities of products that nobody can buy now.
UNAVAILABLE: Final = frozenset({"out_of_stock"})


@dataclass(frozen=True)
class LikeProduct:
    """A product like another, or to show beside it.

    Attributes:
        score: [0, 1].
        parts: what it is made of: ``look``, ``text``, ``seen``, ``popular``, [0, 1] each.
        img_id: its picture that is most alike; None where its words were compared alone.
        embedded_at: when the newest vector it was found by was stored; None where none was needed.
        duplicates: other listings of it.
        together: videos that show both.
    """

    product: ProductRow
    score: float
    parts: Mapping[str, float]
    img_id: uuid.UUID | None = None
    embedded_at: datetime | None = None
    duplicates: tuple[uuid.UUID, ...] = ()
    together: int = 0

    @property
    def why(self) -> str:
        """What it was chosen for, in words."""
        said = []
        if self.together:
            said.append(f"it appears in {self.together} of the same videos")
        if "look" in self.parts:
            said.append(f"its picture looks like one of the product's (cosine {self.parts['look']:.2f})")
        if "text" in self.parts:
            said.append(f"its words are like the product's (cosine {self.parts['text']:.2f})")
        if not said and self.parts.get("popular"):
            said.append("it is popular in the industry")
        return "; ".join(said)


def likeness_of(index: TextIndex, product_id: uuid.UUID) -> Likeness:
    """What finds products like that one, under the rules of its industry."""
    store = index.store
    slug = store.appearances.industry_of(product_id)
    industry = store.industries.get(slug) if slug else None
    chosen = (industry.rule_set, industry.rules) if industry else ("default", {})
    model = next((one for one in store.features.models("embedder") if one.active), None)
    return Likeness(index, model, index.settings.rules_of(*chosen))


@dataclass(frozen=True)
class Likeness:
    """Finds products like a product.

    Args:
        index: vectors of words, with the stores.
        model: the one that product pictures are known under; None where none were embedded yet.
        rules: weights.
    """

    index: TextIndex
    model: Model | None
    rules: Rules

    def similar(
        self,
        product_id: uuid.UUID,
        wanted: ProductFilter,
        *,
        by: By | None = None,
        limit: int = 10,
        min_score: float = MIN_SCORE,
        grouped: bool = False,
    ) -> list[LikeProduct]:
        """Products like a product, most alike first; itself and its other listings are left out.

        Args:
            by: None: by look, or by words where no picture of it is known.
            grouped: its other listings, and those with the same pictures, are listed too.

        Raises:
            InputError: ``product.unknown``.
            ModelError: ``model.other``: by look, and the model has seen none of its pictures.
        """
        row = self.index.store.product_queries.get(product_id)
        chosen = by or ("visual" if len(self._own_looks(product_id)) else "text")
        if chosen == "visual":
            found = [_of_look(one) for one in self._visual(product_id, wanted, limit, min_score, grouped)]
        elif chosen == "text":
            found = self._by_words(row, wanted, _wide(limit), min_score)
        else:
            found = self._by_both(row, wanted, limit, min_score, grouped)
        return self._listed_once(product_id, found, grouped)[:limit]

    def recommended(
        self, product_id: uuid.UUID, wanted: ProductFilter, *, limit: int = 10
    ) -> list[LikeProduct]:
        """What to show beside a product, best first: what appears in the same videos, is alike, is popular;
        diverse, and never what is hidden, deleted or unavailable. What no match or picture is known of is
        found by its words.

        Raises:
            InputError: ``product.unknown``.
        """
        store = self.index.store
        row = store.product_queries.get(product_id)
        mine, beside = store.appearances.together(product_id, _TOGETHER)
        near = self._near(row, wanted, limit)
        candidates = {one.product_id for one in beside} | {one.product.product_id for one in near}
        industry = store.appearances.industry_of(product_id)
        popular = dict(store.appearances.most_shown(industry, _LEAST))
        # Popular ones fill what evidence of the product itself leaves empty.
        if len(candidates) < limit:
            candidates |= popular.keys()
        candidates -= {product_id, *store.appearances.listed_with(product_id)}
        rows = {
            one.product_id: one
            for one in store.product_queries.matching(list(candidates), wanted)
            if one.availability not in UNAVAILABLE
        }
        shown = store.appearances.popularity(list(rows))
        together = {one.product_id: one for one in beside}
        most = max([*popular.values(), *shown.values(), 0])
        parts = self._parts(row, list(rows))
        for key, found in parts.items():
            # What is new and alike would drown in what is popular: that counts beside what was seen.
            if mine or not found:
                found["popular"] = popularity(shown.get(key, 0), most)
            if mine:
                one = together.get(key)
                found["seen"] = co_appearance(one.together, mine, one.videos) if one else 0.0
        weights = recommend_weights(self.rules)
        ranked = [blend(key, found, weights) for key, found in parts.items()]
        picked = self._diverse([one for one in ranked if one.score >= _WORTH], limit)
        listed = [
            LikeProduct(
                rows[one.item], one.score, one.parts,
                together=together[one.item].together if one.item in together else 0,
            )
            for one in picked
        ]  # fmt: skip
        return self._listed_once(product_id, listed, False)[:limit]

    def stored(self, product_id: uuid.UUID, wanted: ProductFilter, limit: int) -> list[LikeProduct]:
        """The recommendations of the last materialisation that still stand under `wanted`; [] where there
        are fewer than `limit`."""
        store = self.index.store
        store.product_queries.get(product_id)
        kept = store.appearances.recommendations(product_id)
        rows = {
            one.product_id: one
            for one in store.product_queries.matching([one.product_id for one in kept], wanted)
            if one.availability not in UNAVAILABLE
        }
        found = [one for one in kept if one.product_id in rows][:limit]
        if len(found) < limit:
            return []
        _, beside = store.appearances.together(product_id, _TOGETHER)
        together = {one.product_id: one.together for one in beside}
        return [
            LikeProduct(
                rows[one.product_id], one.score, one.parts, embedded_at=one.made_at,
                together=together.get(one.product_id, 0),
            )
            for one in found
        ]  # fmt: skip

    def beside(self, product_id: uuid.UUID, wanted: ProductFilter, limit: int) -> list[LikeProduct]:
        """What to show beside a product: as `stored` where that is enough, else as `recommended` now."""
        return self.stored(product_id, wanted, limit) or self.recommended(product_id, wanted, limit=limit)

    # -- kinds of likeness ---------------------------------------------------------------------------------

    def _own_looks(self, product_id: uuid.UUID) -> Mapping[uuid.UUID, F32]:
        if self.model is None:
            return {}
        return self.index.store.product_queries.vectors(product_id, self.model.model_key, 1)

    def _visual(
        self, product_id: uuid.UUID, wanted: ProductFilter, limit: int, min_score: float, grouped: bool
    ) -> list[SimilarProduct]:
        if self.model is None:
            raise ModelError("model.none", str(product_id), "no picture was embedded yet", "Run a job first")
        return similar_products(
            self.index.store, self.model, product_id, wanted, limit=limit, min_score=min_score,
            grouped=grouped,
        )  # fmt: skip

    def _by_words(
        self, row: ProductRow, wanted: ProductFilter, most: int, min_score: float
    ) -> list[LikeProduct]:
        vector = self._words(row)
        if vector is None:
            return []
        store, serving = self.index.store, self.index.serving().model_key
        near = self.index.vectors(serving).find_similar_products(vector, most + 1, min_score, wanted)
        found = {one.product_id: one for one in near if one.product_id != row.product_id}
        rows = {one.product_id: one for one in store.product_queries.matching(list(found), wanted)}
        return [
            LikeProduct(
                rows[key], one.similarity_score, {"text": one.similarity_score},
                embedded_at=one.embedding_updated_at,
            )
            for key, one in found.items()
            if key in rows
        ]  # fmt: skip

    def _words(self, row: ProductRow) -> F32 | None:
        """The vector of a product's words, made now where none of them is stored; None without words."""
        serving = self.index.serving().model_key
        stored = self.index.vectors(serving).get_product_embedding(row.product_id)
        if stored is None:
            text = product_text(row.title, row.description, row.category)
            stored = self.index.model(serving).vector(text)
        return stored if np.any(stored) else None

    def _by_both(
        self, row: ProductRow, wanted: ProductFilter, limit: int, min_score: float, grouped: bool
    ) -> list[LikeProduct]:
        near = self._near(row, wanted, limit, grouped)
        parts = self._parts(row, [one.product.product_id for one in near])
        weights = similar_weights(self.rules)
        found = []
        for one in near:
            ranked = blend(one.product.product_id, parts[one.product.product_id], weights)
            if ranked.score >= min_score:
                found.append(replace(one, score=ranked.score, parts=ranked.parts))
        return sorted(found, key=lambda one: (-one.score, str(one.product.product_id)))

    def _near(
        self, row: ProductRow, wanted: ProductFilter, limit: int, grouped: bool = False
    ) -> list[LikeProduct]:
        """The nearest by look and the nearest by words, each once."""
        most, found = _wide(limit), {}
        if len(self._own_looks(row.product_id)):
            for one in self._visual(row.product_id, wanted, most, 0.0, grouped):
                found[one.product.product_id] = _of_look(one)
        for other in self._by_words(row, wanted, most, 0.0):
            found.setdefault(other.product.product_id, other)
        return list(found.values())

    def _parts(self, row: ProductRow, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, float]]:
        """How alike each product is by look and by words, as far as that is known."""
        found: dict[uuid.UUID, dict[str, float]] = {key: {} for key in ids}
        store = self.index.store
        if self.model is not None:
            looks = store.product_queries.looks([row.product_id, *ids], self.model.model_key)
            own = looks.pop(row.product_id, None)
            if own is not None:
                for key, vectors in looks.items():
                    found[key]["look"] = max(0.0, float((own @ vectors.T).max()))
        vector = self._words(row)
        if vector is not None:
            for key, words in self._stored_words(ids).items():
                found[key]["text"] = max(0.0, float(vector @ words))
        return found

    def _stored_words(self, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, F32]:
        return self.index.stored(list(ids))

    # -- lists ---------------------------------------------------------------------------------------------

    def _diverse(self, ranked: list[Ranked[uuid.UUID]], limit: int) -> list[Ranked[uuid.UUID]]:
        best = sorted(ranked, key=lambda one: (-one.score, str(one.item)))[: _wide(limit)]
        words = self._stored_words([one.item for one in best])

        def alike(one: uuid.UUID, other: uuid.UUID) -> float:
            if one not in words or other not in words:
                return 0.0
            return max(0.0, float(words[one] @ words[other]))

        return diversify(best, alike, self.rules.recommend_diversity, limit + _EACH)

    def _listed_once(
        self, product_id: uuid.UUID, found: Sequence[LikeProduct], grouped: bool
    ) -> list[LikeProduct]:
        """Without other listings of the product; of others that are one product the first, which names the
        rest."""
        own = set() if grouped else self.index.store.appearances.listed_with(product_id)
        groups = self.index.store.appearances.listing_groups([one.product.product_id for one in found])
        listed: dict[uuid.UUID, LikeProduct] = {}
        for one in found:
            key = one.product.product_id
            if key in own:
                continue
            group = groups.get(key, key)
            first = listed.get(group)
            listed[group] = (
                one if first is None else replace(first, duplicates=(*first.duplicates, key, *one.duplicates))
            )
        return list(listed.values())


def _wide(limit: int) -> int:
    return max(_LEAST, _EACH * limit)


def _of_look(one: SimilarProduct) -> LikeProduct:
    return LikeProduct(
        one.product, one.score, {"look": one.score}, one.img_id, one.embedded_at, one.duplicates
    )
