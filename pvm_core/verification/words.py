"""Reading a frame in a product picture's geometry, and comparing what both say.

A word that reads clearly in the product picture, and whose place in the frame reads clearly as another word,
speaks against the pair: a sibling of another flavour. What is missing or cannot be read says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from anyascii import anyascii
from rapidfuzz.distance import Levenshtein

from pvm_core.arrays import F64, U8
from pvm_core.text.reader import Line, Reader
from pvm_core.verification.overlay import overlays
from pvm_core.verification.word_evidence import WordEvidence

#: Longest side, pixels, to which a picture is enlarged before it is read, by at most `ENLARGED`: packs of a
#: shop's pictures have words of 10 pixels, and recognition wants 48.
READ_SIDE: Final = 800
ENLARGED: Final = 3.0
#: Confidence and height, pixels of the picture itself, from which a line is legible.
LEGIBLE: Final = 0.9
LEGIBLE_PX: Final = 7.0
#: Letters of a word that says something; longer ones are lines of small print without spaces.
LETTERS: Final = (3, 18)
#: Similarity by edit distance (Levenshtein 1966) over the longer word, from which two words are the same, and
#: up to which they are different ones; a misread word lies between.
SAME: Final = 0.75
OTHER: Final = 0.45
#: What the best piece of a longer line may have in common with a word by chance.
CHANCE: Final = 0.55
#: A line so many times as long as a word may hold it without spaces (``jasmine`` is no misread ``mint``); one
#: of so many letters, and of this share of a word's, may be what is left of it, a shorter one if exactly so.
RUNS_ON: Final = 2.0
BROKEN_LETTERS: Final = 5
BROKEN: Final = 0.5
#: Two words stand in one place where their middles are within this share of their height, their widths
#: overlap by this share of the smaller, and their heights are within this factor; a word is looked for within
#: this many heights of where it should be.
LEVEL: Final = 0.5
BESIDE: Final = 0.5
AS_TALL: Final = 1.5
NEAR: Final = 2.0


#: Longest side, pixels, at which overlays are looked for, and share of a word's place that one covers.
OVERLAY_SIDE: Final = 224
COVERED: Final = 0.3


@dataclass(frozen=True)
class _Word:
    text: str
    middle: tuple[float, float]
    width: float
    height: float
    at: tuple[float, ...]


def read_product(reader: Reader, rgb: U8) -> list[Line]:
    """The lines of a catalogue picture, in its pixels."""
    import cv2

    factor = _factor(rgb.shape[0], rgb.shape[1])
    way = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
    found = reader.read(cast("U8", cv2.resize(rgb, size, interpolation=way)))
    return [Line(one.text, tuple(v / factor for v in one.at), one.score) for one in found]


def read_place(reader: Reader, frame: U8, matrix: F64, size: tuple[int, int]) -> list[Line]:
    """The lines of a frame where a product is, laid into the product picture's geometry; in frame pixels.

    Args:
        matrix: (3, 3) product pixels -> frame pixels.
        size: (height, width) of the product picture.
    """
    import cv2

    factor = _factor(*size)
    to_frame = matrix @ np.diag([1 / factor, 1 / factor, 1.0])
    canvas = (max(1, round(size[1] * factor)), max(1, round(size[0] * factor)))
    laid = cv2.warpPerspective(frame, to_frame, canvas, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC)
    found = reader.read(cast("U8", laid))
    return [Line(one.text, _moved(one.at, to_frame), one.score) for one in found]


def compare_words(product: Sequence[Line], frame: Sequence[Line], matrix: F64) -> WordEvidence:
    """What the lines of a frame say about a product picture.

    Args:
        product: in product pixels; frame: in frame pixels.
        matrix: (3, 3) product pixels -> frame pixels.
    """
    back = cast("F64", np.linalg.inv(matrix))
    laid = [Line(line.text, _moved(line.at, back), line.score) for line in frame]
    carried = [word for line in product if _legible(line) for word in _words(line)]
    legible = [there for line, there in zip(frame, laid, strict=True) if _legible(line)]
    shown = [word for line in legible for word in _words(line)]
    found = [(word, _read_near(word, laid)) for word in carried]
    names = tuple(dict.fromkeys(word.text for word in carried))
    seen = tuple(dict.fromkeys(word.text for word, likeness in found if likeness >= SAME))
    for word, likeness in found:
        for other in shown if likeness <= CHANCE else ():
            apart = alike(word.text, other.text) <= OTHER and _read_near(other, product) <= CHANCE
            if apart and _same_place(word, other):
                return WordEvidence(names, seen, (word.text, other.text), word.at)
    return WordEvidence(names, seen)


def tell_words(
    product: Sequence[Line], product_rgb: U8, reader: Reader, frame_rgb: U8, matrix: F64
) -> WordEvidence:
    """What the words of a frame say about a product picture whose lines are known. What stands on a banner or
    a sticker over one of the two speaks against nothing.

    Args:
        matrix: (3, 3) product pixels -> frame pixels.
    """
    lines = read_place(reader, frame_rgb, matrix, (product_rgb.shape[0], product_rgb.shape[1]))
    words = compare_words(product, lines, matrix)
    if words.at is None or not _is_covered(words.at, product_rgb, frame_rgb, matrix):
        return words
    return WordEvidence(words.carried, words.seen)


def _is_covered(at: tuple[float, ...], product: U8, frame: U8, matrix: F64) -> bool:
    """Whether an overlay on either picture lies where a word stands."""
    import cv2

    factor = min(1.0, OVERLAY_SIDE / max(product.shape[:2]))
    size = (max(16, round(product.shape[1] * factor)), max(16, round(product.shape[0] * factor)))
    model = cast("U8", cv2.resize(product, size, interpolation=cv2.INTER_AREA))
    to_frame = matrix @ np.diag([1 / factor, 1 / factor, 1.0])
    warped, seen = (
        cv2.warpPerspective(picture, to_frame, size, flags=cv2.WARP_INVERSE_MAP | way)
        for picture, way in (
            (frame, cv2.INTER_LINEAR),
            (np.full(frame.shape[:2], 255, np.uint8), cv2.INTER_NEAREST),
        )
    )
    covered = overlays(model, cast("U8", warped), np.asarray(seen > 0))
    place = np.zeros(covered.shape, np.uint8)
    cv2.fillConvexPoly(place, np.round(np.reshape(at, (4, 2)) * factor).astype(np.int32), (1,))
    return bool(covered[place > 0].mean() > COVERED) if place.any() else False


def fold(text: str) -> str:
    """Letters and digits alone, lower case, in ASCII: accents are what readers lose first."""
    return "".join(c for c in anyascii(text).lower() if c.isalnum())


def alike(one: str, other: str) -> float:
    """Similarity of two folded words, [0, 1]."""
    return float(Levenshtein.normalized_similarity(one, other))


def _read_near(word: _Word, lines: Sequence[Line]) -> float:
    """How like the word the text around its place is, [0, 1]."""
    near = (line for line in lines if abs(_middle(line) - word.middle[1]) <= NEAR * word.height)
    return max((_within(word.text, fold(line.text)) for line in near), default=0.0)


def _within(word: str, line: str) -> float:
    """How well a folded word stands somewhere in a folded line, or a piece of it is all that is read."""
    best = alike(word, line)
    if len(line) >= LETTERS[0] and line in word:
        return 1.0
    short, whole = sorted((word, line), key=len)
    runs_on = short == word and len(line) >= RUNS_ON * len(word)
    broken = short == line and len(line) >= max(BROKEN_LETTERS, BROKEN * len(word))
    if not runs_on and not broken:
        return best
    sizes = range(len(short) - 1, min(len(whole), len(short) + 1) + 1)
    pieces = (whole[at : at + size] for size in sizes for at in range(len(whole) - size + 1))
    return max([best, *(alike(short, piece) for piece in pieces)])


def _middle(line: Line) -> float:
    return sum(line.at[1::2]) / 4


def _factor(height: int, width: int) -> float:
    return min(ENLARGED, READ_SIDE / max(height, width))


def _moved(at: tuple[float, ...], matrix: F64) -> tuple[float, ...]:
    import cv2

    corners = np.array(at, np.float64).reshape(1, -1, 2)
    return tuple(round(float(v), 1) for v in cv2.perspectiveTransform(corners, matrix).ravel())


def _legible(line: Line) -> bool:
    corners = np.array(line.at).reshape(4, 2)
    tall = float(np.hypot(*(corners[3] - corners[0])) + np.hypot(*(corners[2] - corners[1]))) / 2
    return line.score >= LEGIBLE and tall >= LEGIBLE_PX


def _words(line: Line) -> list[_Word]:
    """The words of a line that say something, each with its part of the line's box."""
    corners = np.array(line.at).reshape(4, 2)
    found, start = [], 0
    for part in line.text.split(" "):
        text, end = fold(part), start + len(part)
        letters = sum(c.isalpha() for c in text)
        if LETTERS[0] <= len(text) <= LETTERS[1] and letters >= max(LETTERS[0], 0.6 * len(text)):
            found.append(_word(text, corners, start / len(line.text), end / len(line.text)))
        start = end + 1
    return found


def _word(text: str, corners: F64, begin: float, end: float) -> _Word:
    top, low = corners[1] - corners[0], corners[2] - corners[3]
    box = np.array(
        [corners[0] + begin * top, corners[0] + end * top, corners[3] + end * low, corners[3] + begin * low]
    )
    x, y = box.mean(axis=0)
    width, height = (float(v) for v in np.ptp(box, axis=0))
    return _Word(text, (float(x), float(y)), width, height, tuple(round(float(v), 1) for v in box.ravel()))


def _same_place(one: _Word, other: _Word) -> bool:
    tall, low = max(one.height, other.height), min(one.height, other.height)
    if tall > AS_TALL * low or abs(one.middle[1] - other.middle[1]) > LEVEL * low:
        return False
    reach = (one.width + other.width) / 2 - abs(one.middle[0] - other.middle[0])
    return reach >= BESIDE * min(one.width, other.width)
