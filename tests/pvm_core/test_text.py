"""Words on packs: reading, comparing, and what they decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pvm_core.arrays import U8
from pvm_core.errors import ModelError
from pvm_core.rules import Rules
from pvm_core.scoring.pair import PairScore, Words
from pvm_core.scoring.word_term import is_told, to_read, words_of
from pvm_core.text import Line, choose_reader, load_reader
from pvm_core.verification import PairEvidence, evidence_from_row, evidence_to_row
from pvm_core.verification.word_evidence import WordEvidence, rarities
from pvm_core.verification.words import compare_words, fold, read_place, read_product, tell_words
from tests.pvm_core.prints import TILTED, label, place
from tests.pvm_core.test_decision import one, pair

HALF = np.diag([0.5, 0.5, 1.0])


def line(text: str, x: float, y: float, *, tall: float = 30.0, score: float = 0.99) -> Line:
    wide = 0.6 * tall * len(text)
    return Line(text, (x, y, x + wide, y, x + wide, y + tall, x, y + tall), score)


def in_frame(*lines: Line) -> list[Line]:
    return [replace(one, at=tuple(0.5 * v for v in one.at)) for one in lines]


PACK = [line("Daxano", 100, 40, tall=60), line("Trà thảo mộc", 90, 140), line("Mint", 150, 220)]


def against(*lines: Line, pack: Sequence[Line] = PACK) -> tuple[str, ...]:
    return compare_words(pack, in_frame(*lines), HALF).against


def test_another_word_in_a_words_place_speaks_against_a_sibling() -> None:
    found = compare_words(PACK, in_frame(*PACK[:2], line("Hibiscus", 120, 222)), HALF)
    assert found.against == ("mint", "hibiscus")
    assert found.seen == ("daxano", "tra", "thao", "moc")
    assert found.carried == ("daxano", "tra", "thao", "moc", "mint")
    assert found.at is not None
    assert np.reshape(found.at, (4, 2)).min(axis=0) == pytest.approx((150, 220))


@pytest.mark.parametrize("other", ["Jasmine", "Moka", "Ginger", "Aloe vera"])
def test_a_word_that_holds_some_of_its_letters_is_another_one(other: str) -> None:
    assert against(*PACK[:2], line(other, 130, 222))[0] == "mint"


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ([], "nothing is read there"),
        ([line("Mint", 150, 220)], "the word itself"),
        ([line("MIMT", 150, 220)], "the word, misread"),
        ([line("Mnt fresh", 140, 220)], "the word, in a longer line"),
        ([line("Hibiscus", 120, 222, score=0.7)], "another word that may be read wrongly"),
        ([line("Hibiscus", 120, 222, tall=12)], "another word too small to be legible"),
        ([line("Hibiscus", 120, 300)], "another word elsewhere"),
        ([line("Hibiscus", 100, 195, tall=80)], "larger print over the place"),
        ([line("Daxano", 150, 222)], "a word that the pack has, if not there"),
        ([line("Mint", 150, 210), line("Freshness", 130, 224)], "the word beside another one"),
        ([line("330 ml", 150, 222)], "figures"),
    ],
)
def test_what_else_stands_there_says_nothing(shown: list[Line], why: str) -> None:
    near = [line("Daxano", 150, 170), *PACK[1:]] if why.startswith("a word that") else PACK
    assert against(*shown, pack=near) == (), why


def test_a_word_that_the_product_picture_does_not_show_clearly_is_not_asked_for() -> None:
    blurred = [*PACK[:2], line("Mint", 150, 220, score=0.6)]
    assert against(line("Hibiscus", 120, 222), pack=blurred) == ()


def test_words_are_compared_without_case_accents_and_spaces() -> None:
    assert fold("Trà thảo MỘC – 20 g") == "trathaomoc20g"


def test_a_word_on_one_product_is_rare_and_one_on_all_is_worth_nothing() -> None:
    known = rarities([("a", ["acme", "mint"]), ("b", ["acme", "lemon"]), ("b", ["acme"]), ("c", ["acme"])])
    assert known["acme"] == 0.0
    assert known["mint"] == known["lemon"] == 1.0


def test_a_badge_that_most_products_carry_speaks_against_none() -> None:
    read = PairEvidence(90, 60, words=WordEvidence(("new", "mint"), ("mint",), ("new", "sale")))
    common, rare = {"new": 0.1, "mint": 1.0}, {"new": 0.9, "mint": 1.0}
    assert words_of(read, Rules(), common) == Words(frozenset({"new", "mint"}), (("mint", 1.0),))
    told = words_of(read, Rules(), rare)
    assert told is not None
    assert told.against == ("new", "sale")
    assert words_of(read, replace(Rules(), word_term=False), rare) is None


MINT = Words(frozenset({"acme", "tea", "mint"}), (("acme", 0.0), ("mint", 1.0)))
LEMON = Words(frozenset({"acme", "tea", "lemon"}), (("acme", 0.0),))
PLACE = (0.0, 0.0, 100.0, 0.0, 100.0, 200.0, 0.0, 200.0)


def read(given: PairScore, words: Words) -> PairScore:
    return replace(given, words=words)


def test_another_word_holds_a_match_for_review_and_says_which() -> None:
    held = one([read(pair("A", "f", 0.97), replace(LEMON, against=("lemon", "mint")))], "A", Rules())
    assert (held.status, held.reason.code) == ("review", "word.differs")
    assert "“mint”" in held.reason.text()
    assert "“lemon”" in held.reason.text()


def test_what_one_frame_reads_holds_for_its_shot_and_for_no_other() -> None:
    other = read(pair("A", "f", 0.95), replace(LEMON, against=("lemon", "mint")))
    assert one([other, pair("A", "ff", 0.97)], "A", Rules()).status == "review"
    assert one([other, pair("A", "ff", 0.97, shot=1)], "A", Rules()).status == "accepted"


def test_words_that_one_sibling_alone_carries_decide_between_two() -> None:
    right = pair("A", "f", 0.93, footprint=PLACE)
    wrong = pair("B", "f", 0.96, footprint=PLACE)
    assert one([right, wrong], "A", Rules()).status == one([right, wrong], "B", Rules()).status == "review"
    told = [read(right, MINT), read(wrong, LEMON)]
    assert one(told, "A", Rules()).status == "accepted"
    assert (one(told, "B", Rules()).status, one(told, "B", Rules()).reason.code) == ("review", "rival")
    assert not is_told(MINT, MINT)
    assert not is_told(MINT, None)


PLACED = PairEvidence(90, 60, transform=tuple(HALF.ravel()), print_mid=0.8)


def test_one_frame_of_a_match_is_read_with_its_rivals_and_another_where_words_speak_against_it() -> None:
    first, again = pair("A", "f", 0.96), pair("A", "ff", 0.95)
    later, rival, weak = pair("A", "fff", 0.9, shot=1), pair("B", "f", 0.91), pair("C", "f", 0.4)
    rest = [(p, PLACED) for p in (again, later, rival, weak)]
    assert to_read([(first, PLACED), *rest], Rules(), {}) == [first, rival]
    told = [(read(rival, MINT), PLACED), *((p, PLACED) for p in (again, later, weak))]
    assert to_read([(read(first, MINT), PLACED), *told], Rules(), {}) == []
    wrong = read(first, replace(MINT, against=("mint", "lemon")))
    assert to_read([(wrong, PLACED), *told], Rules(), {}) == [later]
    assert to_read([(first, replace(PLACED, print_mid=0.1))], Rules(), {}) == []
    assert to_read([(first, PLACED)], replace(Rules(), word_term=False), {}) == []


def test_words_go_through_json_unchanged() -> None:
    for words in (
        WordEvidence(),
        WordEvidence(("mint",), (), ("mint", "lemon"), tuple(map(float, range(8)))),
    ):
        found = PairEvidence(9, 5, words=words)
        assert evidence_from_row(json.loads(json.dumps(evidence_to_row(found)))) == found


def test_an_unknown_reader_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        choose_reader("tesseract")
    assert caught.value.code == "model.unknown"
    assert load_reader("none") is None


def front(word: str) -> U8:
    made = np.full((480, 360, 3), (235, 240, 250), np.uint8)
    cv2.rectangle(made, (20, 20), (340, 460), (40, 90, 160), 8)
    for text, y in (("ACME", 120), (word, 300)):
        cv2.putText(made, text, (50, y), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (20, 30, 60), 4, cv2.LINE_AA)
    return made


@pytest.mark.models
def test_a_real_reader_tells_a_sibling_by_its_word_in_a_tilted_view() -> None:
    pytest.importorskip("rapidocr")
    reader = load_reader("auto")
    assert reader is not None
    frame, matrix = place(front("GINGER"), TILTED)
    big = cv2.resize(frame, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    matrix = np.diag([1.5, 1.5, 1.0]) @ matrix
    lines = read_place(reader, big, matrix, (480, 360))
    true, sibling = (
        compare_words(read_product(reader, front(word)), lines, matrix) for word in ("GINGER", "LEMON")
    )
    assert true.seen == ("acme", "ginger")
    assert true.against == ()
    assert sibling.against == ("lemon", "ginger")


class Said:
    """A reader that was told what it reads."""

    name = key = "said"

    def __init__(self, *lines: Line) -> None:
        self.lines = lines

    def read(self, rgb: U8) -> Sequence[Line]:
        return self.lines


def test_a_word_on_a_banner_over_the_catalogue_picture_speaks_against_nothing() -> None:
    bare = label(2)
    frame, matrix = place(bare, TILTED)
    banner = bare.copy()
    cv2.rectangle(banner, (30, 120), (215, 205), (250, 220, 40), -1)
    word = line("FREESHIP", 40, 145)
    # Read at three times the picture's size.
    other = replace(line("ORGANIC", 45, 145), at=tuple(2.5 * v for v in line("ORGANIC", 45, 145).at))
    told = tell_words([word], banner, Said(other), frame, matrix)
    assert told.carried == ("freeship",)
    assert told.against == ()
    assert tell_words([word], bare, Said(other), frame, matrix).against == ("freeship", "organic")
