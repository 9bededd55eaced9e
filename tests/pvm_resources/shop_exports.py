"""Catalogues as shops export them: three products under each shop's own columns, written by their formats."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import openpyxl

Table = Sequence[Sequence[str]]
CDN = "https://cdn.example"


@dataclass(frozen=True)
class Good:
    """A product: its pictures are `pictures` addresses of its own."""

    id: str
    title: str
    brand: str = "Soft"
    price: str = "12.50"
    pictures: int = 2

    @property
    def images(self) -> list[str]:
        return [f"{CDN}/{self.id}/{n}.jpg" for n in range(1, self.pictures + 1)]

    def image(self, number: int) -> str:
        return self.images[number - 1] if number <= self.pictures else ""


GOODS = (
    Good("K-1", "Pillow, grey"),
    Good("K-2", 'The "big" one', pictures=3),
    Good("K-3", "Mug", pictures=1),
)
EXPECTED = {good.id: good.images for good in GOODS}


def plain(goods: Sequence[Good]) -> Table:
    """One row a picture, our own names."""
    rows = [[g.id, g.title, image] for g in goods for image in g.images]
    return [["product_id", "title", "image"], *rows]


def shopify(goods: Sequence[Good]) -> Table:
    """products_export.csv: the first row has the texts, the next ones pictures and variants."""
    header = [
        "Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published",
        "Option1 Name", "Option1 Value",
        "Variant SKU", "Variant Price", "Variant Barcode",
        "Image Src", "Image Position", "Variant Image", "Status",
    ]  # fmt: skip
    rows = []
    for good in goods:
        for n in range(1, max(good.pictures, 2) + 1):
            first = n == 1
            rows.append([
                good.id, good.title if first else "", "<p>Soft,\nwarm</p>" if first else "",
                good.brand if first else "", "", "", "true" if first else "", "Size", "SML"[n % 3],
                f"{good.id}-{n}", good.price, "", good.image(n), str(n), "", "active" if first else "",
            ])  # fmt: skip
    return [header, *rows, [""] * len(header)]


def woocommerce(goods: Sequence[Good]) -> Table:
    """Pictures in one cell; variations inherit their parent's."""
    header = [
        "ID",
        "Type",
        "SKU",
        "Name",
        "Published",
        "Regular price",
        "Categories",
        "Images",
        "Parent",
        "Brands",
    ]
    rows = []
    for n, good in enumerate(goods, start=10):
        images = ", ".join(good.images)
        rows.append(
            [str(n), "variable", good.id, good.title, "1", good.price, "Home", images, "", good.brand]
        )
        rows.append([f"{n}00", "variation", f"{good.id}-S", "", "1", good.price, "", "", good.id, ""])
        rows.append([f"{n}01", "variation", f"{good.id}-M", "", "1", good.price, "", "", f"id:{n}", ""])
    return [header, *rows]


def google(goods: Sequence[Good]) -> Table:
    """A text feed of Merchant Center: further pictures separated by commas, one address with a comma."""
    header = ["id", "title", "description", "link", "image link", "additional image link", "price", "brand"]
    rows = [
        [g.id, g.title, "d", f"{CDN}/p/{g.id}", g.image(1), ",".join(g.images[1:]), f"{g.price} USD", g.brand]
        for g in goods
    ]
    return [header, *rows]


def meta(goods: Sequence[Good]) -> Table:
    """Commerce Manager: the first row says what is needed, the second is the header."""
    hints = [
        "# Required | A unique id",
        "# Required | The name",
        "# Required | The link",
        "# Optional | More",
    ]
    header = ["id", "title", "image_link", "additional_image_link"]
    return [hints, header, *([g.id, g.title, g.image(1), ",".join(g.images[1:])] for g in goods)]


def amazon(goods: Sequence[Good]) -> Table:
    """A flat file: two rows above the names that count."""
    top = [
        "TemplateType=fptcustom",
        "Version=2024.0101",
        "The top 3 rows are for Amazon.com use only.",
        "",
        "",
        "",
        "",
    ]
    shown = [
        "Seller SKU",
        "Product Name",
        "Brand",
        "Main Image URL",
        "Other Image Url1",
        "Other Image Url2",
        "Price",
    ]
    names = [
        "item_sku", "item_name", "brand_name", "main_image_url", "other_image_url1", "other_image_url2",
        "standard_price",
    ]  # fmt: skip
    rows = [[g.id, g.title, g.brand, g.image(1), g.image(2), g.image(3), g.price] for g in goods]
    return [top, shown, names, *rows]


def amazon_unified(goods: Sequence[Good]) -> Table:
    """The template of 2024 and later, with its attributes' paths."""
    place = "[marketplace_id=ATVPDKIKX0DER]"
    header = [
        "contribution_sku#1.value", f"item_name{place}[language_tag=en_US]#1.value",
        f"main_product_image_locator{place}#1.media_location",
        *(f"other_product_image_locator_{n}{place}#1.media_location" for n in (1, 2)),
    ]  # fmt: skip
    shown = ["SKU", "Item Name", "Main Image URL", "Other Image URL", "Other Image URL"]
    rows = [[g.id, g.title, g.image(1), g.image(2), g.image(3)] for g in goods]
    return [["Settings", "", "", "", ""], header, shown, *rows]


def ebay(goods: Sequence[Good]) -> Table:
    """File exchange: pictures separated by bars; variations follow their listing."""
    header = [
        "*Action(SiteID=US|Country=US|Currency=USD|Version=1193)", "CustomLabel", "*Title", "PicURL",
        "*StartPrice", "Relationship", "RelationshipDetails",
    ]  # fmt: skip
    rows = []
    for good in goods:
        rows.append(["Add", good.id, good.title, "|".join(good.images), good.price, "", "Color=Red;Blue"])
        rows.append(["", "", "", "", good.price, "Variation", "Color=Red"])
        rows.append(["", f"{good.id}-B", "", "", good.price, "Variation", "Color=Blue"])
    return [
        ["#INFO", "Version=0.0.2", "Template= fx_category_template_EBAY_US", "", "", "", ""],
        header,
        *rows,
    ]


def tiktok(goods: Sequence[Good]) -> Table:
    """The batch template: names for machines, for people, what is mandatory, hints."""
    names = ["product_id", "product_name", "seller_sku", "main_image", "image_2", "image_3", "price"]
    shown = ["Product ID", "Product name", "Seller SKU", "Main image", "Image 2", "Image 3", "Retail price"]
    needed = ["Mandatory", "Mandatory", "Optional", "Mandatory", "Optional", "Optional", "Mandatory"]
    hint = [
        "",
        "Enter the name of the product",
        "",
        "Put in the link of a picture, at least 300 x 300",
        "",
        "",
        "",
    ]
    rows = [[g.id, g.title, f"{g.id}-s", g.image(1), g.image(2), g.image(3), g.price] for g in goods]
    return [names, shown, needed, hint, *rows]


def shopee(goods: Sequence[Good]) -> Table:
    """Mass update of media: three rows of names and hints."""
    names = [
        "et_title_product_id",
        "et_title_product_name",
        "ps_item_cover_image",
        *(f"ps_item_image_{n}" for n in "12"),
    ]
    shown = ["Product ID", "Product Name", "Cover image", "Item Image 1", "Item Image 2"]
    rows = [[g.id, g.title, g.image(1), g.image(2), g.image(3)] for g in goods]
    return [names, shown, ["Mandatory", "", "Mandatory", "Optional", "Optional"], *rows]


def shopee_vi(goods: Sequence[Good]) -> Table:
    """The same as it is shown in Vietnamese."""
    names = ["Mã Sản phẩm", "Tên Sản phẩm", "Ảnh bìa", "Hình ảnh sản phẩm 1", "Hình ảnh sản phẩm 2"]
    rows = [[g.id, g.title, g.image(1), g.image(2), g.image(3)] for g in goods]
    return [names, ["Bắt buộc", "Bắt buộc", "Bắt buộc", "", ""], *rows]


def lazada(goods: Sequence[Good]) -> Table:
    header = ["Product Name", "SellerSKU", "Price", *(f"Product Images{n}" for n in (1, 2, 3))]
    return [header, *([g.title, g.id, g.price, g.image(1), g.image(2), g.image(3)] for g in goods)]


def magento(goods: Sequence[Good]) -> Table:
    header = ["sku", "name", "price", "base_image", "additional_images"]
    return [header, *([g.id, g.title, g.price, g.image(1), ",".join(g.images[1:])] for g in goods)]


def prestashop(goods: Sequence[Good]) -> Table:
    header = ["Product ID", "Active (0/1)", "Name *", "Image URLs (x,y,z...)"]
    return [header, *([g.id, "1", g.title, ",".join(g.images)] for g in goods)]


def bigcommerce(goods: Sequence[Good]) -> Table:
    header = [
        "Item Type",
        "Product Code/SKU",
        "Product Name",
        "Price",
        *(f"Product Image File - {n}" for n in (1, 2, 3)),
    ]
    return [header, *(["Product", g.id, g.title, g.price, g.image(1), g.image(2), g.image(3)] for g in goods)]


def wix(goods: Sequence[Good]) -> Table:
    header = ["handleId", "fieldType", "name", "productImageUrl", "price", "brand"]
    rows = []
    for good in goods:
        rows.append([good.id, "Product", good.title, ";".join(good.images), good.price, good.brand])
        rows.append([good.id, "Variant", "", "", "", ""])
    return [header, *rows]


def squarespace(goods: Sequence[Good]) -> Table:
    header = ["Product ID [Non Editable]", "Title", "SKU", "Price", "Hosted Image URLs"]
    return [header, *([g.id, g.title, f"s-{g.id}", g.price, "\n".join(g.images)] for g in goods)]


def etsy(goods: Sequence[Good]) -> Table:
    header = ["TITLE", "PRICE", "CURRENCY_CODE", "IMAGE1", "IMAGE2", "IMAGE3", "SKU"]
    return [header, *([g.title, g.price, "USD", g.image(1), g.image(2), g.image(3), g.id] for g in goods)]


def taobao(goods: Sequence[Good]) -> Table:
    header = ["商品编号", "商品名称", "一口价", "商品图片", "品牌"]
    return [header, *([g.id, g.title, g.price, "|".join(g.images), g.brand] for g in goods)]


def spreadsheet(goods: Sequence[Good]) -> Table:
    """A person's own: a title, an empty row, the names most people use."""
    rows = [[g.id, g.title, ";".join(g.images)] for g in goods]
    return [["Catalogue of spring"], [], ["SKU", "Name", "Image URL"], *rows]


SHOPS: dict[str, Callable[[Sequence[Good]], Table]] = {
    made.__name__: made
    for made in (
        plain, shopify, woocommerce, google, meta, amazon, amazon_unified, ebay, tiktok, shopee, shopee_vi,
        lazada, magento, prestashop, bigcommerce, wix, squarespace, etsy, taobao, spreadsheet,
    )
}  # fmt: skip


def delimited(table: Table, separator: str = ",", encoding: str = "utf-8", newline: str = "\r\n") -> bytes:
    """As CSV."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator, lineterminator=newline).writerows(table)
    return buffer.getvalue().encode(encoding)


def xlsx(table: Table, *, before: Table = ()) -> bytes:
    """As a workbook; `before` is a sheet in front of the catalogue's."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in before or table:
        sheet.append(list(row))
    if before:
        for row in (second := book.create_sheet("Template")) and table:
            second.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def ods(table: Table) -> bytes:
    """As an OpenDocument spreadsheet."""
    office = "urn:oasis:names:tc:opendocument:xmlns"
    rows = "".join(
        "<table:table-row>"
        + "".join(
            '<table:table-cell office:value-type="string">'
            + "".join(f"<text:p>{escape(line)}</text:p>" for line in cell.split("\n"))
            + "</table:table-cell>"
            for cell in row
        )
        + "</table:table-row>"
        for row in table
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{office}:office:1.0" '
        f'xmlns:table="{office}:table:1.0" xmlns:text="{office}:text:1.0" office:version="1.2"><office:body>'
        f'<office:spreadsheet><table:table table:name="Sheet1">{rows}</table:table></office:spreadsheet>'
        "</office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
        f'xmlns:manifest="{office}:manifest:1.0"><manifest:file-entry manifest:full-path="/" '
        f'manifest:media-type="{kind}"/></manifest:manifest>'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", kind, zipfile.ZIP_STORED)
        archive.writestr("content.xml", content, zipfile.ZIP_DEFLATED)
        archive.writestr("META-INF/manifest.xml", manifest, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def products_json(goods: Sequence[Good]) -> bytes:
    """shop.example/products.json of Shopify."""
    products = [
        {
            "id": g.id, "title": g.title, "handle": g.id.lower(), "vendor": g.brand, "product_type": "Home",
            "variants": [{"id": 1, "title": "S", "price": g.price}],
            "images": [{"id": n, "position": n, "src": src} for n, src in enumerate(g.images, start=1)],
        }
        for g in goods
    ]  # fmt: skip
    return json.dumps({"products": products}, indent=1).encode()


def woocommerce_json(goods: Sequence[Good]) -> bytes:
    """Answer of WooCommerce's REST API."""
    return json.dumps([
        {
            "name": g.title, "sku": g.id, "permalink": f"{CDN}/p/{g.id}", "price": g.price,
            "images": [{"src": src, "alt": ""} for src in g.images],
            "attributes": [{"name": "x", "options": []}],
        }
        for g in goods
    ]).encode()  # fmt: skip


def n8n_items(goods: Sequence[Good]) -> bytes:
    """Items as n8n passes them on."""
    items = [
        {"json": {"product_id": g.id, "title": g.title, "image": g.images}, "pairedItem": 0} for g in goods
    ]
    return json.dumps(items).encode()


def json_lines(goods: Sequence[Good]) -> bytes:
    return "\n".join(
        json.dumps(
            {"id": g.id, "title": g.title, "image_link": g.image(1), "additional_image_link": g.images[1:]}
        )
        for g in goods
    ).encode()


def pretty_objects(goods: Sequence[Good]) -> bytes:
    """Objects over several lines, one after the other."""
    return "\n".join(
        json.dumps({"sku": g.id, "name": g.title, "pictures": g.images}, indent=2) for g in goods
    ).encode()


def paged_answer(goods: Sequence[Good]) -> bytes:
    """An answer with figures before its list."""
    items = [{"code": g.id, "title": g.title, "brand": {"name": g.brand}, "photos": g.images} for g in goods]
    return json.dumps({"page": 1, "total": len(items), "meta": {"next": None}, "items": items}).encode()


def google_xml(goods: Sequence[Good], encoding: str = "utf-8") -> bytes:
    """An RSS feed of Merchant Center."""
    items = "".join(
        f"<item><g:id>{escape(g.id)}</g:id><title>{escape(g.title)}</title><g:image_link>{g.image(1)}</g:image_link>"
        + "".join(f"<g:additional_image_link>{src}</g:additional_image_link>" for src in g.images[1:])
        + f"<g:price>{g.price} USD</g:price></item>"
        for g in goods
    )
    head = f'<?xml version="1.0" encoding="{encoding}"?><rss xmlns:g="http://base.google.com/ns/1.0">'
    return f"{head}<channel>{items}</channel></rss>".encode(encoding)


def google_xml_listed(goods: Sequence[Good]) -> bytes:
    """The same with all further pictures in one element."""
    items = "".join(
        f"<item><g:id>{escape(g.id)}</g:id><title>{escape(g.title)}</title><g:image_link>{g.image(1)}</g:image_link>"
        f"<g:additional_image_link>{','.join(g.images[1:])}</g:additional_image_link></item>"
        for g in goods
    )
    return f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{items}</channel></rss>'.encode()


DOCUMENTS: dict[str, Callable[[Sequence[Good]], bytes]] = {
    made.__name__: made
    for made in (
        products_json, woocommerce_json, n8n_items, json_lines, pretty_objects, paged_answer, google_xml,
        google_xml_listed,
    )
}  # fmt: skip
