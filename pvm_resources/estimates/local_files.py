"""What files of this machine hold, counted in processes of their own: no frame and no picture is decoded."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pvm_core import ids
from pvm_core.errors import MediaError
from pvm_resources.sources.base import Query
from pvm_resources.sources.confined import Confinement, held


@dataclass(frozen=True)
class FileTask:
    """A catalogue, or a folder of clips.

    Attributes:
        namespace: what a catalogue's ids are unique within.
        columns: columns that the user named, by field.
    """

    path: Path
    confinement: Confinement
    namespace: str = ""
    columns: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Clip:
    """A video file: its place, links followed, its size in bytes and its time of change, seconds."""

    path: Path
    size: int
    mtime: float


def products_in(_: object, task: FileTask) -> list[tuple[uuid.UUID, tuple[str, ...]]]:
    """The products of a catalogue with the references of their pictures.

    Raises:
        InputError: it cannot be used as a whole.
    """
    from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

    source = FileCatalogue(task.path, task.namespace, task.confinement, task.columns)
    found = {
        ids.product_id(one.namespace, one.external_id): tuple(picture.ref for picture in one.pictures)
        for one in source.collect(Query("")).records
    }
    return list(found.items())


def clips_in(_: object, task: FileTask) -> list[Clip]:
    """The clips of a folder.

    Raises:
        InputError: there are none.
    """
    from pvm_resources.sources.folder.videos import FolderVideos

    records = FolderVideos(task.path, task.confinement).collect(Query("")).records
    return [
        Clip(one.path, one.size or 0, (one.modified_ns or 0) / 1e9) for one in records if one.path is not None
    ]


def length_of(_: object, path: Path) -> float:
    """Seconds of a clip as its container states them; 0 where it states none.

    Raises:
        MediaError: it is no video.
    """
    from pvm_core.video.animation import is_animation
    from pvm_core.video.container import declared_length

    try:
        with held(path) as place:
            # Only reading an animation to its end says how long it is.
            return 0.0 if is_animation(place) else declared_length(place)
    except OSError as error:
        raise MediaError("video.missing", path.name, f"it cannot be read ({error.strerror})", "") from error


def spread_out(clips: Sequence[Clip], most: int) -> list[Clip]:
    """At most so many of the clips, evenly from the smallest to the largest."""
    if len(clips) <= most:
        return list(clips)
    by_size = sorted(clips, key=lambda clip: (clip.size, str(clip.path)))
    return [by_size[(2 * n + 1) * len(by_size) // (2 * most)] for n in range(most)]
