"""Products are whole in every form of a catalogue: description, category, availability, attributes, time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pvm_core.product_facts import DESCRIPTION_MAX, Facts
from pvm_resources.sources.base import ProductRecord, Query
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from tests.pvm_resources.shop_exports import xlsx

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WHOLE = Facts("Soft and warm", "Bed Pillows", "in_stock", {"color": "blue", "size": "M"}, AT)
HEAD = ["id", "image", "title", "description", "category", "availability", "color", "size", "updated_at"]
CELLS = [
    "1", "a.jpg", "Pillow", "<p>Soft <b>and</b> warm</p>", "Bed Pillows", "in stock", "blue", "M",
    AT.isoformat(),
]  # fmt: skip
FORMS = {
    "csv": "\n".join((",".join(HEAD), ",".join(CELLS))),
    "xlsx": xlsx([HEAD, CELLS]),
    "json": json.dumps([dict(zip(HEAD, CELLS, strict=True))]),
    "shopify json": json.dumps({"products": [{
        "id": 1, "title": "Pillow", "body_html": "<p>Soft <b>and</b> warm</p>", "product_type": "Bed Pillows",
        "updated_at": AT.isoformat(), "images": [{"src": "https://a.example/a.jpg"}],
        "options": [{"name": "color", "values": ["blue"]}, {"name": "size", "values": ["M"]}],
        "variants": [{"price": "1.00", "available": False}, {"price": "2.00", "available": True}],
    }]}),
    "woocommerce json": json.dumps([{
        "id": 1, "sku": "1", "name": "Pillow", "description": "<p>Soft and warm</p>",
        "stock_status": "instock",
        "categories": [{"id": 9, "name": "Bed Pillows"}], "date_modified": "2026-03-04T05:06:07",
        "attributes": [{"name": "color", "options": ["blue"]}, {"name": "size", "options": ["M"]}],
        "images": [{"src": "https://a.example/a.jpg"}], "type": "simple",
    }]),
    "shopify csv": (
        "Handle,Title,Body (HTML),Type,Option1 Name,Option1 Value,Option2 Name,Option2 Value,"
        "Variant Inventory Qty,Image Src,Updated At\n"
        f"1,Pillow,<p>Soft and warm</p>,Bed Pillows,color,blue,size,M,0,https://a.example/a.jpg,{AT.isoformat()}\n"
        "1,,,,,red,,L,3,https://a.example/b.jpg,\n"
    ),
    "woocommerce csv": (
        "ID,Type,SKU,Name,Description,In stock?,Categories,Images,Attribute 1 name,Attribute 1 value(s),"
        "Attribute 2 name,Attribute 2 value(s),date_modified\n"
        "7,simple,1,Pillow,Soft and warm,1,Bed Pillows,https://a.example/a.jpg,color,blue,size,M,"
        f"{AT.isoformat()}\n"
    ),
    "several in a cell": (
        "product_id,image,title,description,category,availability,attributes,updated_at\n"
        f"1,a.jpg,Pillow,Soft and warm,Bed Pillows,12,color: blue; size: M,{AT.isoformat()}\n"
    ),
    "google": (
        '<rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>1</g:id><title>Pillow</title>'
        "<description>&lt;p&gt;Soft and warm&lt;/p&gt;</description>"
        "<g:product_type>Bed Pillows</g:product_type>"
        "<g:google_product_category>2700</g:google_product_category><g:availability>in_stock</g:availability>"
        f"<g:color>blue</g:color><g:size>M</g:size><updated>{AT.isoformat()}</updated>"
        "<g:image_link>https://a.example/a.jpg</g:image_link></item></channel></rss>"
    ),
}  # fmt: skip


def read(folder: Path, data: str | bytes) -> tuple[ProductRecord, ...]:
    path = folder / "c"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return FileCatalogue(path, "n").collect(Query("")).records


@pytest.mark.parametrize("form", FORMS)
def test_a_product_is_whole_in_every_form(tmp_path: Path, form: str) -> None:
    (found,) = read(tmp_path, FORMS[form])
    assert (found.external_id, found.title, found.facts) == ("1", "Pillow", WHOLE)


def test_what_a_source_does_not_say_is_unknown(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "id,image\n1,a.jpg\n")
    assert found.facts == Facts()


def test_a_variant_has_what_its_parent_says(tmp_path: Path) -> None:
    rows = (
        "parent_sku,item_sku,main_image_url,item_name,product_description,color_name,size_name\n"
        ",P,https://a.example/p.jpg,Pillow,Soft,,M\n"
        "P,V,https://a.example/v.jpg,,,blue,\n"
    )
    found = {one.external_id: one.facts for one in read(tmp_path, rows)}
    assert (found["V"].description, found["V"].attributes) == ("Soft", {"color": "blue", "size": "M"})
    assert found["P"].attributes == {"size": "M"}


def test_a_description_of_any_length_costs_no_product(tmp_path: Path) -> None:
    long = "word " * 30_000
    feed = FORMS["google"]
    assert isinstance(feed, str)
    for data in (feed.replace("Soft and warm", long), f"id,image,description\n1,a.jpg,{long}\n"):
        (found,) = read(tmp_path, data)
        assert len(found.facts.description) in range(DESCRIPTION_MAX - 10, DESCRIPTION_MAX + 1)


def test_words_of_another_vocabulary_are_no_properties(tmp_path: Path) -> None:
    feed = FORMS["google"]
    assert isinstance(feed, str)
    (found,) = read(
        tmp_path, feed.replace("<g:color>blue", "<x:color xmlns:x='u'>red</x:color><g:color>blue")
    )
    assert found.facts.attributes["color"] == "blue"
