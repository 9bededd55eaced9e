"""`pvm products`: products of all jobs, whole; catalogues read as changes; what is like a product."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvm_cli import product_streams
from pvm_cli.console import note, out
from pvm_cli.tables import AsJson, print_json, print_table
from pvm_core.errors import InputError

if TYPE_CHECKING:
    from pvm_cli.session import Session
    from pvm_resources.product_likeness import LikeProduct
    from pvm_resources.store.product_queries import ProductFilter, ProductRow

app = typer.Typer(
    no_args_is_help=True,
    help="Products: list, show, import a catalogue, what is like one; changes from a stream.",
)
product_streams.register(app)

Industry = Annotated[str | None, typer.Option("--industry", "-i", help="Of this industry (name or slug).")]
Category = Annotated[str | None, typer.Option("--category", help="Whole, in any case.")]
Source = Annotated[list[str] | None, typer.Option("--source", help="Of this source; may be repeated.")]
Available = Annotated[
    list[str] | None,
    typer.Option("--availability", help="in_stock, out_of_stock, preorder or backorder; may be repeated."),
]
PriceMin = Annotated[str | None, typer.Option("--price-min", help="Least price, in --currency where given.")]
PriceMax = Annotated[str | None, typer.Option("--price-max", help="Greatest price.")]
Currency = Annotated[str | None, typer.Option("--currency", help="ISO 4217.")]
Which = Annotated[str, typer.Argument(help="Its id here, or as its source gave it.", show_default=False)]
_COLUMNS = ("product", "title", "category", "brand", "price", "currency", "availability", "source")


@app.command("list")
def list_products(
    industry: Industry = None,
    category: Category = None,
    brand: Annotated[str | None, typer.Option("--brand", help="Whole, in any case.")] = None,
    source: Source = None,
    availability: Available = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    currency: Currency = None,
    text: Annotated[str | None, typer.Option("--text", help="Part of the title.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most products listed.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Lists products, newest first."""
    from dataclasses import replace

    from pvm_cli.session import opened

    with opened() as session:
        wanted = _wanted(session, industry, category, source, availability, price_min, price_max, currency)
        found = session.store.product_queries.page(replace(wanted, brand=brand, text=text), limit)
    if as_json:
        print_json([_json(row) for row in found])
    elif found:
        rows = [[getattr(row, name) for name in _COLUMNS] for row in found]
        print_table(_COLUMNS, rows, cut=("title", "category"), numbers=("price",), console=out())
    note(f"{len(found)} {'product' if len(found) == 1 else 'products'}")


@app.command()
def show(product: Which, as_json: AsJson = False) -> None:
    """Shows a product whole, with its pictures."""
    from pvm_cli.session import opened

    with opened() as session:
        row = session.store.product_queries.get(_one(session, product))
        pictures = [str(one.item_id) for one in session.store.match_queries.pictures(row.product_id)]
    values = {**_json(row), "pictures": pictures}
    if as_json:
        print_json(values)
        return
    lines = [(name, _text(value)) for name, value in values.items() if value not in ("", None, {}, [])]
    print_table(("field", "value"), lines, console=out())


@app.command("import")
def import_catalogue(
    catalogue: Annotated[Path, typer.Argument(help="Catalogue file, of any form that pvm run takes.")],
    industry: Annotated[
        str,
        typer.Option("--industry", "-i", help="Whose catalogue it is (name or slug).", show_default=False),
    ],
    remove_missing: Annotated[
        bool, typer.Option("--remove-missing", help="Delete the industry's products that it no longer lists.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Reads a catalogue as changes: what differs from what it said last is applied, each with its event.

    Pictures are not downloaded; a job does that.
    """
    from dataclasses import asdict

    from pvm_cli.session import opened
    from pvm_resources.catalogue_import import import_file
    from pvm_resources.media.store import MediaStore
    from pvm_resources.vectors.factory import forgetting

    with opened() as session:
        slug = session.store.industries.get(industry).slug
        media = MediaStore(session.settings.media)
        done = import_file(
            session.store, media, catalogue, slug, remove_missing=remove_missing, dry_run=dry_run,
            gone=forgetting(session.settings, session.database),
        )  # fmt: skip
    if as_json:
        print_json(asdict(done))
    for problem in done.problems:
        note(f"{problem.item}: {problem.message}")
    said = f"{done.created} new, {done.updated} changed, {done.deleted} deleted, {done.unchanged} as before"
    said += f", {done.refused} refused" if done.refused else ""
    note(f"{said} (nothing was applied)" if dry_run else said)


@app.command()
def similar(
    product: Which,
    by: Annotated[
        Literal["visual", "text", "both"] | None,
        typer.Option("--by", help="Default: visual, or text where no picture of it is known."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most products listed.")] = 10,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least similarity.")] = 0.75,
    industry: Industry = None,
    category: Category = None,
    source: Source = None,
    availability: Available = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    currency: Currency = None,
    as_json: AsJson = False,
) -> None:
    """Lists products like a product by look, by words or by both, most alike first; itself and its other
    listings are left out."""
    from pvm_cli.session import opened
    from pvm_resources.product_likeness import likeness_of
    from pvm_resources.text_index import TextIndex

    with opened() as session:
        wanted = _wanted(session, industry, category, source, availability, price_min, price_max, currency)
        chosen = _one(session, product)
        likeness = likeness_of(TextIndex(session.store, session.settings), chosen)
        found = likeness.similar(chosen, wanted, by=by, limit=limit, min_score=min_score)
    _print_like(found, as_json)
    if not found:
        note(f"none is alike by {min_score:g}; a lower --min-score finds what is less alike")


@app.command()
def recommend(
    product: Which,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most products listed.")] = 10,
    industry: Industry = None,
    category: Category = None,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Lists products to show beside a product: seen in the same videos, alike, popular; never what cannot be
    bought."""
    from pvm_cli.session import opened
    from pvm_resources.product_likeness import likeness_of
    from pvm_resources.text_index import TextIndex

    with opened() as session:
        wanted = _wanted(session, industry, category, source, None, None, None, None)
        chosen = _one(session, product)
        likeness = likeness_of(TextIndex(session.store, session.settings), chosen)
        found = likeness.recommended(chosen, wanted, limit=limit)
    _print_like(found, as_json)


def _print_like(found: Sequence[LikeProduct], as_json: bool) -> None:
    rows = [{"similarity_score": round(one.score, 4), **_json(one.product), "why": one.why} for one in found]
    columns = ("similarity_score", *_COLUMNS)
    if as_json:
        print_json(rows)
    elif rows:
        listed = [[row[name] for name in columns] for row in rows]
        print_table(columns, listed, cut=("title", "category"), numbers=("price",), console=out())
    note(f"{len(rows)} {'product' if len(rows) == 1 else 'products'}")


def _wanted(
    session: Session,
    industry: str | None,
    category: str | None,
    source: list[str] | None,
    availability: list[str] | None,
    price_min: str | None,
    price_max: str | None,
    currency: str | None,
) -> ProductFilter:
    from pvm_core.product_facts import AVAILABILITIES
    from pvm_resources.store.product_queries import ProductFilter

    for one in availability or ():
        if one not in AVAILABILITIES:
            raise InputError("search.availability", one, "it is none", f"Use {', '.join(AVAILABILITIES)}")
    slug = session.store.industries.get(industry).slug if industry else None
    return ProductFilter(
        slug, category, sources=source or (), availability=availability or (),
        price_min=_amount(price_min), price_max=_amount(price_max), currency=currency,
    )  # fmt: skip


def _amount(text: str | None) -> Decimal | None:
    try:
        found = None if text is None else Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if found is not None and not found.is_finite():
        raise InputError("search.price", str(text), "it is no number", "Write 19.99")
    return found


def _one(session: Session, name: str) -> uuid.UUID:
    """The product that a name means."""
    from pvm_resources.store.product_queries import unknown_product

    found = session.store.product_queries.named(name)
    if not found:
        raise unknown_product(name)
    if len(found) > 1 and str(found[0]) != name.lower():
        listed = ", ".join(map(str, found))
        raise InputError(
            "search.several", name, f"several sources have it: {listed}", "Name one of these ids"
        )
    return found[0]


def _json(row: ProductRow) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name != "image_id"}


def _text(value: object) -> object:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {one}" for name, one in value.items())
    return ", ".join(value) if isinstance(value, list) else value
