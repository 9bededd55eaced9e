"""The content of a folder to be measured: a photo set or a case."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from pvm_core.errors import InputError
from pvm_core.file_type import VIDEO_SUFFIXES
from pvm_core.spreadsheet import unguarded

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class ProductPicture:
    """A catalogue picture: its product, its name within the folder, its file."""

    product: str
    name: str
    path: Path


@dataclass(frozen=True)
class PhotoSet:
    """Pairs of photos.

    Attributes:
        name: of the folder.
        products: the reference pictures; each is a product of its own unless the table names products.
        scenes: the photos in which products are searched.
        positives: (product, scene name) of the true pairs.
        negatives: (product, scene name) of the false pairs; None: every other combination is false.
    """

    name: str
    products: tuple[ProductPicture, ...]
    scenes: tuple[Path, ...]
    positives: frozenset[tuple[str, str]]
    negatives: frozenset[tuple[str, str]] | None = None

    def label(self, product: str, scene: str) -> bool | None:
        """Whether the scene shows the product; None where that is not known."""
        if (product, scene) in self.positives:
            return True
        return False if self.negatives is None or (product, scene) in self.negatives else None


@dataclass(frozen=True)
class CaseFolder:
    """A catalogue and clips.

    Attributes:
        name: of the folder.
        products: the catalogue's pictures.
        videos: the clips; a video's name is its file name without suffix.
        truth: (product, video) of which the clip shows the product on purpose.
        background: (product, video) also visible, neither wanted nor wrong.
    """

    name: str
    products: tuple[ProductPicture, ...]
    videos: tuple[Path, ...]
    truth: frozenset[tuple[str, str]]
    background: frozenset[tuple[str, str]]

    def label(self, product: str, video: str) -> bool | None:
        """Whether the video shows the product on purpose; None where it is in the background."""
        if (product, video) in self.truth:
            return True
        return None if (product, video) in self.background else False


def open_folder(path: Path) -> PhotoSet | CaseFolder:
    """A photo set (`pairs.csv`, `reference/`, `scene/`) or a case (`products.csv`, `truth.csv`, `videos/`).

    Raises:
        InputError: `evaluate.folder` where it is neither, `evaluate.empty` where it holds nothing to measure,
            `evaluate.columns` where a table lacks a column.
    """
    if (path / "pairs.csv").is_file():
        return _photo_set(path)
    if (path / "truth.csv").is_file() and (path / "products.csv").is_file():
        return _case(path)
    raise InputError(
        "evaluate.folder",
        str(path),
        "is neither a photo set (pairs.csv, reference/, scene/) nor a case (products.csv, truth.csv)",
        "Name a folder of either kind",
    )


def _photo_set(path: Path) -> PhotoSet:
    rows = _rows(path / "pairs.csv", ("reference", "scene"))
    references = sorted(p for p in (path / "reference").glob("*") if p.suffix.lower() in _PICTURES)
    owner = {Path(r["reference"]).name: r["product"] for r in rows if r.get("product")}
    products = tuple(ProductPicture(owner.get(p.name, p.name), p.name, p) for p in references)
    # Labels that people gave (`pvm labels export`) judge single pairs and say nothing of the others.
    judged = bool(rows) and "verdict" in rows[0]
    labels: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    for row in rows:
        name = Path(row["reference"]).name
        true = row["verdict"] == "accept" if judged else row.get("label", "1") != "0"
        labels[true].add((owner.get(name, name), Path(row["scene"]).name))
    names = {scene for _, scene in labels[True] | (labels[False] if judged else set())}
    scenes = tuple(sorted(p for p in (path / "scene").glob("*") if p.name in names))
    _not_empty(path, products, scenes)
    negatives = frozenset(labels[False] - labels[True]) if judged else None
    return PhotoSet(path.name, products, scenes, frozenset(labels[True]), negatives)


def _case(path: Path) -> CaseFolder:
    catalogue = _rows(path / "products.csv", ("product_id", "image"))
    products = tuple(ProductPicture(r["product_id"], r["image"], path / r["image"]) for r in catalogue)
    videos = tuple(sorted(p for p in (path / "videos").rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES))
    background = path / "background.csv"
    _not_empty(path, products, videos)
    return CaseFolder(
        path.name,
        products,
        videos,
        truth=_named_pairs(path / "truth.csv"),
        background=_named_pairs(background) if background.is_file() else frozenset(),
    )


def _named_pairs(path: Path) -> frozenset[tuple[str, str]]:
    return frozenset((r["product_id"], r["video_id"]) for r in _rows(path, ("product_id", "video_id")))


def _not_empty(path: Path, products: tuple[ProductPicture, ...], others: tuple[Path, ...]) -> None:
    if not products or not others:
        what = "product pictures" if not products else "scenes or videos"
        raise InputError("evaluate.empty", str(path), f"holds no {what}", "Name a folder that holds some")


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                "evaluate.columns", str(path), f"lacks the column {missing[0]}", f"Give {', '.join(columns)}"
            )
        # Fields beyond the header's are a list, under no name.
        return [
            {name: unguarded(text) for name, text in row.items() if isinstance(text, str)} for row in reader
        ]
