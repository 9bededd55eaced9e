"""`pvm search`: which stored videos show a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.tables import AsJson, print_json, print_table
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_assets.work.picture_search import FoundVideo, SearchOutcome
    from pvm_cli.session import Session
    from pvm_core.masks import Segmenter
    from pvm_resources.store.records import Model


def search(
    picture: Annotated[
        Path,
        typer.Argument(
            help="Picture of a product: JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC.", show_default=False
        ),
    ],
    industry: Annotated[
        str | None,
        typer.Option("--industry", "-i", help="Only videos of this industry (name or slug)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most videos listed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Finds the videos that show a picture, among the keyframes of all jobs.

    The most similar keyframes are verified and decided like a match, without rivals:
    accepted videos come first, then those for review.

    [bold]Examples[/bold]

      pvm search pillow.jpg

      pvm search pillow.jpg -i "gối công thái học" --json
    """
    from pvm_cli.session import opened

    data = _read(picture)
    with opened() as session:
        found = _search(session, data, picture, industry)
    shown = [one for one in found.videos if one.decision.status != "rejected"][:limit]
    if as_json:
        print_json([_row(one) for one in shown])
    elif shown:
        columns = ("score", "status", "at", "video", "platform", "video_url")
        rows = [[_row(one)[name] for name in columns] for one in shown]
        print_table(columns, rows, cut=("video",), numbers=("score", "at"), whole=("status", "video_url"),
                    console=out())  # fmt: skip
    note(f"{len(shown)} {'video' if len(shown) == 1 else 'videos'}; {found.frames} keyframes compared")
    if found.unknown:
        note(f"{found.unknown} of them could not be measured under today's rules: run their jobs again")


def _read(picture: Path) -> bytes:
    from pvm_core.images import PictureLimits

    try:
        with picture.open("rb") as file:
            # One byte more than allowed is enough to be refused.
            return file.read(PictureLimits().max_bytes + 1)
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise InputError("search.picture", str(picture), reason, "Name a picture file") from error


def _search(session: Session, data: bytes, picture: Path, industry: str | None) -> SearchOutcome:
    from pvm_assets.work.picture_search import search_picture, search_videos
    from pvm_core.embedders import load_embedder
    from pvm_resources.media.store import MediaStore
    from pvm_resources.models.calibrations import calibration_for

    settings, store = session.settings, session.store
    chosen = store.industries.get(industry) if industry else None
    model = next((one for one in store.features.models("embedder") if one.active), None)
    if model is None:
        raise InputError("search.none", str(picture), "no picture was embedded yet", "Run a job first")
    embedder = load_embedder(model.name, settings.models)
    media = MediaStore(settings.media)
    wanted = search_picture(data, picture.name, embedder, _segmenter(session, model), model, store, media)
    slug = chosen.slug if chosen else None
    return search_videos(
        store, media, model, wanted,
        settings.rules_of(*((chosen.rule_set, chosen.rules) if chosen else ("default", {}))),
        calibration_for(store.calibrations, settings.models, slug, model.name), industry=slug,
    )  # fmt: skip


def _segmenter(session: Session, model: Model) -> Segmenter | None:
    from pvm_assets.work.picture_search import stored_segmenter
    from pvm_core.errors import ModelError

    try:
        return stored_segmenter(model, session.settings.segmenter, session.settings.models)
    except ModelError as error:
        note(f"the picture goes on unmasked: {error}")
        return None


def _row(one: FoundVideo) -> dict[str, object]:
    from pvm_core.figures import clock_text, score_text
    from pvm_core.links import at_second, file_at_second

    frame, decision = one.frame, one.decision
    return {
        "score": score_text(decision.score), "status": decision.status, "at": clock_text(frame.ts),
        "ts": frame.ts, "video": frame.title or frame.video, "platform": frame.platform,
        "channel": frame.channel, "reason": decision.reason.text(),
        "video_url": at_second(frame.url, frame.ts) or file_at_second(frame.video_path, frame.ts),
        "video_id": frame.video_id, "frame_id": frame.frame_id,
    }  # fmt: skip
