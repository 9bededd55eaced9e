"""Catalogue files: what a user may hand in, and what each fault says."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_resources.sources.base import Collected, ProductRecord, ProductSource, Query
from pvm_resources.sources.catalogue.cells import folded, is_rounded, product_id
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

QUERY = Query("pillows")


def collect(path: Path) -> Collected[ProductRecord]:
    return FileCatalogue(path, "pillows").collect(QUERY)


def catalogue(folder: Path, text: str | bytes, name: str = "products.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def codes(found: Collected[ProductRecord]) -> list[str]:
    return [problem.code for problem in found.problems]


PLAIN = "product_id,title,brand,url,image\nA-1,Pillow,Soft,https://x.example/1,a.jpg\nA-1,Pillow,Soft,,b.jpg\nB,,,,c.jpg\n"


def test_it_is_a_product_source() -> None:
    assert isinstance(FileCatalogue(Path("x"), "n"), ProductSource)


def test_a_gallery_is_gathered_under_its_id(tmp_path: Path) -> None:
    found = collect(catalogue(tmp_path, PLAIN))
    assert found.status.state == "ok"
    assert found.problems == ()
    first, second = found.records
    assert (first.external_id, first.title, first.brand, first.url) == (
        "A-1", "Pillow", "Soft", "https://x.example/1",
    )  # fmt: skip
    assert [p.ref for p in first.pictures] == ["a.jpg", "b.jpg"]
    assert first.pictures[0].path == (tmp_path / "a.jpg").resolve()
    assert (second.external_id, second.title, second.namespace, second.row) == ("B", "", "pillows", 4)


def test_a_price_is_read_and_that_of_the_first_variant_stands(tmp_path: Path) -> None:
    text = (
        "product_id,image,price,currency\nA,a.jpg,,\nA,b.jpg,19.99 USD,\nA,c.jpg,24.99 USD,\n"
        'B,b.jpg,"1.299.000",vnd\nC,c.jpg,ask us,\n'
    )
    found = collect(catalogue(tmp_path, text))
    assert [(r.price, r.currency) for r in found.records] == [("19.99", "USD"), ("1299000", "VND"), ("", "")]
    assert found.problems == ()


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "|").encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        ("sep=;\r\n" + PLAIN.replace(",", ";")).encode(),
        PLAIN.replace("product_id,title", " Product ID , TITLE").encode(),
        PLAIN.replace("\n", "\n\n").encode(),
        b"\n\n" + PLAIN.encode(),
        PLAIN.rstrip("\n").encode(),
        PLAIN.replace("image\n", "image,stock,weight\n").encode(),
        "\n".join(json.dumps(row) for row in csv.DictReader(io.StringIO(PLAIN))).encode(),
        "\n".join(json.dumps(row) for row in csv.DictReader(io.StringIO(PLAIN))).encode("utf-8-sig"),
    ],
)
def test_dialects_and_encodings(tmp_path: Path, data: bytes) -> None:
    found = collect(catalogue(tmp_path, data))
    assert [(r.external_id, len(r.pictures), r.title) for r in found.records] == [
        ("A-1", 2, "Pillow"),
        ("B", 1, ""),
    ]


def test_a_semicolon_file_may_hold_commas_in_its_titles(tmp_path: Path) -> None:
    found = collect(catalogue(tmp_path, "product_id;title;image\n1;Pillow, grey, 40x60;a.jpg\n"))
    assert found.records[0].title == "Pillow, grey, 40x60"


def test_a_cell_may_span_lines_and_hold_quotes(tmp_path: Path) -> None:
    text = 'product_id,title,image\n1,"The ""big"" one,\nin grey",a.jpg\n2,5" pillow,b.jpg\n'
    found = collect(catalogue(tmp_path, text))
    assert [r.title for r in found.records] == ['The "big" one,\nin grey', '5" pillow']
    assert found.records[1].row == 4


def test_only_two_columns_are_needed_and_numbers_are_ids_as_given(tmp_path: Path) -> None:
    found = collect(catalogue(tmp_path, '{"product_id": 7, "image": "a.jpg"}\n', "p.jsonl"))
    assert found.records[0].external_id == "7"
    found = collect(catalogue(tmp_path, "image,product_id\na.jpg,007\n"))
    assert found.records[0].external_id == "007"


def test_a_link_is_kept_as_given(tmp_path: Path) -> None:
    url = "https://img.example/a%20b.jpg?x=1&y=2"
    picture = collect(catalogue(tmp_path, f"product_id,image\n1,{url}\n")).records[0].pictures[0]
    assert (picture.ref, picture.path) == (url, None)


def test_repeated_rows_collapse(tmp_path: Path) -> None:
    found = collect(catalogue(tmp_path, "product_id,image\n1,a.jpg\n1,a.jpg\n1,a.jpg\n"))
    assert len(found.records[0].pictures) == 1
    assert found.problems == ()


def test_the_first_of_conflicting_titles_wins_and_is_said(tmp_path: Path) -> None:
    text = "product_id,title,image\n1,,a.jpg\n1,Red,b.jpg\n1,Blue,c.jpg\n1,Red,d.jpg\n"
    found = collect(catalogue(tmp_path, text))
    assert found.records[0].title == "Red"
    assert len(found.records[0].pictures) == 4
    assert codes(found) == ["catalogue.conflict"]
    assert "line 4" in found.problems[0].item
    assert "'Red'" in found.problems[0].message
    assert found.status.state == "ok", "no row was lost"


def test_long_and_foreign_texts_are_kept_whole(tmp_path: Path) -> None:
    title = "Gối công thái học 人体工学枕头 🛏 " * 400
    found = collect(catalogue(tmp_path, f"product_id,title,image\nsản-phẩm/一,{title},ảnh/図 1.jpg\n"))
    record = found.records[0]
    assert len(title) > 10_000
    assert record.title == title.strip()
    assert record.external_id == "sản-phẩm/一"
    assert record.pictures[0].path == (tmp_path / "ảnh" / "図 1.jpg").resolve()


@pytest.mark.parametrize(
    "identifier", ["../../etc/passwd", "a/b", "..", ".", "C:\\x", "'; DROP TABLE x;--", "%2e%2e"]
)
def test_ids_are_texts_and_never_paths(tmp_path: Path, identifier: str) -> None:
    found = collect(catalogue(tmp_path, f"product_id,image\n{identifier},a.jpg\n"))
    assert found.records[0].external_id == identifier


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",a.jpg", "catalogue.no_id"),
        ("   ,a.jpg", "catalogue.no_id"),
        ("x" * 501 + ",a.jpg", "catalogue.bad_id"),
        ("x\x07y,a.jpg", "catalogue.bad_id"),
        ("1,", "catalogue.no_image"),
        ("1", "catalogue.no_image"),
        ("1,../outside.jpg", "catalogue.outside"),
        ("1,sub/../../outside.jpg", "catalogue.outside"),
        ("1,..\\outside.jpg", "catalogue.outside"),
        ("1,/etc/passwd", "catalogue.outside"),
        ("1,link/outside.jpg", "catalogue.outside"),
        ("1,file:///etc/passwd", "catalogue.bad_image"),
        ("1,ftp://x.example/a.jpg", "catalogue.bad_image"),
        ("1,data:image/png;base64", "catalogue.bad_image"),
        ("1,http://", "catalogue.bad_image"),
        ("1,http://x.example:port/a.jpg", "catalogue.bad_image"),
        ("1,https://[::1/a.jpg", "catalogue.bad_image"),
        ("1," + "a" * 5_000, "catalogue.bad_image"),
        ("1,a.jpg,what,is,this", "catalogue.row"),
        ('1,"a.jpg', "catalogue.row"),
        ('"1"x,a.jpg', "catalogue.row"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_goes_on(tmp_path: Path, row: str, code: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path)
    found = collect(catalogue(inside, f"product_id,image\nfirst,1.jpg\n{row}\nlast,2.jpg\n"))
    assert [r.external_id for r in found.records] == ["first", "last"]
    assert codes(found) == [code]
    assert found.problems[0].item == "products.csv line 3"
    assert found.problems[0].message
    assert found.status.state == "partial"


def test_an_absolute_path_inside_the_folder_is_taken(tmp_path: Path) -> None:
    inside = tmp_path / "images" / "a.jpg"
    found = collect(catalogue(tmp_path, f"product_id,image\n1,{inside}\n1,images\\b.jpg\n"))
    assert [p.path for p in found.records[0].pictures] == [
        inside.resolve(),
        (tmp_path / "images" / "b.jpg").resolve(),
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{not json", "catalogue.row"),
        ("[1, 2]", "catalogue.row"),
        ('{"product_id": {"a": 1}, "image": "a.jpg"}', "catalogue.row"),
        ('{"product_id": null, "image": "a.jpg"}', "catalogue.no_id"),
        ('{"image": "a.jpg"}', "catalogue.no_id"),
        ("[" * 100_000, "catalogue.row"),
    ],
)
def test_a_bad_json_line_is_named_and_the_rest_goes_on(tmp_path: Path, line: str, code: str) -> None:
    good = '{"product_id": "g", "image": "a.jpg", "tags": ["x"]}'
    found = collect(catalogue(tmp_path, f"{good}\n{line}\n", "p.jsonl"))
    assert [r.external_id for r in found.records] == ["g"]
    assert codes(found) == [code]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "table.empty", "no rows"),
        (b"  \n\n ", "table.empty", "no rows"),
        (b"\xef\xbb\xbf", "table.empty", "no rows"),
        (b"product_id,image\n", "catalogue.no_products", "no rows"),
        (b"product_id,title\n1,x\n", "table.columns", "no column image"),
        (b"id;shot\n1;x\n", "table.columns", "found: id, shot"),
        (b"1,a.jpg\n2,b.jpg\n", "table.columns", "no column product_id"),
        (b"product_id,image,image\n1,a,b\n", "table.columns", "more than once"),
        (b"product_id,image\n,a.jpg\n", "catalogue.no_products", "line 2"),
        (b"product_id,image\n1,a.jpg\n2,\x81\x8d\x01.jpg\n", "table.encoding", "line 3"),
        (b"product_id,image\n1,a\x00.jpg\n", "table.encoding", "line 2 holds a zero byte"),
        (b"<!DOCTYPE html><html></html>", "table.type", "an HTML page"),
        (b"[{", "table.syntax", "no well-formed JSON"),
        (b'{"orders": [{"id": 1}]}', "catalogue.no_products", "none of its 1 rows"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xff\xfe\xfd", "table.type", "a ZIP archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "table.type", "a PNG picture"),
        (b"%PDF-1.7\n\xff\xfe", "table.type", "a PDF document"),
    ],
)
def test_a_file_that_is_no_catalogue(tmp_path: Path, content: bytes, code: str, says: str) -> None:
    path = catalogue(tmp_path, content)
    with pytest.raises(InputError) as caught:
        collect(path)
    assert caught.value.code == code
    assert says in caught.value.reason
    assert caught.value.subject == str(path)
    assert caught.value.remedy


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.csv", "table.missing"), (tmp_path, "table.type")):
        with pytest.raises(InputError) as caught:
            collect(path)
        assert caught.value.code == code
    closed = catalogue(tmp_path, PLAIN)
    closed.chmod(0)
    if not os.access(closed, os.R_OK):
        with pytest.raises(InputError, match=r"table\.unreadable"):
            collect(closed)


def test_many_unmatched_quotes_give_the_file_up(tmp_path: Path) -> None:
    text = "product_id,image\n" + '"1"x,a.jpg\n' * 200
    with pytest.raises(InputError, match=r"table\.syntax"):
        collect(catalogue(tmp_path, text))


TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=60)
# What spreadsheets put around ids, and numbers that they rounded, have tests of their own.
IDS = TEXTS.map(str.strip).filter(
    lambda s: s and s.isprintable() and product_id(s) == s and not is_rounded(s) and folded(s)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(IDS, TEXTS), min_size=1, max_size=12, unique_by=lambda row: folded(row[0])),
    dialect=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_written_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str]], dialect: str, encoding: str, newline: str
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=dialect, lineterminator=newline)
    writer.writerow(["product_id", "image", "title"])
    for number, (identifier, title) in enumerate(rows):
        writer.writerow([identifier, f"{number}.jpg", title])
    found = collect(catalogue(tmp_path, buffer.getvalue().encode(encoding)))
    assert [(r.external_id, r.title) for r in found.records] == [(i, t.strip()) for i, t in rows]
    assert found.problems == ()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda t: ("product_id,image\n" + t).encode("utf-8", "replace")),
    )
)
def test_no_content_gets_past_the_stated_errors(tmp_path: Path, data: bytes) -> None:
    path = catalogue(tmp_path, data)
    try:
        found = collect(path)
    except InputError:
        return
    for record in found.records:
        for picture in record.pictures:
            assert picture.path is None or picture.path.is_relative_to(tmp_path.resolve())
