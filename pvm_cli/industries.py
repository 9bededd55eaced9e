"""`pvm industries`: the industries, their standing sources, and what is known about each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pvm_cli.console import note, out
from pvm_cli.group import PvmGroup
from pvm_cli.lines import shorten
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_resources.repositories.rows import Industry

app = typer.Typer(
    cls=PvmGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Industries: what a job is about.

An industry has a name in any language, standing sources (what a job reads
where its command names nothing else) and rules of its own.

  pvm industries add "gối công thái học" \\
      --products catalogue.csv --videos clips/

  pvm industries list
""",
)

_Name = Annotated[str, typer.Argument(help="Name or slug of the industry.", show_default=False)]
_Products = Annotated[
    Path | None, typer.Option("--products", help="Catalogue file: CSV or JSON lines.", show_default=False)
]
_Videos = Annotated[
    Path | None,
    typer.Option("--videos", help="Folder of clips, read with its subfolders.", show_default=False),
]


@app.command("list")
def list_all() -> None:
    """Lists all industries."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pvm_cli.session import opened

    with opened() as session:
        industries = session.industries.list()
        jobs = {i.slug: session.jobs.list(i.slug) for i in industries}
    if not industries:
        note('no industries yet; add one: pvm industries add "NAME" --products FILE --videos FOLDER')
        return
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    table.add_column("name", overflow="fold")
    table.add_column("slug", no_wrap=True)
    table.add_column("rules", no_wrap=True)
    table.add_column("jobs", justify="right", no_wrap=True, min_width=4)
    table.add_column("standing sources", overflow="fold")
    for i in industries:
        sources = "\n".join(str(i.sources[kind]) for kind in ("products", "videos") if kind in i.sources)
        cells = [shorten(i.name, 40), i.slug, _rules_note(i), str(len(jobs[i.slug])), sources]
        table.add_row(*map(Text, cells))
    out().print(table)


@app.command()
def add(name: _Name, products: _Products = None, videos: _Videos = None) -> None:
    """Adds an industry; one that exists keeps what is not named here."""
    from pvm_cli.session import opened

    with opened(create=True) as session:
        industry = session.industries.ensure(name)
        given = sources_of(products, videos)
        if given:
            session.industries.set_sources(industry.slug, {**industry.sources, **given})
    out().print(f"{industry.name} ({industry.slug})", markup=False)


@app.command()
def show(name: _Name) -> None:
    """Shows an industry's sources, rules and latest jobs."""
    from pvm_cli.session import opened

    with opened() as session:
        industry = session.industries.get(name)
        jobs = session.jobs.list(industry.slug, limit=5)
    lines = [
        f"name      {shorten(industry.name, 200)}",
        f"slug      {industry.slug}",
        f"products  {industry.sources.get('products', '-')}",
        f"videos    {industry.sources.get('videos', '-')}",
        f"rules     {_rules_note(industry)}",
        *(f"job       {job.job_id}  {job.status}" for job in jobs),
    ]
    for line in lines:
        out().print(line, markup=False, soft_wrap=True)


@app.command()
def sources(
    name: _Name,
    products: _Products = None,
    videos: _Videos = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget the standing sources first.")] = False,
) -> None:
    """Sets the standing sources of an industry."""
    from pvm_cli.session import opened

    given = sources_of(products, videos)
    if not given and not clear:
        raise InputError("sources.none", name, "no source is given", "Name --products, --videos or --clear")
    with opened() as session:
        industry = session.industries.get(name)
        session.industries.set_sources(industry.slug, {**({} if clear else industry.sources), **given})
    note(f"sources of {industry.name}: {given or 'none'}")


@app.command()
def rm(
    name: _Name,
    jobs: Annotated[bool, typer.Option("--jobs", help="Remove its jobs and their matches as well.")] = False,
) -> None:
    """Removes an industry. Stored pictures, videos and features stay."""
    from pvm_cli.session import opened

    with opened() as session:
        industry = session.industries.get(name)
        found = session.jobs.list(industry.slug, limit=100_000)
        if found and not jobs:
            raise InputError(
                "industry.in_use", industry.name, f"it has {len(found)} jobs", "Remove them too with --jobs"
            )
        for job in found:
            session.jobs.delete(job.job_id)
        session.industries.delete(industry.slug)
    note(f"removed {industry.name}" + (f" with {len(found)} jobs" if found else ""))


def sources_of(products: Path | None, videos: Path | None) -> dict[str, Any]:
    """The given sources with absolute paths, as a job's request and an industry keep them.

    Raises:
        InputError: one does not exist, or cannot be used as a whole: ``source.*``, ``table.*``,
            ``catalogue.*``, ``videos.*``.
    """
    found: dict[str, Any] = {}
    if products is not None:
        found["products"] = str(_existing(products, "--products"))
    if videos is not None:
        found["videos"] = str(_existing(videos, "--videos"))
    _readable(found)
    return found


def _existing(path: Path, option: str) -> Path:
    place = path.expanduser().absolute()
    try:
        place.stat()
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise InputError("source.missing", f"{option} {path}", reason, "Check the path") from error
    if option == "--products" and place.is_dir():
        raise InputError(
            "source.folder", f"{option} {path}", "it is a folder", "Name the catalogue file in it"
        )
    return place


def _readable(sources: dict[str, Any]) -> None:
    """Asks the sources themselves, which reads no pixel, so that a wrong file is told before a job exists."""
    from pvm_resources.sources.base import Query
    from pvm_resources.sources.file_catalogue import FileCatalogue
    from pvm_resources.sources.folder_videos import FolderVideos

    if "products" in sources:
        FileCatalogue(Path(sources["products"]), namespace="").collect(Query(""))
    if "videos" in sources:
        FolderVideos(Path(sources["videos"])).collect(Query(""))


def _rules_note(industry: Industry) -> str:
    count = len(industry.rules)
    return industry.rule_set + (f" + {count} own" if count else "")
