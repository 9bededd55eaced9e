"""Where downloads lie: a folder a video, in which only a whole, checked video ever has a video's name."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pvm_core.errors import MediaError
from pvm_core.video import SamplingPlan, iter_sampled_frames, probe

_NAME_MAX: Final = 48
_DONE: Final = "done.json"
_WORK: Final = "part"
_LOCK: Final = ".lock"
#: Seconds between two attempts to take the lock.
_WAIT_S: Final = 0.2
#: One look at the beginning and all packets read: what shows a file that breaks off.
_WHOLE: Final = SamplingPlan(step_s=1e6, max_gap_s=1e6, max_s=math.inf)


def safe_name(text: str) -> str:
    """A file name for any text: what is plain in it, and a hash, so that no two share one."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:_NAME_MAX]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{plain}-{digest}" if plain else digest


def cancelled(subject: str) -> MediaError:
    """The error of a transfer that was stopped."""
    return MediaError("video.cancelled", subject, "fetching it was stopped", "Run the job again")


def total_note(part: Path) -> Path:
    """The file beside a part that says how many bytes the whole has."""
    return part.with_name(f"{part.name}.total")


def check_whole(path: Path) -> None:
    """Opens the video, decodes a picture and reads to the end.

    Raises:
        MediaError: it is no video, or breaks off: as `pvm_core.video.iter_sampled_frames`.
    """
    probe(path)
    for _ in iter_sampled_frames(path, _WHOLE):
        pass


class Place:
    """The folder of one video.

    ``part/`` holds an unfinished download; ``video.<ext>`` appears by one rename, once the file has
    been read to its end; ``done.json`` then says how long it is.

    Args:
        folder: of all downloads.
        platform, external_id: of the video; both may hold any text.
    """

    def __init__(self, folder: Path, platform: str, external_id: str) -> None:
        platform_name = re.sub(r"[^a-z0-9]+", "-", platform.lower()).strip("-") or "site"
        self.folder = folder / platform_name / safe_name(external_id)
        self.work = self.folder / _WORK

    def finished(self) -> Path | None:
        """The video, where it is here as ``done.json`` says; changes nothing."""
        note = self._note()
        if note is None:
            return None
        path, size = note
        try:
            if path.stat().st_size != size:
                return None
            probe(path)
        except (OSError, MediaError):
            return None
        return path

    def recovered(self) -> Path | None:
        """The video of a process that ended between rename and note; only under `locked`.

        A file that is no whole video is removed.
        """
        (self.folder / _DONE).unlink(missing_ok=True)
        for path in sorted(self.folder.glob("video.*")):
            try:
                check_whole(path)
            except MediaError:
                path.unlink(missing_ok=True)
            else:
                self._write_note(path)
                return path
        return None

    def has_part(self) -> bool:
        """Whether an earlier download left something to continue."""
        return self.work.is_dir() and any(self.work.iterdir())

    def drop_unknown(self) -> None:
        """Removes parts of which nothing says how long the whole is, so that it could be another file's."""
        for part in self.work.glob("*.part"):
            # A download in pieces keeps its own record.
            if not (total_note(part).exists() or part.with_suffix(".ytdl").exists()):
                part.unlink()

    def start_over(self) -> None:
        """Removes what a download left."""
        shutil.rmtree(self.work, ignore_errors=True)

    def keep(self, path: Path) -> Path:
        """Gives a checked file its name; the place holds nothing else then."""
        final = self.folder / f"video{_suffix(path)}"
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(final)
        self._write_note(final)
        self.start_over()
        return final

    @contextmanager
    def locked(self, stop: threading.Event, waiting: Callable[[], None]) -> Iterator[None]:
        """The lock of the place; other threads and processes wait.

        Args:
            stop: ends the wait.
            waiting: called once where another one is busy here.

        Raises:
            MediaError: ``video.cancelled``: stopped while waiting.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as handle:
            reported = False
            # The kernel releases flock when its process ends, however it ends.
            while not _taken(handle.fileno()):
                if not reported:
                    waiting()
                    reported = True
                if stop.wait(_WAIT_S):
                    raise cancelled(self.folder.name)
            yield

    def _note(self) -> tuple[Path, int] | None:
        try:
            note = json.loads((self.folder / _DONE).read_text(encoding="utf-8"))
            return self.folder / Path(str(note["file"])).name, int(note["size"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_note(self, path: Path) -> None:
        draft = self.folder / f"{_DONE}.new"
        draft.write_text(json.dumps({"file": path.name, "size": path.stat().st_size}), encoding="utf-8")
        draft.replace(self.folder / _DONE)


def _suffix(path: Path) -> str:
    return path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,12}", path.suffix) else ".bin"


def _taken(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
