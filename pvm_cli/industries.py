"""`pvm industries`: the industries, their standing sources, and what is known about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out, shorten
from pvm_cli.group import command_group
from pvm_cli.session import opened
from pvm_cli.source_args import sources_of
from pvm_cli.tables import print_table
from pvm_core.errors import InputError
from pvm_core.wording import counted
from pvm_jobs.source_kinds import KINDS

if TYPE_CHECKING:
    from pvm_resources.store.records import Industry

app = command_group(
    """Industries: what a job is about.

An industry has a name in any language, standing sources (what a job reads
where its command names nothing else), search phrases per language and rules
of its own.

  pvm industries add "gối công thái học" \\
      --products catalogue.csv --videos clips/

  pvm industries queries "gối công thái học" \\
      --lang en "ergonomic pillow" "memory foam pillow"

  pvm industries list
"""
)

_Name = Annotated[str, typer.Argument(help="Name or slug of the industry.", show_default=False)]
_Products = Annotated[
    list[str] | None,
    typer.Option("--products", help="Shops, catalogues or feeds, as for pvm run.", show_default=False),
]
_Videos = Annotated[
    list[str] | None,
    typer.Option("--videos", help="Sites, folders or lists of links, as for pvm run.", show_default=False),
]


@app.command("list")
def list_all() -> None:
    """Lists all industries."""
    with opened() as session:
        industries = session.store.industries.list()
        jobs = {i.slug: session.store.jobs.list(i.slug) for i in industries}
    if not industries:
        note('no industries yet; add one: pvm industries add "NAME" --products FILE --videos FOLDER')
        return
    print_table(
        ("name", "slug", "rules", "jobs", "standing sources"),
        ((shorten(i.name, 40), i.slug, _rules_note(i), len(jobs[i.slug]), _standing(i)) for i in industries),
        whole=("slug", "rules"),
        numbers=("jobs",),
    )


@app.command()
def add(name: _Name, products: _Products = None, videos: _Videos = None) -> None:
    """Adds an industry; one that exists keeps what is not named here."""
    given = sources_of(products, videos)
    with opened(create=True) as session:
        industry = session.store.industries.ensure(name)
        if given:
            session.store.industries.set_sources(industry.slug, {**industry.sources, **given})
    out().print(f"{industry.name} ({industry.slug})")


@app.command()
def show(name: _Name) -> None:
    """Shows an industry's sources, queries, rules and latest jobs."""
    with opened() as session:
        industry = session.store.industries.get(name)
        jobs = session.store.jobs.list(industry.slug, limit=5)
    lines = [
        f"name      {shorten(industry.name, 200)}",
        f"slug      {industry.slug}",
        *(f"{kind:<9} {_listed(industry.sources.get(kind))}" for kind in KINDS),
        *_query_lines(industry),
        f"rules     {_rules_note(industry)}",
        *(f"job       {job.job_id}  {job.status}" for job in jobs),
    ]
    for line in lines:
        out().print(line, soft_wrap=True)


@app.command()
def sources(
    name: _Name,
    products: _Products = None,
    videos: _Videos = None,
    every: Annotated[
        int | None,
        typer.Option("--every", min=0, help="Run them automatically every so many hours; 0: no more."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget the standing sources first.")] = False,
) -> None:
    """Sets the standing sources of an industry, and how often they run automatically (while pvm up runs)."""
    given = sources_of(products, videos)
    if not given and not clear and every is None:
        reason, remedy = "no source is given", "Name --products, --videos, --every or --clear"
        raise InputError("sources.none", name, reason, remedy)
    with opened() as session:
        industry = session.store.industries.get(name)
        kept = {**({k: v for k, v in industry.sources.items() if not clear or k not in KINDS}), **given}
        session.store.industries.set_sources(industry.slug, kept)
        if every is not None:
            session.store.schedules.set_every(industry.slug, every or None)
        hours = session.store.schedules.every(industry.slug)
    said = "; ".join(f"{kind}: {_listed(kept[kind])}" for kind in KINDS if kind in kept)
    note(f"sources of {industry.name}: {said or 'none'}" + (f"; every {hours} h" if hours else ""))


@app.command("map")
def keep_columns(
    name: _Name,
    columns: Annotated[
        list[str] | None,
        typer.Argument(help='product_id=SKU,image="Image URL"; fields as for pvm run.', show_default=False),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget what is kept.")] = False,
) -> None:
    """Shows or keeps what the columns of an industry's catalogues mean, where their names say it not.

    A job that names columns itself, with --map, is read by those alone.
    """
    from pvm_jobs.catalogue_columns import FIELDS, parse_columns, read_columns

    given = read_columns(columns or ())
    with opened() as session:
        industry = session.store.industries.get(name)
        kept = given or ({} if clear else parse_columns(industry.sources.get("columns")))
        if given or clear:
            rest = {key: value for key, value in industry.sources.items() if key != "columns"}
            session.store.industries.set_sources(industry.slug, {**rest, "columns": kept} if kept else rest)
    said = "\n".join(f"{field:<12} {column}" for field in FIELDS if (column := kept.get(field)))
    out().print(said or "none kept", markup=False, soft_wrap=True)


@app.command()
def queries(
    name: _Name,
    phrases: Annotated[
        list[str] | None, typer.Argument(help="Search phrases, best first.", show_default=False)
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang", help="Language of the phrases: vi, zh, en, ...; und for synonyms of the name as typed."
        ),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Forget the phrases kept, of --lang where it is given.")
    ] = False,
) -> None:
    """Shows or sets what shops and sites are searched for.

    The phrases given replace those kept in that language.
    Without any in a language, a source searches with the name as typed.
    Nothing is translated automatically.

    [bold]Example[/bold]

      pvm industries queries "gối công thái học" \\
          --lang en "ergonomic pillow" "memory foam pillow"
    """
    from pvm_jobs.request import parse_queries

    if phrases and not lang:
        raise InputError("queries.language", name, "phrases without a language", "Name it with --lang")
    given = parse_queries({lang: phrases or []}) if lang else {}
    if lang and not given and not clear:
        raise InputError("queries.none", name, "no phrase is given", "Give phrases, or --clear")
    with opened() as session:
        industry = session.store.industries.get(name)
        if given or clear:
            kept = parse_queries(industry.queries)
            gone = {lang.strip().lower()} if lang else set(kept)
            session.store.industries.set_queries(
                industry.slug, {code: p for code, p in kept.items() if code not in gone} | given
            )
            industry = session.store.industries.get(industry.slug)
    for line in _query_lines(industry):
        out().print(line, soft_wrap=True)


@app.command()
def rm(
    name: _Name,
    jobs: Annotated[bool, typer.Option("--jobs", help="Remove its jobs and their matches as well.")] = False,
) -> None:
    """Removes an industry. Stored pictures, videos and features stay."""
    with opened() as session:
        industry = session.store.industries.get(name)
        found = session.store.jobs.list(industry.slug, limit=100_000)
        if found and not jobs:
            raise InputError(
                "industry.in_use",
                industry.name,
                f"it has {counted(len(found), 'job')}",
                "Remove them too with --jobs",
            )

        # The daemon takes their partitions out of Dagster when it runs next.
        for job in found:
            session.store.inbox.delete(job.job_id, "cli", force=True)
        session.store.industries.delete(industry.slug)
    note(f"removed {industry.name}" + (f" with {counted(len(found), 'job')}" if found else ""))


def _standing(industry: Industry) -> str:
    """The standing sources, a line a kind."""
    return "\n".join(_listed(industry.sources[kind]) for kind in KINDS if kind in industry.sources)


def _listed(value: object) -> str:
    """One source, or a list of them; an address without what may be a key in it."""
    from pvm_core.shown_url import shown_url

    listed = value if isinstance(value, list) else [value or "-"]
    return ", ".join(shown_url(str(one)) for one in listed)


def _query_lines(industry: Industry) -> list[str]:
    """The phrases kept, a line a language."""
    from pvm_jobs.request import parse_queries

    kept = parse_queries(industry.queries)
    said = [f"{code}: {', '.join(phrases)}" for code, phrases in sorted(kept.items())]
    return [f"{'queries' if n == 0 else '':<9} {line}" for n, line in enumerate(said or ["-"])]


def _rules_note(industry: Industry) -> str:
    count = len(industry.rules)
    return industry.rule_set + (f" + {count} own" if count else "")
