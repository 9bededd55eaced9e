"""Fits a model of words to a catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pvm_core.text_vectors.model import DIM, TextModel
from pvm_core.text_vectors.tokens import tokens

#: Fewest products that a reduction is fitted on; below that no word says how rare it is.
LEAST: Final = 32
#: A model serves until the catalogue has grown, or shrunk, by this factor.
GROWTH: Final = 2.0
#: Most tokens of a vocabulary, the most frequent ones: 12 MB of components.
_VOCABULARY: Final = 16_384
#: Most products a model is fitted on, drawn evenly; more change neither frequencies nor directions.
_SAMPLE: Final = 20_000
#: A token of one product alone says nothing of how products are alike.
_FEWEST: Final = 2
_SEED: Final = 384


def fit(texts: Sequence[str]) -> TextModel:
    """A model of these texts, the same for the same texts in the same order; without vocabulary where there
    are fewer than `LEAST`.

    TF-IDF with sublinear term frequency and smooth idf, reduced by a truncated singular value
    decomposition (scikit-learn's `TfidfVectorizer` and `TruncatedSVD`, randomized).
    """
    if len(texts) < LEAST:
        return TextModel()
    # Half a second to import: only where a model is fitted.
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    given = texts[:: -(-len(texts) // _SAMPLE)]
    count = TfidfVectorizer(
        analyzer=lambda text: list(tokens(text)), sublinear_tf=True, min_df=_FEWEST,
        max_features=_VOCABULARY, dtype=np.float32,
    )  # fmt: skip
    try:
        matrix = count.fit_transform(given)
    except ValueError:
        # No token stands in two products.
        return TextModel()
    rank = min(DIM, *(size - 1 for size in matrix.shape))
    if rank < 1:
        return TextModel()
    reduction = TruncatedSVD(rank, random_state=_SEED).fit(matrix)
    words = count.get_feature_names_out()
    components = np.zeros((len(words), DIM), np.float16)
    components[:, :rank] = reduction.components_.T
    vocabulary = {str(word): n for n, word in enumerate(words)}
    idf = np.asarray(count.idf_, np.float32)
    return TextModel(vocabulary, idf, components, len(texts), float(idf.max()))


def outgrown(model: TextModel, products: int) -> bool:
    """Whether a catalogue of so many products deserves a new model."""
    if products < LEAST:
        return False
    return not model.products / GROWTH < products < model.products * GROWTH
