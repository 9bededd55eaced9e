"""A model of words: TF-IDF with a linear reduction, as arrays that are stored and loaded without code."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from pvm_core.arrays import F32
from pvm_core.errors import ModelError
from pvm_core.text_vectors.tokens import VERSION, tokens

#: Numbers of a vector: `VECTOR_DIMENSION` of the founding document.
DIM: Final = 384
#: Numbers of the vector of a word that no model knows that are not zero. Two such words share one of their
#: places with a probability of about 8 * 8 / 384 = 0.17, and their cosine is then 1/8.
_SPREAD: Final = 8
_FORM: Final = "1"


@dataclass(frozen=True, eq=False)
class TextModel:
    """TF-IDF and a reduction (latent semantic analysis, Deerwester et al. 1990).

    A token that the vocabulary lacks takes a direction of its own, made of its letters (feature hashing:
    Weinberger et al. 2009), with the weight of the rarest token. So a model without vocabulary serves from
    the first product on, and a new product of new words is never without a vector.

    Attributes:
        vocabulary: token -> row.
        idf: float32 (V,), inverse document frequency.
        components: float16 (V, DIM), what each token adds to a vector.
        products: products it was fitted on.
        unknown_idf: weight of a token that the vocabulary lacks.
    """

    vocabulary: Mapping[str, int] = field(default_factory=dict)
    idf: F32 = field(default_factory=lambda: np.zeros(0, np.float32))
    components: np.ndarray[Any, np.dtype[np.float16]] = field(
        default_factory=lambda: np.zeros((0, DIM), np.float16)
    )
    products: int = 0
    unknown_idf: float = 1.0

    @cached_property
    def key(self) -> str:
        """Names the model by its content: ``tfidf-<16 hex digits>``; vectors of two keys never meet."""
        digest = hashlib.sha256(f"{_FORM}|{VERSION}|{DIM}|{_SPREAD}|{self.unknown_idf:.6f}|".encode())
        digest.update("\x1f".join(self.vocabulary).encode())
        digest.update(np.ascontiguousarray(self.idf).tobytes())
        digest.update(np.ascontiguousarray(self.components).tobytes())
        return f"tfidf-{digest.hexdigest()[:16]}"

    def vectors(self, texts: Iterable[str]) -> F32:
        """Vectors of texts: float32 (N, DIM), unit rows; white space alone is a row of zeros."""
        rows = [self.vector(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, DIM), np.float32)

    def vector(self, text: str) -> F32:
        """The vector of a text: float32 (DIM,), unit length; zeros where it is white space alone. A text
        without a letter or a digit is one token."""
        found = np.zeros(DIM, np.float64)
        rows: list[int] = []
        weights: list[float] = []
        words = Counter(tokens(text)) or Counter(filter(None, [text.strip()]))
        for token, count in words.items():
            # Sublinear: what stands ten times is not ten times as telling.
            weight = 1.0 + float(np.log(count))
            row = self.vocabulary.get(token)
            if row is None:
                found += weight * self.unknown_idf * _hashed(token)
            else:
                rows.append(row)
                weights.append(weight * float(self.idf[row]))
        if rows:
            found += np.asarray(weights) @ self.components[rows].astype(np.float32)
        length = float(np.linalg.norm(found))
        return (found / length if length else found).astype(np.float32)

    def to_bytes(self) -> bytes:
        """The model as a file: a compressed npz without pickled objects."""
        about = {"form": _FORM, "tokens": VERSION, "products": self.products, "unknown": self.unknown_idf}
        words = json.dumps(list(self.vocabulary), ensure_ascii=False).encode()
        file = io.BytesIO()
        np.savez_compressed(
            file, idf=self.idf, components=self.components, words=np.frombuffer(words, np.uint8),
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        )  # fmt: skip
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, subject: str) -> TextModel:
        """The model of `to_bytes`.

        Raises:
            ModelError: ``model.form``: it is damaged, or of another version of this program.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                words = json.loads(file["words"].tobytes())
                idf, components = file["idf"], file["components"]
            if (about["form"], about["tokens"]) != (_FORM, VERSION):
                raise ValueError("another version")
            if not len(words) == len(idf) == len(components) or components.shape[1:] != (DIM,):
                raise ValueError("its parts do not fit together")
        except (ValueError, KeyError, OSError, EOFError, BadZipFile, zlib.error) as error:
            reason = f"it is no text model of this version ({error})"
            raise ModelError("model.form", subject, reason, "Materialise text_model again") from error
        vocabulary = {word: n for n, word in enumerate(words)}
        return cls(vocabulary, idf, components, int(about["products"]), float(about["unknown"]))


@lru_cache(maxsize=20_000)
def _hashed(token: str) -> F32:
    """The direction of a token that no model knows: float32 (DIM,), unit length."""
    digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=4 * _SPREAD).digest()
    parts = np.frombuffer(digest, np.uint32)
    found = np.zeros(DIM, np.float32)
    np.add.at(found, (parts >> 1) % DIM, np.where(parts & 1, 1.0, -1.0))
    length = float(np.linalg.norm(found))
    if not length:
        # Places that met and took each other away: one of them stands.
        found[int(parts[0] >> 1) % DIM] = length = 1.0
    return found / np.float32(length)
