"""What words decide, and which pairs they are read of.

Packs of one family agree in place, edges and often colour; a word tells them apart. Reading costs as much as
comparing a frame with a hundred products, so it is done of the pair that would carry a match, and of those
that come within the margin of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pvm_core.rules import Rules
from pvm_core.scoring.pair import PairScore, Words
from pvm_core.verification import PairEvidence
from pvm_core.verification.word_evidence import rarity_of

#: Agreeing points and print from which a pair may be a sibling's: without print no word is legible.
READ_INLIERS: Final = 10
READ_PRINT: Final = 0.4
#: Rarity from which another word in a word's place speaks against a product: what half of a catalogue of ten
#: carries (a badge, a size) has 0.3.
RARE: Final = 0.3
#: Times that a video is looked at for further pairs to read: where the words of a match's best shot speak
#: against it, the next one carries it.
READ_ROUNDS: Final = 3
#: Lead in rarity of words that one sibling alone carries, by which they decide between two.
LEAD: Final = 0.5


def words_of(evidence: PairEvidence, rules: Rules, rarity: Mapping[str, float]) -> Words | None:
    """What words say about a pair; None where they were not read or the rules leave them out."""
    read = evidence.words
    if read is None or not rules.word_term:
        return None
    against = read.against if read.against and rarity_of(read.against[0], rarity) >= RARE else ()
    weigh = {word: rarity_of(word, rarity) for word in read.carried}
    return Words(frozenset(read.carried), tuple((w, weigh.get(w, 1.0)) for w in read.seen), against)


def is_told(one: Words | None, other: Words | None) -> bool:
    """Whether the frame shows words that one of two rivals alone carries, and they outweigh the reverse."""
    if one is None or other is None or one.against:
        return False
    return bool(other.against) or _alone(one, other) - _alone(other, one) >= LEAD


def _alone(one: Words, other: Words) -> float:
    return sum(weight for word, weight in one.seen if word not in other.carried)


def is_read(score: PairScore, evidence: PairEvidence, rules: Rules) -> bool:
    """Whether the words of a pair are to be read: print places it, and it would carry or contest a match."""
    if not rules.word_term or evidence.transform is None or evidence.mirrored:
        return False
    if evidence.inliers < READ_INLIERS or (evidence.print_mid or 0.0) < READ_PRINT:
        return False
    return (score.score_pair or 0.0) >= rules.accept - rules.sibling_margin and score.recolour is None


def to_read(
    pairs: Sequence[tuple[PairScore, PairEvidence]],
    rules: Rules,
    groups: Mapping[uuid.UUID, uuid.UUID],
) -> list[PairScore]:
    """Pairs of one video whose words are to be read next, none where nothing is left.

    Of each product the pair that would carry its match, where its shot was not read; and in the same frame
    those of its rivals.
    """
    told = {(p.shot, groups.get(p.product_id, p.product_id)): p for p, _ in pairs if p.words is not None}
    open_pairs = [p for p, evidence in pairs if p.words is None and is_read(p, evidence, rules)]
    open_pairs.sort(key=lambda p: (-(p.score_pair or 0.0), str(p.img_id)))
    best: dict[uuid.UUID, PairScore] = {}
    for pair in sorted([*open_pairs, *_standing(told.values())], key=lambda p: -(p.score_pair or 0.0)):
        owner = groups.get(pair.product_id, pair.product_id)
        seen = told.get((pair.shot, owner))
        if seen is None or not seen.differs:
            best.setdefault(owner, pair)
    frames = {p.frame_id for o, p in best.items() if p.words is None and (p.shot, o) not in told}
    chosen: dict[tuple[uuid.UUID | None, uuid.UUID], PairScore] = {}
    for pair in open_pairs:
        owner = groups.get(pair.product_id, pair.product_id)
        if pair.frame_id in frames and (pair.shot, owner) not in told:
            chosen.setdefault((pair.frame_id, owner), pair)
    return list(chosen.values())


def _standing(read: Iterable[PairScore]) -> list[PairScore]:
    return [pair for pair in read if not pair.differs]
