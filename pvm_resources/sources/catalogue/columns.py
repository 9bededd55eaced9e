"""What the columns of a catalogue mean, recognised by their names as shops and spreadsheets write them.

Names come from the exports and templates of Shopify, WooCommerce, Magento, PrestaShop, BigCommerce, Wix,
Squarespace, Etsy, Google Merchant Center and Meta, Amazon (flat files and listing reports), eBay (file
exchange), TikTok Shop, Shopee, Lazada, Haravan and Sapo, 1688 and Taobao, as of 2026; anything else is said
by `pvm_jobs.catalogue_columns`.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pvm_core.errors import InputError
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.cells import PICTURES, trimmed

REQUIRED: Final = ("product_id", "image")
#: Columns by field, the first that is there counts; of the ids, the first that is not empty in a row.
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    field: tuple(names.split())
    for field, names in {
        "product_id": """
            product_id productid id handle handleid item_sku seller_sku contribution_sku sellersku sku
            sku_id product_sku product_code_sku variant_sku itemid item_id item_number customlabel
            custom_label custom_label_sku et_title_product_id ps_product_id ps_sku_parent_short
            et_title_parent_sku asin asin1 product_code item_code code article_number article reference
            model gtin ean upc barcode variant_barcode mpn mã_sản_phẩm mã_sp mã_hàng mã id_sản_phẩm
            sku_sản_phẩm đường_dẫn_alias 商品id 商品编号 商品編號 货号 貨號 编号 产品编号 宝贝id
            商品コード artikelnummer référence referencia codigo código артикул
        """,
        "image": """
            image image_link image_url image_src imageurl main_image_url main_image
            main_product_image_locator mainimage picurl pic_url item_photo_url images image_urls
            image_links productimageurl product_image_url product_image product_images product_images1
            base_image hosted_image_urls ps_item_cover_image cover_image featured_image primary_image
            photo photos photo_url picture pictures picture_url img img_url imgs thumbnail thumbnail_url
            gallery media variant_image ảnh ảnh_bìa hình_ảnh ảnh_chính ảnh_sản_phẩm hình link_hình
            link_ảnh ảnh_đại_diện 图片 圖片 主图 主圖 图片链接 图片地址 商品图片 商品主图 宝贝图片 画像
            bild bild_url imagen foto изображение
        """,
        "title": """
            title name product_name productname item_name product_title item_title et_title_product_name
            ps_product_name tên tên_sản_phẩm tiêu_đề tên_hàng 标题 標題 商品名称 商品名稱 产品名称
            宝贝名称 宝贝标题 商品标题 名称 商品名 titel nom nombre название
        """,
        "brand": """
            brand vendor brand_name brands manufacturer c:brand thương_hiệu nhà_cung_cấp nhãn_hiệu 品牌
            marke marque marca бренд
        """,
        "url": """
            url link product_url producturl permalink product_link page_url item_url view_item_url
            canonical_link 链接 商品链接 liên_kết link_sản_phẩm
        """,
        "price": """
            price sale_price variant_price regular_price standard_price start_price startprice
            your_price current_price product_price amount giá giá_bán 价格 價格 售价 一口价 価格 preis
            prix precio цена
        """,
        "description": """
            description body_html body product_description item_description desc long_description
            full_description short_description et_title_product_description ps_product_description
            mô_tả mô_tả_sản_phẩm mô_tả_chi_tiết 描述 商品描述 产品描述 宝贝描述 商品説明 beschreibung
            descripción descrição descrizione описание
        """,
        "category": """
            category product_type categories product_category category_name category_path
            primarycategory ps_category et_title_category google_product_category fb_product_category
            item_type_keyword danh_mục ngành_hàng loại_sản_phẩm nhóm_hàng 类目 分类 分類 商品分类 宝贝类目
            カテゴリ kategorie catégorie categoría categoria категория
        """,
        "availability": """
            availability stock_status in_stock in_stock? is_in_stock product_availability
            estimated_availability stock stock_quantity quantity qty inventory inventory_qty
            variant_inventory_qty available available_quantity ps_stock tình_trạng_kho tồn_kho số_lượng
            库存 庫存 数量 在庫 bestand наличие
        """,
        "updated_at": """
            updated_at date_modified date_modified_gmt last_modified modified_at last_updated date_updated
            lastmodified ngày_cập_nhật 更新时间 更新時間 更新日
        """,
        "currency": "currency currency_code price_currency tiền_tệ 货币 币种",
        "parent": "parent_sku parent parent_id parent_product_id variant_group_id",
    }.items()
}
#: Further pictures: these columns, and the same with a number after them.
_FURTHER: Final = """
additional_image_link additional_image_links additional_images additional_image_urls other_image_url
other_image other_images other_product_image_locator more_images image images image_url image_link photo
picture picture_url item_image ps_item_image product_images product_image product_image_file
product_image_url picurl gallery gallery_images variant_image ps_item_image_per_variation swatch_image_url
hình_ảnh hình_ảnh_sản_phẩm ảnh ảnh_phụ 图片 副图 细节图 详情图
"""
MORE: Final = tuple(_FURTHER.split())
_NUMBERED: Final = re.compile(r"(.+?)_?(\d{1,3})")
#: Fields that some exports name otherwise than all others, by columns that only they have.
_SPECIAL: Final[tuple[tuple[frozenset[str], Mapping[str, tuple[str, ...]]], ...]] = (
    # Shopify: a product is its handle; its own ids and a variant's SKU come later.
    (
        frozenset(("handle", "image_src")),
        {"product_id": ("handle",), "category": ("type", "product_category")},
    ),
    # WooCommerce: ids are of the shop's database, SKUs of the seller; either may be empty.
    (frozenset(("id", "sku", "images", "type")), {"product_id": ("sku", "id")}),
    # eBay: the seller's own label, else eBay's number.
    (frozenset(("picurl",)), {"product_id": ("customlabel", "custom_label_sku", "itemid", "item_number")}),
)  # fmt: skip
#: Words of templates' rows of hints below the header.
_HINT_WORDS: Final = """
mandatory optional required conditional conditional_mandatory preferred recommended bắt_buộc không_bắt_buộc
tùy_chọn 必填 选填 必須 任意
"""
_HINTS: Final = frozenset(_HINT_WORDS.split())
#: Columns that say a property of a product, kept under these names; exports of pairs name theirs themselves.
ATTRIBUTES: Final[Mapping[str, str]] = {
    name: attribute
    for attribute, names in {
        "color": "color colour color_name màu_sắc màu 颜色 顏色 couleur farbe cor",
        "size": "size size_name kích_thước kích_cỡ 尺码 尺寸 größe taille talla",
        "material": "material material_type fabric_type chất_liệu 材质 材料 matière",
        "pattern": "pattern pattern_name",
        "style": "style style_name",
        "condition": "condition condition_type item_condition",
        "gender": "gender target_gender department",
        "age_group": "age_group",
        "gtin": "gtin ean upc barcode variant_barcode external_product_id",
        "mpn": "mpn part_number manufacturer_part_number",
        "weight": "weight shipping_weight item_weight cân_nặng 重量",
    }.items()
    for name in names.split()
}
#: A column that holds several properties.
_SEVERAL: Final = ("attributes", "thuộc_tính", "属性")
_PAIR_NAME: Final = re.compile(r"(?:attribute_(\d{1,2})_name|option(\d{1,2})_name)")
_BRACKETS: Final = re.compile(r"\[[^\]]{0,200}\]|\([^)]{0,200}\)|#\d+\.[\w.]+")
_MARKS: Final = re.compile(r"[-_./]")
_NAMES_SHOWN: Final = 200


def normalised(name: str) -> str:
    """A column's name as `SYNONYMS` has it: lower case, white space and marks as underscores, without what
    templates add in brackets and without the star of what is required."""
    plain = unicodedata.normalize("NFC", trimmed(name[:1_000])).lower().removeprefix("g:").strip("* ")
    if plain.endswith("(sku)"):
        # "Custom label (SKU)" is another column than "Custom label".
        plain = plain[:-5] + " sku"
    elif any(mark in plain for mark in "[(#"):
        plain = _BRACKETS.sub(" ", plain)
    return "_".join(_MARKS.sub(" ", plain).split())


@dataclass(frozen=True)
class Columns:
    """Where the fields of a product stand in a row.

    Attributes:
        ids: places of the product's id, the first that is not empty counts.
        image: place of the picture; None where the further pictures' columns hold all there are.
        more: places of further pictures.
        texts: places of the other fields, the first that is not empty counts.
        also: place of a second id by which other rows name this one as their parent.
        relation: place of what says that a row is a variation of the row before.
        attributes: name and place of the product's properties; without a name the cell holds several.
        pairs: places of the name and of the value of properties that the rows name themselves.
        names: the header, for messages.
    """

    ids: tuple[int, ...]
    image: int | None
    more: tuple[int, ...]
    texts: Mapping[str, Sequence[int]]
    also: int | None = None
    relation: int | None = None
    attributes: tuple[tuple[str, int], ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def usable(self) -> bool:
        """Whether id and picture are there."""
        return bool(self.ids) and (self.image is not None or bool(self.more))

    @property
    def recognised(self) -> int:
        """How many fields were found."""
        return bool(self.ids) + (self.image is not None) + len(self.texts) + bool(self.more)

    def is_hint(self, cells: Sequence[str]) -> bool:
        """True for a row below the header that holds names or hints in place of a product."""
        image = _at(cells, self.image)
        if _like_picture(image):
            return False
        words = [normalised(_at(cells, place)) for place in self.ids[:1]]
        words += [] if "/" in image else [normalised(image)]
        hinted = (*words, normalised(_at(cells, next(iter(self.texts.get("title", ())), None))))
        return any(w in _HINTS for w in hinted) or any(w in _KNOWN for w in words) or len(image.split()) > 3


def _at(cells: Sequence[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _like_picture(text: str) -> bool:
    lower = trimmed(text).lower()
    return lower.startswith(("http://", "https://", "//", "www.", "data:")) or lower.endswith(PICTURES)


_KNOWN: Final = frozenset((*SYNONYMS["product_id"], *SYNONYMS["image"], *SYNONYMS["title"], *MORE, *_HINTS))


def columns_of(names: Sequence[str], given: Mapping[str, str] | None = None) -> Columns:
    """What columns of these names mean.

    Args:
        given: columns that the user named, by field; they win.

    Raises:
        InputError: ``table.columns``: a column that the user named is not there, without a subject.
    """
    header = [normalised(name) for name in names]
    first: dict[str, int] = {}
    for place, name in enumerate(header):
        first.setdefault(name, place)
    said = _said(names, header, given or {})
    special = next((fields for marks, fields in _SPECIAL if marks <= first.keys()), {})
    found = {
        field: [first[name] for name in special.get(field, synonyms) if name in first]
        for field, synonyms in SYNONYMS.items()
    }
    if "type" not in first and found["parent"] == [first.get("parent")]:
        # Without WooCommerce's type, a parent is anything.
        found["parent"] = []
    found |= {field: [place] for field, place in said.items() if field != "more_images"}
    ids = tuple(found.pop("product_id")[: None if special else 1])
    image = found.pop("image")[:1]
    texts = {
        field: kept
        for field, places in found.items()
        if (kept := [p for p in places if p not in (*ids, *image)])
    }
    taken = {*ids, *image, *(place for places in texts.values() for place in places)}
    more = tuple(
        place
        for place, name in enumerate(header)
        if place not in taken and (place == said.get("more_images") or _is_more(name))
    )
    other = first.get("id") if "parent" in texts and ids[:1] != (first.get("id"),) else None
    return Columns(
        ids, next(iter(image), None), more, texts, other, first.get("relationship"),
        _attributes(header, {*taken, *more}), _pairs(first), tuple(names),
    )  # fmt: skip


def _attributes(header: Sequence[str], taken: set[int]) -> tuple[tuple[str, int], ...]:
    found = {
        ATTRIBUTES[name]: place
        for place, name in reversed(list(enumerate(header)))
        if name in ATTRIBUTES and place not in taken
    }
    several = next((place for place, name in enumerate(header) if name in _SEVERAL), None)
    if several is not None:
        found[""] = several
    return tuple(sorted(found.items()))


def _pairs(first: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """WooCommerce's ``Attribute 1 name`` with ``Attribute 1 value(s)``, Shopify's ``Option1 Name`` with
    ``Option1 Value``."""
    found = []
    for name, place in first.items():
        if pair := _PAIR_NAME.fullmatch(name):
            stem = name.removesuffix("_name")
            value = next(
                (first[f"{stem}_{end}"] for end in ("value", "values") if f"{stem}_{end}" in first), -1
            )
            found += [(place, value)] if value >= 0 and pair else []
    return tuple(found)


def _is_more(name: str) -> bool:
    if name in MORE:
        return True
    numbered = _NUMBERED.fullmatch(name)
    return numbered is not None and numbered.group(1) in MORE


def _said(names: Sequence[str], header: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    exact = {trimmed(name): place for place, name in reversed(list(enumerate(names)))}
    plain = {name: place for place, name in reversed(list(enumerate(header)))}
    for field_name, column in given.items():
        place = exact.get(column, plain.get(normalised(column)))
        if place is None:
            near = difflib.get_close_matches(column, [name for name in exact if name][:500], n=1, cutoff=0.5)
            hint = f"did you mean {near[0][:80]!r}? " if near else ""
            reason = f"there is no column {column[:80]!r} for {field_name} ({hint}found: {shown(names)})"
            raise InputError("table.columns", "", reason, "Correct --map, or the columns of the request")
        found[field_name] = place
    return found


def shown(names: Sequence[str]) -> str:
    """The names of columns for a message."""
    return (
        ", ".join(plain for name in names[:100] if (plain := trimmed(name[:_NAMES_SHOWN])))[:_NAMES_SHOWN]
        or "none"
    )


def check(subject: str, columns: Columns) -> None:
    """Judges whether a header is that of a catalogue.

    Raises:
        InputError: ``table.columns``, ``table.limits``.
    """
    if len(columns.names) > limits.MAX_COLUMNS:
        raise limits.over(subject, "columns", limits.MAX_COLUMNS, len(columns.names))
    pictures = columns.image is not None or columns.more
    missing = [name for name, there in zip(REQUIRED, (columns.ids, pictures), strict=True) if not there]
    if missing:
        raise InputError(
            "table.columns",
            subject,
            f"no column {' and no column '.join(missing)} in its first rows (found: {shown(columns.names)})",
            'Name the columns so, or say which they are: --map product_id="SKU",image="Image URL"',
        )
    header = [normalised(name) for name in columns.names]
    for place in (columns.ids[0], columns.image):
        if place is not None and header[place] in REQUIRED and header.count(header[place]) > 1:
            reason = f"the column {header[place]} stands in its header more than once"
            raise InputError("table.columns", subject, reason, "Rename or remove one of them")
