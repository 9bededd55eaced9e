"""Products: what the job's product sources answered."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence

from pvm_assets.data_version import version_of
from pvm_assets.retry_policy import NETWORK
from pvm_assets.sources import gather, records, request_of, source_facts, web_fetcher
from pvm_assets.stage import Column, Report, Stage, job_asset
from pvm_core import ids
from pvm_resources.sources.base import ProductRecord
from pvm_resources.sources.registry import product_specs
from pvm_resources.store.galleries import Galleries, GalleryPicture
from pvm_resources.store.records import Product


@job_asset(
    table="products",
    columns=(
        Column("product_id", "uuid", "uuid5 of the source's namespace and the id as given"),
        Column("src", "text", "the source"),
        Column("namespace", "text", "a file's namespace is its industry"),
        Column("asin_or_itemid", "text", "the id as given"),
        Column("title", "text", "as the source words it"),
        Column("brand", "text", "as the source names it; empty where it names none"),
        Column("url", "text", "the product's page; empty where the source states none"),
        Column("price", "text", "a plain decimal; empty where the source states none"),
        Column("currency", "text", "ISO 4217"),
        Column("description", "text", "plain text, at most 5,000 characters"),
        Column("category", "text", "as the source words it"),
        Column("availability", "text", "in_stock, out_of_stock, preorder or backorder; empty where unknown"),
        Column("attributes", "jsonb", "name to value, such as colour and size"),
        Column("updated_at", "timestamptz", "when the source changed it last, where it says so"),
    ),
    kinds={"python", "postgres"},
    code_version="3",
    retries=NETWORK,
)
def products(stage: Stage) -> Report:
    """Products of the job's sources: rows with the references of their pictures, no pixels yet.

    Sources are queried in parallel; one that fails is named with its reason and the others go on.
    """
    gathered = gather(stage, "products", product_specs(request_of(stage).products), web_fetcher(stage))
    found: dict[uuid.UUID, ProductRecord] = {}
    for _, record in sorted(records(gathered), key=lambda one: one[1].product_id is not None):
        # What a source says of a product stands before what is stored of it.
        key = record.product_id or ids.product_id(record.namespace, record.external_id)
        if record.product_id is None or key not in found:
            found[key] = record
    # A source that still lists what a change has deleted brings it not back.
    for key in stage.services.store.product_changes.deleted(list(found)):
        del found[key]
    stage.begin(len(found))
    rows = [
        Product(
            key,
            r.source,
            r.namespace,
            r.external_id,
            r.title,
            r.brand,
            r.url,
            r.price,
            r.currency,
            **vars(r.facts),
        )
        for key, r in found.items()
    ]
    pictures = stage.services.store.stored_material.pictures(list(found))
    gallery = list(_gallery(found, pictures))
    kept = {key for key, record in found.items() if record.product_id is not None}
    stage.services.store.catalogue.set_products(
        stage.job_id,
        rows,
        kept=kept,
        reuse_h=stage.policies.ages_h,
        also=Galleries.writes(stage.job_id, gallery),
    )
    stage.advance(len(found))
    return Report(
        len(rows),
        version_of((*rows, *gallery)),
        {"pictures_referenced": len(gallery), **source_facts(gathered)},
    )


def _gallery(
    found: Mapping[uuid.UUID, ProductRecord], changed: Mapping[uuid.UUID, Sequence[str]]
) -> Iterator[GalleryPicture]:
    """What sources show of the products, then what changes named."""
    for key, record in found.items():
        files = {picture.ref: str(picture.path) if picture.path else None for picture in record.pictures}
        files |= {ref: None for ref in changed.get(key, ()) if ref not in files}
        for position, (ref, file) in enumerate(files.items()):
            yield GalleryPicture(key, position, ref, file)
