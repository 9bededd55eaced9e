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
    from pvm_resources.store.attention import VideoAttention, VideoVariant
    from pvm_resources.store.records import Job, JobVideo

_COLUMNS = ("video", "detector", "attention", "coverage", "confidence", "faces", "blinks a minute")


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
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            help="With --run: another detector than the rules name; its finding stands beside the first.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Shows the attention of the presenter of each video, or of one video its curve by second.

    A gap is unknown, never inattentive. The analysis is installed by `make attention`; while `pvm up`
    runs, it follows every completed job by itself.

    [bold]Examples[/bold]

      pvm attention -i "gối công thái học" --run

      pvm attention -i "gối công thái học" --run --detector haar

      pvm attention clip-07.mp4 --job JOB --json
    """
    from pvm_cli.session import opened

    with opened() as session:
        chosen = _job(session, industry, job)
        if run:
            _run(session, chosen, detector or "")
        elif detector is not None:
            raise InputError("run.options", "--detector", "nothing is run", "Give --run as well")
        members = _members(session, chosen, video)
        rows = [(one, _variants(session, chosen, one)) for one in members]
        if not any(one.found for _, variants in rows for one in variants):
            raise _missing(session, chosen)
    if as_json:
        print_json([_json(member, variants) for member, variants in rows])
    elif video is not None and any(one.found for one in rows[0][1]):
        _print_curves(rows[0][1])
    else:
        shown = [row for member, variants in rows for row in _rows(member, variants)]
        print_table(_COLUMNS, shown, cut=("video",), console=out())


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


def _variants(session: Session, job: Job, video: JobVideo) -> list[VideoVariant]:
    return session.store.attention.variants(video.video_id, job.job_id)


def _missing(session: Session, job: Job) -> PvmError:
    from pvm_resources.code_sockets import ATTENTION, code_socket, has_died
    from pvm_resources.store.attention import missing_reason

    died = has_died(code_socket(session.settings.home, ATTENTION))
    reason = missing_reason(session.store.attention.job(job.job_id), location_died=died)
    parts = (str(reason.get(name, "")) for name in ("code", "subject", "reason", "remedy"))
    return InputError(*parts)


def _run(session: Session, job: Job, detector: str) -> None:
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
        command = [str(python), "-m", "pvm_attention.run", job.partition_key, *filter(None, [detector])]
        done = subprocess.run(
            command, env={**os.environ, **platform.environment}, capture_output=True, text=True, check=False
        )
    finally:
        platform.close()
    if done.returncode == 0:
        return
    state = session.store.attention.job(job.job_id)
    failed = {name: one["reason"] for name, one in state.variants.items() if one["reason"]} if state else {}
    if not failed and (state is None or state.status != "failed"):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        error = StoreError(
            "attention.broken", f"job {job.job_id}", f"its process ended: {last}", "Run it again"
        )
        if state is not None and state.status == "running":
            # It could not say so itself.
            session.store.attention.fail(job.job_id, error.to_dict())
        raise error
    note("the analysis failed; what it finished is kept")
    for name, reason in failed.items():
        note(f"{name}: {reason['reason']} [{reason['code']}]. {reason['remedy']}")


def _rows(member: JobVideo, variants: list[VideoVariant]) -> list[list[Any]]:
    rows = [_row(member, one.detector, one.found) for one in variants if one.found is not None]
    return rows or [[member.given_name, "", "missing", "", "", "", ""]]


def _row(member: JobVideo, detector: str, found: VideoAttention) -> list[Any]:
    track = next((one for one in found.tracks if one["track"] == found.presenter), None)
    rate = track["blinks_per_minute"] if track else None
    return [
        member.given_name,
        detector,
        _shown(found.score),
        f"{found.coverage:.0%}",
        f"{found.confidence:.2f}",
        len(found.tracks),
        "unknown" if rate is None else f"{rate:.0f}",
    ]


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _print_curves(variants: list[VideoVariant]) -> None:
    rows = [
        [one.detector, track["track"], second[0], *map(_shown, second[1:])]
        for one in variants
        if one.found is not None
        for track in one.found.tracks
        for second in track["seconds"]
    ]
    columns = ("detector", "face", "second", "attention", "coverage", "pose", "gaze", "eyes")
    print_table(columns, rows, console=out())


def _json(member: JobVideo, variants: list[VideoVariant]) -> dict[str, Any]:
    own = {"video": member.given_name, "video_id": str(member.video_id)}
    shown = [_json_of(one) for one in variants]
    main = next((one for one in shown if one["main"] and one["status"] == "complete"), None)
    if main is None:
        return {**own, "status": "missing", "variants": shown}
    return {**own, **{name: value for name, value in main.items() if name != "main"}, "variants": shown}


def _json_of(one: VideoVariant) -> dict[str, Any]:
    own = {"detector": one.detector, "main": one.main}
    if one.found is None:
        return {**own, "status": "missing", "reason": one.reason}
    names = ("score", "coverage", "confidence", "presenter", "tracks")
    return {**own, "status": "complete", **{name: getattr(one.found, name) for name in names}}
