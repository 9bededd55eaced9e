"""Labels as a folder for `pvm evaluate --fit`: the stored pictures they were given on, and who shows whom."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pvm_core.errors import InputError, StoreError
from pvm_core.spreadsheet import guarded
from pvm_jobs.source_policy import Policies
from pvm_resources.media.store import MediaStore
from pvm_resources.store.labels import Judged


@dataclass(frozen=True)
class Exported:
    """What became of the labels.

    Attributes:
        accepted, rejected: labels written, one line of `pairs.csv` each.
        forbidden: left out because a source's terms forbid learning, by source.
        gone: left out because a picture they were given on is no longer kept.
    """

    accepted: int = 0
    rejected: int = 0
    forbidden: dict[str, int] = field(default_factory=dict)
    gone: int = 0


def export_labels(judged: Iterable[Judged], media: MediaStore, policies: Policies, folder: Path) -> Exported:
    """Writes `reference/`, `scene/` and `pairs.csv` with the columns reference, scene, product, verdict.

    Only these pairs are judged: of a product and a frame that stand in no line nothing is known. A label is
    left out where the terms forbade learning when it was given, and where they forbid it now.

    Args:
        folder: made where it is not there.

    Raises:
        InputError: ``labels.folder``: it holds files, or cannot be written.
        StoreError: the media store is out of reach.
    """
    rows: list[tuple[str, str, str, str]] = []
    forbidden: dict[str, int] = {}
    gone = 0
    try:
        _ready(folder)
        for one in judged:
            if (source := policies.forbidding(one.source, one.platform, then=one.may_train)) is not None:
                forbidden[source] = forbidden.get(source, 0) + 1
                continue
            names = _copied(one, media, folder)
            if names is None:
                gone += 1
            else:
                rows.append((*names, str(one.product_id), one.verdict))
        with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("reference", "scene", "product", "verdict"))
            writer.writerows(map(guarded, row) for row in rows)
    except OSError as error:
        raise _unfit(folder, str(error.strerror)) from error
    accepted = sum(row[3] == "accept" for row in rows)
    return Exported(accepted, len(rows) - accepted, forbidden, gone)


def _ready(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        # Pictures of an earlier export whose terms ended meanwhile would stay among the new ones.
        raise _unfit(folder, "it holds files already")
    for name in ("reference", "scene"):
        (folder / name).mkdir()


def _copied(one: Judged, media: MediaStore, folder: Path) -> tuple[str, str] | None:
    """Names of the two pictures within the folder; None where one is gone."""
    if one.picture is None or one.frame is None:
        return None
    reference, scene = f"reference/{one.img_id}.jpg", f"scene/{one.frame_id}.jpg"
    copies: list[Callable[[], object]] = []
    for key, name in ((one.picture, reference), (one.frame, scene)):
        target = folder / name
        if target.exists():
            continue
        try:
            data = media.get(key)
        except StoreError as error:
            if error.code != "media.missing":
                raise
            return None
        copies.append(lambda target=target, data=data: target.write_bytes(data))  # type: ignore[misc]
    for copy in copies:
        copy()
    return reference, scene


def _unfit(folder: Path, reason: str) -> InputError:
    return InputError("labels.folder", str(folder), reason, "Name a folder that is empty or not there yet")
