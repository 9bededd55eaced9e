"""Generated cases on disk: catalogue, pictures, clips and truth in the format the command line reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from pvm_core.errors import InputError, StoreError
from pvm_core.ids import content_key
from pvm_demo.clips import Case, CaseSpec, ClipPlan, Showing, iter_frames, make_case
from pvm_demo.paint import Rgb
from pvm_demo.scoring import CaseScore, ResultRow, score_rows

if TYPE_CHECKING:
    from av import VideoStream

#: Increased with each change of the drawing, so that older folders are written again.
_VERSION: Final = "1"
_MARKER: Final = "case.json"
#: Quality of the catalogue's JPEG pictures, as shops serve them.
_PICTURE_QUALITY: Final = 90

#: The case of `make demo`; the shipped calibration was fitted on other products, textures and places.
DEMO_SPEC: Final = CaseSpec(seed=7, family="demo", n_products=24, n_clips=12)

#: Called with (items done, items in all) after each picture or clip.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CaseInfo:
    """A case on disk.

    Attributes:
        folder: where it lies.
        products, pictures, clips: how many.
        seconds: length of all clips together.
        true_pairs: distinct (product, video) pairs in the truth.
        made: True where this call wrote it, False where it was there already.
    """

    folder: Path
    products: int
    pictures: int
    clips: int
    seconds: float
    true_pairs: int
    made: bool

    @property
    def catalogue(self) -> Path:
        """The catalogue file."""
        return self.folder / "products.csv"

    @property
    def videos(self) -> Path:
        """The folder of clips."""
        return self.folder / "videos"


def write_case(
    folder: Path, spec: CaseSpec = DEMO_SPEC, progress: Progress | None = None, *, workers: int = 2
) -> CaseInfo:
    """Write the case of `spec` into `folder`, or find it there complete.

    Each file appears whole or not at all, and a marker is written last: a call after a broken one keeps
    the files of the same spec that are there and makes the rest.

    Args:
        folder: made where it is missing.
        workers: clips drawn at the same time.

    Raises:
        InputError: ``demo.folder`` the folder holds files that are no case.
        StoreError: ``demo.write`` the disk refuses.
    """
    key = content_key(_VERSION, *(f"{name}={value!r}" for name, value in asdict(spec).items()))
    found = _read_marker(folder, key)
    if found is not None:
        return found
    try:
        _prepare(folder, key)
        return _write(folder, make_case(spec), key, progress, workers)
    except OSError as error:
        raise StoreError(
            "demo.write",
            str(folder),
            f"the case cannot be written: {error.strerror or error}",
            "Free some space or name another folder",
        ) from error


def _read_marker(folder: Path, key: str) -> CaseInfo | None:
    marker = folder / _MARKER
    if not marker.is_file():
        return None
    figures = json.loads(marker.read_text(encoding="utf-8"))
    if figures.pop("key") != key or not figures.pop("complete"):
        return None
    return CaseInfo(folder=folder, made=False, **figures)


def _prepare(folder: Path, key: str) -> None:
    """Make the folders; remove the files of another spec, but nothing this module did not write."""
    marker = folder / _MARKER
    if folder.is_dir() and any(folder.iterdir()) and not marker.is_file():
        raise InputError(
            "demo.folder",
            str(folder),
            "the folder is not empty and holds no generated case",
            "Name an empty or a new folder",
        )
    if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")).get("key") != key:
        for name in ("images", "videos"):
            for path in (folder / name).glob("*.*"):
                path.unlink()
        marker.unlink()
    for name in ("images", "videos"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in folder.rglob("*.part*"):
        path.unlink()
    _write_text(marker, json.dumps({"key": key, "complete": False}))


def _write(folder: Path, case: Case, key: str, progress: Progress | None, workers: int) -> CaseInfo:
    pictures = [
        (f"images/{p.product_id}-{n}.jpg", rgb) for p in case.products for n, rgb in enumerate(p.images)
    ]
    total, done = len(pictures) + len(case.clips), 0
    for name, rgb in pictures:
        _write_picture(folder / name, rgb)
        done += 1
        if progress:
            progress(done, total)
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        jobs = [
            pool.submit(write_clip, folder / "videos" / f"{clip.video_id}.mp4", clip) for clip in case.clips
        ]
        for job in as_completed(jobs):
            job.result()
            done += 1
            if progress:
                progress(done, total)
    _write_tables(folder, case)
    figures = {
        "products": len(case.products),
        "pictures": len(pictures),
        "clips": len(case.clips),
        "seconds": round(sum(clip.duration_s for clip in case.clips), 2),
        "true_pairs": len({(t.product_id, t.video_id) for t in case.truth}),
    }
    _write_text(folder / _MARKER, json.dumps({"key": key, "complete": True, **figures}))
    return CaseInfo(folder=folder, made=True, **figures)  # type: ignore[arg-type]


def _write_picture(path: Path, rgb: Rgb) -> None:
    import cv2

    if path.exists():
        return
    data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY])[1].tobytes()
    _replace(path, data)


def write_clip(path: Path, clip: ClipPlan) -> None:
    """Draw and encode `clip`: H.264, MPEG-4 part 2 where FFmpeg lacks x264. A file that exists is kept."""
    import av

    if path.exists():
        return
    part = path.with_suffix(".part.mp4")
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(part), "w") as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=clip.fps))
        stream.height, stream.width = clip.size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 2 * clip.fps
        # What a platform serves after its own compression: visibly soft, not blocky.
        if codec == "libx264":
            stream.options = {"crf": "25", "preset": "veryfast"}
        else:
            stream.bit_rate = 1_200_000
        for rgb in iter_frames(clip):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    part.replace(path)


def _write_tables(folder: Path, case: Case) -> None:
    products = [
        (p.product_id, p.title, p.brand, p.url, f"images/{p.product_id}-{n}.jpg")
        for p in case.products
        for n in range(len(p.images))
    ]
    truth = [(t.product_id, t.video_id, t.start_s, t.end_s) for t in case.truth]
    _write_csv(folder / "products.csv", ("product_id", "title", "brand", "url", "image"), products)
    _write_csv(folder / "truth.csv", ("product_id", "video_id", "start_s", "end_s"), truth)
    _write_csv(folder / "background.csv", ("product_id", "video_id"), case.background)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    part.replace(path)


def _write_text(path: Path, text: str) -> None:
    _replace(path, text.encode())


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def read_truth(folder: Path) -> tuple[list[Showing], list[tuple[str, str]]]:
    """(truth, background) of a case folder; background is empty where there is no such file.

    Raises:
        InputError: ``demo.truth`` the folder has no truth.csv.
    """
    if not (folder / "truth.csv").is_file():
        raise InputError("demo.truth", str(folder), "there is no truth.csv", "Name the folder of a case")
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as file:
        truth = [
            Showing(row["product_id"], row["video_id"], float(row["start_s"]), float(row["end_s"]))
            for row in csv.DictReader(file)
        ]
    path = folder / "background.csv"
    if not path.is_file():
        return truth, []
    with path.open(newline="", encoding="utf-8") as file:
        return truth, [(row["product_id"], row["video_id"]) for row in csv.DictReader(file)]


def score_results(folder: Path, rows: Iterable[ResultRow], *, accept: float = 0.80) -> CaseScore:
    """Score a run's rows against the truth of the case in `folder`."""
    truth, background = read_truth(folder)
    return score_rows(truth, background, rows, accept=accept)
