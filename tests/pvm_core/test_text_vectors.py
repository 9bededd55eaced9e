"""Vectors of words: tokens of three languages, models that are fitted, stored, and serve what is new."""

from __future__ import annotations

import io
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import ModelError
from pvm_core.text_vectors.fitting import LEAST, fit, outgrown
from pvm_core.text_vectors.model import DIM, TextModel
from pvm_core.text_vectors.tokens import product_text, tokens
from pvm_demo.shop import make_shop

SHOP = make_shop(3, 300, 0)
TEXTS = [product_text(p.name, p.description, p.category) for p in SHOP.products]


def test_words_with_and_without_accents_meet() -> None:
    written, typed = set(tokens("Gối công thái học")), set(tokens("goi cong thai hoc"))
    assert {"gối", "goi", "công", "goi_cong", "thai_hoc"} <= written
    assert typed < written
    assert set(tokens("Đèn bàn")) >= {"đèn", "den", "den_ban"}
    apart = unicodedata.normalize("NFD", "Gối")
    assert list(tokens("Gối")) == list(tokens(apart)), "composed and decomposed letters are one"


def test_chinese_is_cut_into_characters_and_pairs() -> None:
    assert list(tokens("人体枕 XL")) == ["人", "体", "枕", "人体", "体枕", "xl"]


def test_english_plurals_meet_and_short_words_stay() -> None:
    assert set(tokens("Pillows, gas glass")) >= {"pillow", "gas", "glass"}
    assert list(tokens("!?  _ \u200b")) == []


@given(st.text(max_size=60))
def test_any_text_has_a_vector_of_unit_length_or_none(text: str) -> None:
    vector = TextModel().vector(text)
    length = float(np.linalg.norm(vector))
    assert vector.dtype == np.float32
    assert vector.shape == (DIM,)
    assert length == pytest.approx(1.0, abs=1e-5) if text.strip() else length == 0.0


def test_products_of_a_group_are_nearer_than_others() -> None:
    vectors = fit(TEXTS).vectors(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2.0)
    groups = np.array([p.group for p in SHOP.products])
    nearest = groups[np.argsort(-cosines, axis=1)[:, :3]]
    assert (nearest == groups[:, None]).mean() > 0.75, "of other groups are 96 in 100"


def test_a_model_is_named_by_its_content_and_comes_back_as_it_was() -> None:
    model = fit(TEXTS)
    again, other = fit(TEXTS), fit(TEXTS[:200])
    assert model.key == again.key != other.key != TextModel().key
    back = TextModel.from_bytes(model.to_bytes(), model.key)
    assert back.key == model.key
    assert back.products == 300
    np.testing.assert_array_equal(back.vectors(TEXTS[:9]), model.vectors(TEXTS[:9]))


def test_new_words_have_a_direction_of_their_own() -> None:
    model = fit(TEXTS)
    one, same, other = model.vectors(["zyxolith quargel", "Quargel Zyxolith", "flimwort brandy"])
    assert float(one @ same) > 0.6
    assert float(one @ other) < 0.4


def test_too_few_products_are_no_catalogue() -> None:
    assert len(fit(TEXTS[: LEAST - 1]).vocabulary) == 0
    assert len(fit([f"word{n}x" for n in range(LEAST)]).vocabulary) == 0, "no word stands in two"
    assert TextModel().vectors([]).shape == (0, DIM)


def test_a_model_is_outgrown_by_twice_as_many_products() -> None:
    model = TextModel(products=100)
    assert [outgrown(model, n) for n in (10, 50, 51, 199, 200)] == [False, True, False, False, True]
    assert outgrown(TextModel(), LEAST)


def test_a_damaged_model_is_refused() -> None:
    whole = fit(TEXTS).to_bytes()
    file = io.BytesIO()
    np.savez(file, idf=np.zeros(1))
    for data in (b"", b"no model", whole[: len(whole) // 2], file.getvalue()):
        with pytest.raises(ModelError, match="no text model"):
            TextModel.from_bytes(data, "m")
