"""Catalogues as shops export them: recognised by their header, in every form, encoding and separator."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_resources.sources.base import Collected, ProductRecord, Query
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from tests.pvm_resources import shop_exports as exports
from tests.pvm_resources.shop_exports import EXPECTED, GOODS, SHOPS, Good, delimited, ods, xlsx

QUERY = Query("")


def collect(
    folder: Path, data: bytes | str, name: str = "c.csv", columns: dict[str, str] | None = None
) -> Collected[ProductRecord]:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return FileCatalogue(path, "n", columns=columns).collect(QUERY)


def galleries(found: Collected[ProductRecord]) -> dict[str, list[str]]:
    return {record.external_id: [picture.ref for picture in record.pictures] for record in found.records}


def codes(found: Collected[ProductRecord]) -> list[str]:
    return [problem.code for problem in found.problems]


@pytest.mark.parametrize("shop", SHOPS)
@pytest.mark.parametrize(
    "write",
    [
        delimited,
        lambda table: delimited(table, ";", "utf-8-sig"),
        lambda table: delimited(table, "\t", "utf-16"),
        xlsx,
        ods,
    ],
    ids=["csv", "semicolons", "utf-16 tabs", "xlsx", "ods"],
)
def test_an_export_is_recognised_by_its_header(
    tmp_path: Path, shop: str, write: Callable[[exports.Table], bytes]
) -> None:
    found = collect(tmp_path, write(SHOPS[shop](GOODS)), "export")
    assert galleries(found) == EXPECTED
    assert [record.title for record in found.records] == [good.title for good in GOODS]
    assert (found.status.state, found.problems) == ("ok", ())


@pytest.mark.parametrize("form", exports.DOCUMENTS)
def test_a_document_is_recognised_by_its_content(tmp_path: Path, form: str) -> None:
    found = collect(tmp_path, exports.DOCUMENTS[form](GOODS), "export")
    assert galleries(found) == EXPECTED
    assert [record.title for record in found.records] == [good.title for good in GOODS]
    assert (found.status.state, found.problems) == ("ok", ())


def test_brand_price_and_page_are_kept_where_the_format_has_them(tmp_path: Path) -> None:
    for shop in ("shopify", "woocommerce", "amazon", "google"):
        first = collect(tmp_path, delimited(SHOPS[shop](GOODS))).records[0]
        assert (first.brand, first.price) == ("Soft", "12.50")
    google = collect(tmp_path, delimited(SHOPS["google"](GOODS), "\t")).records[0]
    assert (google.currency, google.url) == ("USD", f"{exports.CDN}/p/K-1")
    for form in ("products_json", "woocommerce_json"):
        assert collect(tmp_path, exports.DOCUMENTS[form](GOODS)).records[0].price == "12.50"


# -- encodings -----------------------------------------------------------------------------------------

TITLES = {
    "gb18030": "人体工学枕头 记忆棉 原味酸奶 蓝色手机壳 防水背包 儿童连衣裙 保温杯 无线蓝牙耳机 键盘 充电宝",
    "big5": "人體工學枕頭 記憶棉 原味優格 藍色手機殼 防水背包 兒童洋裝 保溫杯 無線藍牙耳機 鍵盤 行動電源",
    "cp932": "人間工学枕 プレーンヨーグルト 青いスマホケース 防水リュック 子供用ワンピース ステンレス",
    "cp949": "인체공학 베개 플레인 요거트 파란색 케이스 방수 가방 어린이 원피스 무선 이어폰 키보드",
    "cp1252": "Café Größe Joghurt süß Kissen für müde Rücken Händler Tasche weiß Übergröße Bürste grün Fuß",
    "cp1250": "Poduszka żółta świeży jogurt łóżko dziecięce plecak książka źródło światła ścierka",
    "cp1251": "Подушка ортопедическая йогурт чехол рюкзак детский летнее платье беспроводная мышь",
}


@pytest.mark.parametrize("encoding", TITLES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
@example(seed=272)
@example(seed=818)
def test_an_encoding_without_a_mark_is_recognised_and_said(tmp_path: Path, encoding: str, seed: int) -> None:
    chance, words = random.Random(seed), TITLES[encoding].split()
    goods = [Good(f"K-{n}", " ".join(chance.sample(words, 3))) for n in range(20)]
    found = collect(tmp_path, delimited(exports.spreadsheet(goods), ";", encoding))
    assert [record.title for record in found.records] == [good.title for good in goods]
    assert codes(found) == ["catalogue.encoding"]
    assert found.status.state == "ok", "nothing was lost"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("title", ["Pillow", "枕头 一二三", "Подушка", "Gối công thái học"])
def test_utf_16_without_a_mark_is_recognised(tmp_path: Path, encoding: str, title: str) -> None:
    goods = [Good(f"K-{n}", title) for n in range(3)]
    found = collect(tmp_path, delimited(exports.spreadsheet(goods), "\t", encoding))
    assert [record.title for record in found.records] == [title] * 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=400), head=st.booleans())
def test_bytes_of_no_encoding_end_no_job(tmp_path: Path, data: bytes, head: bool) -> None:
    try:
        found = collect(tmp_path, (b"product_id,image\n1,a.jpg\n" if head else b"") + data)
    except InputError:
        return
    assert found.records


def test_a_feed_in_an_encoding_of_several_bytes_is_read(tmp_path: Path) -> None:
    goods = [Good("K-1", "人体工学枕头")]
    for encoding in ("gb2312", "GBK", "big5", "Shift_JIS"):
        titled = [Good("K-1", "枕")] if encoding in ("big5", "Shift_JIS") else goods
        found = collect(tmp_path, exports.google_xml(titled, encoding))
        assert [record.title for record in found.records] == [titled[0].title]
    lying = (
        exports.google_xml(goods)
        .replace(b'encoding="utf-8"', b'encoding="gbk"')
        .replace("人".encode(), b"\xff\xff")
    )
    with pytest.raises(InputError, match=r"not the gbk.*table\.encoding"):
        collect(tmp_path, lying)


# -- ids -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('="00123"', "00123"),
        ('"=""00123"""', "00123"),
        ("'00456", "00456"),
        ("\u00a0A-1\u00a0", "A-1"),
        ("\u200bA-1\ufeff", "A-1"),
        ("SKU\u00a01", "SKU\u00a01"),
        ("1E5", "1E5"),
        ("'n'", "'n'"),
        ("8934570000028", "8934570000028"),
    ],
)
def test_ids_lose_what_spreadsheets_put_around_them(tmp_path: Path, cell: str, expected: str) -> None:
    assert list(galleries(collect(tmp_path, f"product_id;image\n{cell};a.jpg\n"))) == [expected]


@pytest.mark.parametrize("cell", ["8.93457E+12", "8,93457E+12", "1E+12", "8.9E12"])
def test_an_id_that_a_spreadsheet_has_rounded_is_refused_with_the_remedy(tmp_path: Path, cell: str) -> None:
    found = collect(tmp_path, f"product_id;title;image\n{cell};Ace;a.jpg\n{cell};Arla;b.jpg\nC;x;c.jpg\n")
    assert list(galleries(found)) == ["C"]
    assert codes(found) == ["catalogue.bad_id"] * 2
    assert "a spreadsheet has rounded" in found.problems[0].message
    assert "Format the column as text" in found.problems[0].message


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("8934570000028.0", "8934570000028"), ("8.934570000028e12", "8934570000028"), ("7", "7"),
        ("1234567890123456789012", "1234567890123456789012"), ("12.5", "12.5"),
        ("1e400", "1e400"), ("-3", "-3"),
    ],
)  # fmt: skip
def test_numbers_in_json_are_ids_as_given(tmp_path: Path, number: str, expected: str) -> None:
    assert list(galleries(collect(tmp_path, f'{{"id": {number}, "image": "a.jpg"}}'))) == [expected]


def test_numbers_in_a_workbook_are_ids_as_shown(tmp_path: Path) -> None:
    rows = [
        ["SKU", "Image"],
        [8934570000028, "a.jpg"],
        [12.5, "b.jpg"],
        [8934570000028123456, "c.jpg"],
        ["007", "d.jpg"],
    ]
    found = collect(tmp_path, xlsx(rows), "c.xlsx")  # type: ignore[arg-type]  # numbers are meant
    assert list(galleries(found)) == ["8934570000028", "12.5", "007"]
    assert codes(found) == ["catalogue.bad_id"]


@pytest.mark.parametrize(
    "spellings", [["A", "a"], ["SKU-1", "SKU -1", "sku-1"], ["é", "e\u0301"], ["K1", "K\u200b1"], ["１", "1"]]
)
def test_ids_that_differ_in_what_nobody_sees_are_said_once(tmp_path: Path, spellings: list[str]) -> None:
    rows = "".join(f"{one};{n}.jpg\n" for n, one in enumerate(spellings))
    found = collect(tmp_path, f"product_id;image\n{rows}{rows}B;b.jpg\n")
    assert list(galleries(found)) == [*spellings, "B"]
    assert codes(found) == ["catalogue.near_ids"]
    assert found.status.state == "ok"


# -- pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg; b.png", ["a.jpg", "b.png"]),
        ("a.jpg|b.webp", ["a.jpg", "b.webp"]),
        ("a.jpg\nb.jpg", ["a.jpg", "b.jpg"]),
        ("images/pillow, grey.jpg", ["images/pillow, grey.jpg"]),
        ("a;b.jpg", ["a;b.jpg"]),
        ("https://x.example/w_1,h_2/a.jpg", ["https://x.example/w_1,h_2/a.jpg"]),
        ("https://x.example/a,b.jpg,https://x.example/c.jpg", ["https://x.example/a,b.jpg", "https://x.example/c.jpg"]),
        ("https://x.example/a.jpg?x=1;y=2", ["https://x.example/a.jpg?x=1;y=2"]),
        ("https://x.example/a.jpg;https://x.example/b.jpg", ["https://x.example/a.jpg", "https://x.example/b.jpg"]),
        ("https://x.example/a|https://x.example/b", ["https://x.example/a", "https://x.example/b"]),
        ('["https://x.example/a.jpg", "https://x.example/b.jpg"]', ["https://x.example/a.jpg", "https://x.example/b.jpg"]),
        ("Red=https://x.example/a.jpg|Blue=https://x.example/b.jpg", ["https://x.example/a.jpg", "https://x.example/b.jpg"]),
        ("'https://x.example/a.jpg'", ["https://x.example/a.jpg"]),
        ("“https://x.example/a.jpg”", ["https://x.example/a.jpg"]),
        ("https://x.example/a b.jpg", ["https://x.example/a%20b.jpg"]),
        ("https://x.example/sữa.jpg", ["https://x.example/sữa.jpg"]),
        ("https://x.example/a.jpg?x=1&amp;y=2", ["https://x.example/a.jpg?x=1&y=2"]),
        ("//x.example/a.jpg", ["https://x.example/a.jpg"]),
        ("www.x.example/a.jpg", ["https://www.x.example/a.jpg"]),
        ("cdn.x.example/i/a.jpg", ["https://cdn.x.example/i/a.jpg"]),
        ("https:\\\\x.example\\a.jpg", ["https://x.example/a.jpg"]),
        ("HTTP://x.example/a.jpg", ["HTTP://x.example/a.jpg"]),
        ("\u00a0https://x.example/a.jpg\u200b", ["https://x.example/a.jpg"]),
        (",".join(f"https://x.example/{n}.jpg" for n in range(60)),
         [f"https://x.example/{n}.jpg" for n in range(60)]),
    ],
)  # fmt: skip
def test_pictures_of_one_cell(tmp_path: Path, cell: str, expected: list[str]) -> None:
    data = delimited([["product_id", "image"], ["1", cell]])
    assert galleries(collect(tmp_path, data)) == {"1": expected}


@pytest.mark.parametrize(
    "cell", ["ftp://x.example/a.jpg", "data:image/png;base64,iVBOR", "https://", "htp://x.example/a"]
)
def test_what_cannot_be_repaired_is_explained(tmp_path: Path, cell: str) -> None:
    found = collect(tmp_path, delimited([["product_id", "image"], ["1", cell], ["2", "b.jpg"]]))
    assert (list(galleries(found)), codes(found)) == (["2"], ["catalogue.bad_image"])


@pytest.mark.parametrize(
    ("there", "given_", "found"),
    [
        ("gối ảnh.jpg", "gối ảnh.jpg", True),
        ("a.jpg", "A.JPG", True),
        ("Images/Straße.jpg", "images/STRASSE.jpg", True),
        ("images/a.jpg", "Images\\A.jpg", True),
        ("images/a.jpg", "imagez/a.jpg", False),
    ],
)
def test_files_are_found_under_names_that_differ_in_form_or_case(
    tmp_path: Path, there: str, given_: str, found: bool
) -> None:
    import unicodedata

    path = tmp_path / unicodedata.normalize("NFD", there)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    (record,) = collect(tmp_path, f"product_id;image\n1;{unicodedata.normalize('NFC', given_)}\n").records
    assert record.pictures[0].path is not None
    assert record.pictures[0].path.exists() == found


def test_one_of_two_names_that_differ_in_case_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a.jpg", "A.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (record,) = collect(tmp_path, "product_id;image\n1;A.JPG\n").records
    assert record.pictures[0].path == tmp_path / "A.JPG"


@pytest.mark.parametrize(
    "given_",
    ["C:\\Users\\me\\shop\\images\\a.jpg", "\\\\server\\share\\images\\a.jpg", "/home/me/images/A.jpg"],
)
def test_a_path_of_another_machine_is_refused_with_the_one_that_is_meant(tmp_path: Path, given_: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"x")
    found = collect(tmp_path, delimited([["product_id", "image"], ["1", given_], ["2", "images/a.jpg"]]))
    assert (list(galleries(found)), codes(found)) == (["2"], ["catalogue.outside"])
    assert "did you mean 'images/a.jpg'?" in found.problems[0].message


# -- variants ------------------------------------------------------------------------------------------


def test_a_variant_with_a_picture_of_its_own_inherits_the_rest(tmp_path: Path) -> None:
    rows = [
        ["ID", "Type", "SKU", "Name", "Images", "Parent", "Brands"],
        ["1", "variable", "P", "Pillow", "p.jpg", "", "Soft"],
        ["2", "variation", "P-red", "", "red.jpg", "P", ""],
        ["3", "variation", "P-blue", "", "", "id:1", ""],
        ["4", "variation", "X-1", "", "", "gone", ""],
    ]
    found = collect(tmp_path, delimited(rows))
    assert galleries(found) == {"P": ["p.jpg"], "P-red": ["red.jpg"]}
    assert (found.records[1].title, found.records[1].brand) == ("Pillow", "Soft")
    assert [(p.item, p.code) for p in found.problems] == [("c.csv line 5", "catalogue.no_image")]


def test_a_parent_whose_variants_hold_the_pictures_is_no_fault(tmp_path: Path) -> None:
    rows = [
        ["item_sku", "item_name", "main_image_url", "parent_sku"],
        ["P", "Pillow", "", ""], ["P-1", "", "https://x.example/1.jpg", "P"],
        ["P-2", "", "https://x.example/2.jpg", "P"],
    ]  # fmt: skip
    found = collect(tmp_path, delimited(rows))
    assert [(r.external_id, r.title) for r in found.records] == [("P-1", "Pillow"), ("P-2", "Pillow")]
    assert found.problems == ()


# -- mappings ------------------------------------------------------------------------------------------

ODD: list[list[str]] = [["Ref.", "Denominazione", "Scatto 1", "Scatto 2"], ["7", "Cuscino", "a.jpg", "b.jpg"]]


@pytest.mark.parametrize("write", [delimited, xlsx, ods], ids=["csv", "xlsx", "ods"])
def test_columns_that_no_name_tells_are_named_by_the_user(
    tmp_path: Path, write: Callable[[Sequence[Sequence[str]]], bytes]
) -> None:
    with pytest.raises(InputError, match=r"found: Ref\., Denominazione.*--map.*table\.columns"):
        collect(tmp_path, write(ODD))
    columns = {"product_id": "Ref.", "title": "denominazione", "image": "Scatto 1", "more_images": "Scatto 2"}
    found = collect(tmp_path, write(ODD), columns=columns)
    assert galleries(found) == {"7": ["a.jpg", "b.jpg"]}
    assert found.records[0].title == "Cuscino"


def test_a_mapping_wins_over_what_names_say(tmp_path: Path) -> None:
    rows = [["id", "sku", "image", "photo_hd"], ["1", "A", "small.jpg", "large.jpg"]]
    found = collect(tmp_path, delimited(rows), columns={"product_id": "sku", "image": "photo_hd"})
    assert galleries(found) == {"A": ["large.jpg", "small.jpg"]}


def test_a_mapping_to_no_column_is_refused_with_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'Scato 1' for image \(did you mean 'Scatto 1'"):
        collect(tmp_path, delimited(ODD), columns={"product_id": "Ref.", "image": "Scato 1"})


def test_a_mapping_names_keys_and_elements_too(tmp_path: Path) -> None:
    columns = {"product_id": "mpn", "image": "foto_url"}
    given_ = json.dumps([{"mpn": 7, "id": 1, "foto_url": "a.jpg"}, {"mpn": 8, "id": 2, "foto_url": "b.jpg"}])
    assert galleries(collect(tmp_path, given_, columns=columns)) == {"7": ["a.jpg"], "8": ["b.jpg"]}
    feed = exports.google_xml(GOODS[:1]).replace(b"g:id>", b"g:mpn>").replace(b"g:image_link>", b"foto_url>")
    assert galleries(collect(tmp_path, feed, columns=columns)) == {"K-1": GOODS[0].images}


# -- workbooks -----------------------------------------------------------------------------------------


def test_the_sheet_with_the_products_is_found(tmp_path: Path) -> None:
    notes = [["Read me"], ["Fill in the second sheet"]]
    found = collect(tmp_path, xlsx(exports.tiktok(GOODS), before=notes), "c.xlsx")
    assert galleries(found) == EXPECTED


def test_older_and_macro_workbooks_are_read(tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "data" / "shopee.xls"
    assert galleries(FileCatalogue(old, "n").collect(QUERY)) == EXPECTED
    with_macros = xlsx(exports.wix(GOODS))
    assert galleries(collect(tmp_path, with_macros, "c.xlsm")) == EXPECTED


def test_messages_name_the_row_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    rows = [[], [], ["SKU", "Image"], ["1", "a.jpg"], [], ["", "b.jpg"]]
    found = collect(tmp_path, xlsx(rows), "c.xlsx")
    assert [p.item for p in found.problems] == ["c.xlsx line 6"]


def test_a_workbook_without_products_names_the_sheet_and_its_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column image.*found: SKU, Colour.*table\.columns"):
        collect(tmp_path, xlsx([["SKU", "Colour"], ["1", "red"]]), "c.xlsx")
    with pytest.raises(InputError, match=r"no rows.*table\.empty"):
        collect(tmp_path, xlsx([[""]]), "c.xlsx")


@pytest.mark.parametrize("cut", [40, 400, 2_000])
def test_a_damaged_workbook_is_refused(tmp_path: Path, cut: int) -> None:
    data = xlsx(exports.plain(GOODS))
    with pytest.raises(InputError, match=r"table\.(unreadable|type)"):
        collect(tmp_path, data[:cut] + data[-60:], "c.xlsx")


def test_a_workbook_with_two_cells_far_apart_costs_that_workbook_alone(tmp_path: Path) -> None:
    import io
    import zipfile

    source, out = zipfile.ZipFile(io.BytesIO(xlsx(exports.plain(GOODS)))), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("sheet1.xml"):
                far = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>'
                far += b"</sheetData>"
                data = data.replace(b"</sheetData>", far)
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"table\.(limits|unreadable)"):
        collect(tmp_path, out.getvalue(), "c.xlsx")
