"""`pvm purge`: deletes material that terms and rules no longer allow to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pvm_cli.console import note, out
from pvm_cli.session import opened
from pvm_cli.tables import print_table
from pvm_core.errors import InputError
from pvm_core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pvm_cli.session import Session
    from pvm_resources.retention.purge import Purged


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be deleted.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", "-s", help="Only this source's material, e.g. ebay.", show_default=False),
    ] = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also files without a row that are older than a day.")
    ] = False,
    faces: Annotated[
        bool, typer.Option("--faces", help="Only all numbers about faces, however young.")
    ] = False,
) -> None:
    """Deletes what sources' terms and rules no longer allow to be kept.

    Pictures are deleted with everything computed from them; matches keep their id, score,
    status, second and terms. What a running job works on is kept until the job ends.
    While `pvm up` runs, the schedule hourly_purge does this every hour.

    [bold]Examples[/bold]

      pvm purge --dry-run

      pvm purge --source ebay

      pvm purge --faces
    """
    from datetime import UTC, datetime

    from pvm_resources.media.store import MediaStore
    from pvm_resources.retention.orphans import remove_orphans
    from pvm_resources.retention.purge import Purge

    with opened() as session:
        media = MediaStore(session.settings.media)
        made = Purge(session.database, media, session.settings)
        report = (
            made.forget_faces(dry_run=dry_run)
            if faces
            else made.run(dry_run=dry_run, source=_known(session, source))
        )
        lost = remove_orphans(session.database, media, datetime.now(UTC), dry_run=dry_run) if orphans else {}
    _show(report.purged, lost, dry_run)
    for failure in report.failures[1:]:
        note(str(failure))
    if report.failures:
        raise report.failures[0]


def _known(session: Session, source: str | None) -> str | None:
    from pvm_resources.settings import load_policies

    if source is None:
        return None
    names = {
        *load_policies(session.settings),
        *(n for some in session.store.retention.names() for n in some),
    }
    if source not in names:
        known = ", ".join(sorted(names))
        raise InputError("purge.source", source, "no such source", f"Name one of {known}")
    return source


def _show(purged: tuple[Purged, ...], orphans: Mapping[str, int], dry_run: bool) -> None:
    word = "would be deleted" if dry_run else "deleted"
    if not purged and not orphans:
        note("nothing is due")
        return
    if purged:
        kinds = [kind for kind in purged[0].counts if any(one.counts[kind] for one in purged)]
        out().print(word)
        print_table(
            ("source", *kinds),
            ([one.source, *(one.counts[kind] for kind in kinds)] for one in purged),
            numbers=kinds,
        )
    for folder, count in sorted(orphans.items()):
        note(f"{counted(count, 'file')} without a row in {folder} {word}")
