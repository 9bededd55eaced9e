"""What in product pictures proves nothing: charts, placeholders, what pictures of several products share.

Two siblings share most of their print, and that print must go on counting. So what two pictures share in
place is discounted only where it frames them (a shop's banner, a room) while their middles differ, and a
whole picture only where the products have other pictures that differ.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import numpy as np

from pvm_core.arrays import F32, Bools, Ints
from pvm_core.picture_content import GRID, PictureContent, Role, read_content
from pvm_core.verification.types import PairEvidence, View

Id = TypeVar("Id", bound=Hashable)

#: Raise where `material_of` answers otherwise for the same catalogue.
VERSION: Final = "1"
#: Cells of the strips along the border by which pictures of one frame find each other, and their middle.
_STRIP: Final = 4
_MIDDLE: Final = slice(GRID // 4, -(GRID // 4))
#: Lab levels (OpenCV's 8 bits): two strips or pictures are the same up to this root mean square, two cells up
#: to this difference; a strip has something on it from this deviation on.
_SAME_RMS: Final = 5.0
_SAME_CELL: Final = 8.0
_DRAWN: Final = 8.0
#: Share of the middle that must differ for what surrounds it to be a frame.
_MIDDLE_DIFFERS: Final = 0.5
#: Other pictures that one is compared with cell by cell, and pictures in one matrix product.
_PARTNERS: Final = 8
_BLOCK: Final = 512
#: Cells around marked ones that count as marked: a letter's keypoint lies on its outline.
_REACH: Final = 1


@dataclass(frozen=True, eq=False)
class CataloguePicture(Generic[Id]):
    """A product picture as the catalogue knows it."""

    img_id: Id
    product_id: Hashable
    content: PictureContent


@dataclass(frozen=True, eq=False)
class Material:
    """What of one picture is not its product.

    Attributes:
        role: anything but `view` is never matched.
        marked: (GRID, GRID) bool, cells of banners and of a frame shared with other products.
    """

    role: Role
    marked: Bools

    @property
    def matched(self) -> bool:
        """Whether frames are compared with the picture."""
        return self.role == "view"

    def share(self, points: Iterable[tuple[float, float]], width: int, height: int) -> float | None:
        """Share of points (pixels of the picture, of that size) on marked cells, [0, 1]; None: none is."""
        return share_marked(self.marked, points, width, height) if self.marked.any() else None


def material_of(
    pictures: Sequence[CataloguePicture[Id]], groups: Mapping[Any, Any] | None = None
) -> dict[Id, Material]:
    """What of each picture of a catalogue is not its product.

    Args:
        groups: product -> its listing group; listings of one product share nothing that is to be discounted.
    """
    known = groups or {}
    owners = [known.get(p.product_id, p.product_id) for p in pictures]
    marked = [p.content.bands.copy() for p in pictures]
    roles: list[Role] = [p.content.role for p in pictures]
    if not pictures:
        return {}
    thumbnails = np.stack([p.content.thumbnail for p in pictures])
    views = [n for n, role in enumerate(roles) if role == "view"]
    for one, two in _framed_alike(thumbnails, views, owners):
        same = np.abs(thumbnails[one] - thumbnails[two]).max(axis=-1) < _SAME_CELL
        if same[_MIDDLE, _MIDDLE].mean() < 1 - _MIDDLE_DIFFERS:
            same[_MIDDLE, _MIDDLE] = False
            marked[one] |= same
            marked[two] |= same
    for place in _whole(thumbnails, views, owners):
        roles[place] = "shared"
    return {p.img_id: Material(roles[n], _widened(marked[n])) for n, p in enumerate(pictures)}


def _framed_alike(
    thumbnails: F32, views: Sequence[int], owners: Sequence[Hashable]
) -> Iterator[tuple[int, int]]:
    """Pairs of pictures of different owners that hold the same on a strip along the border."""
    found: set[tuple[int, int]] = set()
    for strip in (np.s_[:, :_STRIP], np.s_[:, -_STRIP:], np.s_[:, :, :_STRIP], np.s_[:, :, -_STRIP:]):
        rows = thumbnails[strip].reshape(len(thumbnails), -1, 3)
        drawn = [n for n in views if rows[n].std(axis=0).max() > _DRAWN]
        for one, two in _near(rows.reshape(len(rows), -1), drawn, owners):
            found.add((min(one, two), max(one, two)))
    yield from sorted(found)


def _near(rows: F32, chosen: Sequence[int], owners: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Each chosen row with its nearest of other owners within `_SAME_RMS`, at most `_PARTNERS`; in blocks."""
    if len(chosen) < 2:
        return
    places: Ints = np.asarray(chosen, np.intp)
    numbers = {owner: n for n, owner in enumerate(dict.fromkeys(owners))}
    owner = np.array([numbers[owners[n]] for n in chosen])
    given = rows[places].astype(np.float32)
    given = given - given.mean(axis=0)
    square = (given**2).sum(axis=1)
    limit = _SAME_RMS**2 * given.shape[1]
    for start in range(0, len(places), _BLOCK):
        block = slice(start, start + _BLOCK)
        apart = square[block, None] + square[None] - 2 * (given[block] @ given.T)
        apart[owner[block, None] == owner[None]] = np.inf
        for row, distances in enumerate(apart):
            near = np.flatnonzero(distances < limit)
            for n in near[np.argsort(distances[near], kind="stable")][:_PARTNERS]:
                yield int(places[start + row]), int(places[n])


def _whole(thumbnails: F32, views: Sequence[int], owners: Sequence[Hashable]) -> set[int]:
    """Pictures that stand in galleries of several owners whose other pictures differ."""
    alike: dict[tuple[Hashable, Hashable], set[int]] = {}
    for one, two in _near(thumbnails.reshape(len(thumbnails), -1), views, owners):
        alike.setdefault((owners[one], owners[two]), set()).add(one)
        alike.setdefault((owners[two], owners[one]), set()).add(two)
    galleries: dict[Hashable, set[int]] = {}
    for n in views:
        galleries.setdefault(owners[n], set()).add(n)
    found: set[int] = set()
    for (owner, other), common in alike.items():
        if common < galleries[owner] and alike[other, owner] < galleries[other]:
            found |= common
    # An owner whose every picture stands elsewhere keeps them: there would be nothing left to look for.
    return {n for n in found if not galleries[owners[n]] <= found}


def _widened(marked: Bools) -> Bools:
    import cv2

    side = 2 * _REACH + 1
    return cv2.dilate(marked.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def without_bands(view: View) -> View:
    """A product picture without what lies under a seller's bands: its keypoints, its place in the mask."""
    import cv2

    bands = read_content(view.rgb).bands
    if not bands.any():
        return view
    height, width = view.rgb.shape[:2]
    covered = cv2.resize(bands.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    mask = np.full((height, width), 255, np.uint8) if view.mask is None else view.mask.copy()
    mask[covered] = 0
    kp, (xs, ys) = view.keypoints, view.keypoints.xy.astype(int).T
    kept = ~covered[np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)]
    left = {name: getattr(kp, name)[kept] for name in ("xy", "scale", "angle", "response", "descriptors")}
    return View(replace(kp, **left), view.rgb, mask)


def share_marked(marked: Bools, points: Iterable[tuple[float, float]], width: int, height: int) -> float:
    """Share of points (pixels of a picture of that size) on marked cells, [0, 1]; 0 without points."""
    xy = np.array(list(points), np.float64).reshape(-1, 2)
    if not len(xy):
        return 0.0
    cells = np.clip(xy / (width, height) * GRID, 0, GRID - 1).astype(int)
    return float(marked[cells[:, 1], cells[:, 0]].mean())


def discounted(evidence: PairEvidence, share: float, gate: int) -> PairEvidence | None:
    """Evidence without what lies on shared material; None where less than `gate` inliers are left of it.

    Args:
        share: of the inliers that lie there, [0, 1].
        gate: inliers a transform needs.
    """
    if share == 0.0 or evidence.transform is None:
        return evidence
    rest = 1.0 - share
    left = round(evidence.inliers * rest)
    if left < gate:
        return None
    return replace(
        evidence,
        inliers=left,
        votes=round(evidence.votes * rest),
        mutual=round(evidence.mutual * rest),
        confirmed=None if evidence.confirmed is None else round(evidence.confirmed * rest),
    )
