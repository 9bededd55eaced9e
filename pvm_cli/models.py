"""`pvm models`: the models known by name, their licences, weights and calibration."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pvm_cli.console import err, note, out
from pvm_cli.exits import Exit
from pvm_cli.group import command_group
from pvm_cli.tables import Cell, print_table

if TYPE_CHECKING:
    from pvm_resources.models.weights_store import ModelState, ModelStore, Progress
    from pvm_resources.settings import Settings

app = command_group(
    """Models: embedders and segmenters by name.

Only these commands download anything. A job takes the best embedder that
is on this machine and calibrated, else classic; an uncalibrated one can reach
review, never accepted.

  pvm models pull dinov2-small

  pvm models calibrate dinov2-small my-labels/
"""
)

_Name = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]
_Accept = Annotated[
    bool, typer.Option("--accept-licence", help="I have read and accept a licence that is not permissive.")
]
_STYLES: Final = {"present": "green", "builtin": "green", "broken": "red"}
#: The generated case that calibrates a model where no folder is named: other products than the demo's.
_FIT_PRODUCTS: Final = 40
_FIT_CLIPS: Final = 24


@app.command("list")
def list_all() -> None:
    """Lists the models known by name: what is here, under which licence, calibrated or not."""
    from pvm_resources.models.calibrations import calibrated

    settings = _settings()
    ready = calibrated(settings.models)
    columns = ("name", "kind", "here", "calibrated", "licence")
    print_table(columns, (_row(state, ready) for state in _store(settings).list()), whole=columns[:-1])


@app.command()
def pull(
    name: _Name,
    accept_licence: _Accept = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Take the weights from this file, for a machine without network."),
    ] = None,
) -> None:
    """Fetches a model's weights and records their hash and licence."""
    store = _store(_settings())
    if file is not None:
        _note_state(store.install(name, file, accept_licence=accept_licence))
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(name, total=None)
        report: Progress = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        state = store.pull(name, accept_licence=accept_licence, progress=report)
    _note_state(state)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models; none: all that are here.", show_default=False)
    ] = None,
) -> None:
    """Hashes weights again; exit code 1 where one is not what it was."""
    from rich.text import Text

    store = _store(_settings())
    chosen = names or [s.spec.name for s in store.list() if s.status in {"present", "builtin", "broken"}]
    found = [store.verify(name) for name in chosen]
    for each in found:
        mark = ("ok     ", "green") if each.ok else ("differs", "red")
        said = f"  {each.name}  {each.sha256[:16]}  {each.note}"
        out().print(Text.assemble(mark, said), soft_wrap=True)
    if not all(each.ok for each in found):
        raise typer.Exit(Exit.FAILED.value)


@app.command()
def rm(name: _Name) -> None:
    """Removes a model's weights."""
    removed = _store(_settings()).remove(name)
    note(f"removed {name}" if removed else f"{name} has no weights here")


@app.command()
def calibrate(
    name: _Name,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Photo sets or cases with labels; none: a generated case.", show_default=False),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget this machine's calibration; the shipped one counts.")
    ] = False,
) -> None:
    """Fits this machine's calibration of an embedder, which then counts before the shipped one.

    Prints how it fares on products it was not fitted on.
    """
    from pvm_cli.evaluate import evaluate_folders
    from pvm_evaluation.measure import Setting
    from pvm_resources.models.calibrations import calibration_of, own_file

    settings = _settings()
    target = own_file(settings.models, name)
    if reset:
        target.unlink(missing_ok=True)
        note(f"{name}: this machine has no calibration of its own")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    chosen = folders or [_generated(settings)]
    setting = Setting(name, models_dir=settings.models)
    current = calibration_of(settings.models, name)
    evaluate_folders(chosen, setting, settings, current, target, ablations=False)


def _row(state: ModelState, ready: Collection[str]) -> Sequence[Cell]:
    spec = state.spec
    fitted = spec.name in ready if spec.kind == "embedder" else None
    licence = spec.licence + ("" if spec.permissive else ": needs --accept-licence")
    return spec.name, spec.kind, (state.status, _STYLES.get(state.status, "dim")), fitted, licence


def _generated(settings: Settings) -> Path:
    from pvm_demo.case import write_case
    from pvm_demo.clips import CaseSpec

    spec = CaseSpec(seed=11, family="fit", n_products=_FIT_PRODUCTS, n_clips=_FIT_CLIPS)
    with err().status("rendering labelled clips"):
        return write_case(settings.home / "calibration-case", spec, workers=settings.worker_count).folder


def _settings() -> Settings:
    from pvm_resources.settings import load_settings

    return load_settings()


def _store(settings: Settings) -> ModelStore:
    from pvm_resources.models.weights_store import ModelStore

    return ModelStore(settings.models)


def _note_state(state: ModelState) -> None:
    manifest = state.manifest
    if manifest is None:
        note(f"{state.spec.name} needs no weights")
        return
    note(
        f"{manifest.name}: {manifest.size / 1e6:.1f} MB from {manifest.source}, licence {manifest.licence}, "
        f"SHA-256 {manifest.sha256[:16]}… (checked against: {manifest.verified_by})"
    )
