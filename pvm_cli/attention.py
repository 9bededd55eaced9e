"""`pvm attention`: who looks where in a job's videos."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pvm_cli.console import note, out
from pvm_cli.tables import AsJson, print_json, print_table
from pvm_core.errors import InputError, PvmError, StoreError

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_resources.store.attention import VideoAttention
    from pvm_resources.store.records import Job, JobVideo

_COLUMNS = ("video", "attention", "coverage", "confidence", "faces", "blinks a minute")


def attention(
    video: Annotated[
        str | None,
        typer.Argument(help="A video by its name in the job or its id; none: all.", show_default=False),
    ] = None,
    industry: Annotated[
        str | None, typer.Option("--industry", "-i", help="Name or slug; its latest completed job is shown.")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", "-j", help="This job instead of the latest.")] = None,
    run: Annotated[
        bool,
        typer.Option("--run", help="Analyse the job's videos first; what is known is not computed again."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Shows the attention of the presenter of each video, or of one video its curve by second.

    A gap is unknown, never inattentive. The analysis is installed by `make attention`; while `pvm up`
    runs, it follows every completed job by itself.

    [bold]Examples[/bold]

      pvm attention -i "gối công thái học" --run

      pvm attention clip-07.mp4 --job JOB --json
    """
    from pvm_cli.session import opened

    with opened() as session:
        chosen = _job(session, industry, job)
        if run:
            _run(session, chosen)
        members = _members(session, chosen, video)
        found = _found(session, chosen)
        rows = [(member, found.get(member.video_id)) for member in members]
        if all(one is None for _, one in rows):
            raise _missing(session, chosen)
    if as_json:
        print_json([_json(member, one) for member, one in rows])
    elif video is not None and rows[0][1] is not None:
        _print_curve(rows[0][1])
    else:
        print_table(_COLUMNS, [_row(member, one) for member, one in rows], cut=("video",), console=out())


def _job(session: Session, industry: str | None, job: str | None) -> Job:
    if job is not None:
        return session.store.jobs.get(job)
    if industry is None:
        raise InputError("run.options", "pvm attention", "no job is named", "Give --industry or --job")
    return session.latest_completed(session.store.industries.get(industry))


def _members(session: Session, job: Job, video: str | None) -> list[JobVideo]:
    members: dict[uuid.UUID, JobVideo] = {}
    for member in session.store.videos.members(job.job_id):
        members.setdefault(member.video_id, member)
    found = [m for m in members.values() if video in (None, m.given_name, str(m.video_id))]
    if not found:
        subject = video or f"job {job.job_id}"
        raise InputError("video.unknown", subject, "no such video in this job", "See pvm results")
    return found


def _found(session: Session, job: Job) -> dict[uuid.UUID, VideoAttention]:
    state = session.store.attention.job(job.job_id)
    return session.store.attention.videos(job.job_id, state.attention_key) if state else {}


def _missing(session: Session, job: Job) -> PvmError:
    from pvm_resources.store.attention import missing_reason

    reason = missing_reason(session.store.attention.job(job.job_id))
    parts = (str(reason.get(name, "")) for name in ("code", "subject", "reason", "remedy"))
    return InputError(*parts)


def _run(session: Session, job: Job) -> None:
    """Runs the analysis in its own interpreter: its death is not this command's."""
    import os
    import subprocess

    from pvm_assets.execution.bootstrap import bootstrap
    from pvm_resources.settings import attention_python

    python = attention_python()
    if python is None:
        raise InputError(
            "attention.absent", "the attention analysis", "it is not installed", "Run `make attention`"
        )
    platform = bootstrap(session.settings)
    try:
        command = [str(python), "-m", "pvm_attention.run", job.partition_key]
        done = subprocess.run(
            command, env={**os.environ, **platform.environment}, capture_output=True, text=True, check=False
        )
    finally:
        platform.close()
    state = session.store.attention.job(job.job_id)
    if done.returncode != 0 and (state is None or state.status != "failed"):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StoreError(
            "attention.broken", f"job {job.job_id}", f"its process ended: {last}", "Run it again"
        )
    if done.returncode != 0:
        note("the analysis failed; what it finished is kept")


def _row(member: JobVideo, found: VideoAttention | None) -> list[Any]:
    if found is None:
        return [member.given_name, "missing", "", "", "", ""]
    track = next((one for one in found.tracks if one["track"] == found.presenter), None)
    rate = track["blinks_per_minute"] if track else None
    return [
        member.given_name,
        "unknown" if found.score is None else f"{found.score:.2f}",
        f"{found.coverage:.0%}",
        f"{found.confidence:.2f}",
        len(found.tracks),
        "unknown" if rate is None else f"{rate:.0f}",
    ]


def _print_curve(found: VideoAttention) -> None:
    rows = [
        [track["track"], second[0], *("unknown" if v is None else f"{v:.2f}" for v in second[1:])]
        for track in found.tracks
        for second in track["seconds"]
    ]
    columns = ("face", "second", "attention", "coverage", "pose", "gaze", "eyes")
    print_table(columns, rows, console=out())


def _json(member: JobVideo, found: VideoAttention | None) -> dict[str, Any]:
    own = {"video": member.given_name, "video_id": str(member.video_id)}
    if found is None:
        return {**own, "status": "missing"}
    names = ("score", "coverage", "confidence", "presenter", "tracks")
    return {**own, "status": "complete", **{name: getattr(found, name) for name in names}}
