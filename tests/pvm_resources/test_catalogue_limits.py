"""What is made to stall a reader of catalogues is refused or cut; no time grows faster than the bytes."""

from __future__ import annotations

import gc
import gzip
import json
import math
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pvm_core.errors import InputError
from pvm_resources.sources.base import Collected, ProductRecord, Query
from pvm_resources.sources.catalogue import limits, schema
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue

_QUERY = Query("")


def read(folder: Path, data: bytes) -> Collected[ProductRecord] | InputError:
    """What becomes of a catalogue of those bytes."""
    path = folder / "p.csv"
    path.write_bytes(data)
    try:
        return FileCatalogue(path, "n").collect(_QUERY)
    except InputError as error:
        return error


def blanks_in_a_list(times: int) -> bytes:
    return b'id,image_link,additional_image_link\n1,a.jpg,"x' + b" " * 60_000 * times + b'http"\n'


def commas_in_a_list(times: int) -> bytes:
    return b'id,image_link,additional_image_link\n1,a.jpg,"https://x/1' + b"," * 60_000 * times + b'"\n'


def header_cells(times: int) -> bytes:
    return b"id," * 20_000 * times + b"image\n1,a.jpg\n"


def json_names(times: int) -> bytes:
    return ("{" + ",".join(f'"k{n}":1' for n in range(330_000 * times)) + "}").encode()


def json_lines_that_are_none(times: int) -> bytes:
    return b'{"id": 1, "image": "a"}\n' + b"1\n" * 2_000_000 * times


def json_depth(times: int) -> bytes:
    return b'{"id": 1, "image": "a", "x": ' + b"[" * 2_000_000 * times


def json_lists(times: int) -> bytes:
    return b'{"id": 1, "image": "a", "x": [' + b"[]," * 1_60_000 * times + b"[]]}"


def packed_rows(times: int) -> bytes:
    return gzip.compress(b"product_id,image\n" + b",\n" * 1_000_000 * times, mtime=0)


def packed_blank_lines(times: int) -> bytes:
    return gzip.compress(b"product_id,image\n" + b"\n" * 3_000_000 * times, mtime=0)


def bad_rows(times: int) -> bytes:
    return b"product_id,image\n" + b",\n" * 1_000_000 * times


def unmatched_quotes(times: int) -> bytes:
    return b"product_id,image\n" + b'"1"x,a.jpg\n' * 90 + b'1,"' + b"a,b\n" * 20_000 * times


def paths_of_many_folders(times: int) -> bytes:
    return b"product_id,image\n" + (b"1," + b"a/" * 2_000 + b"\n") * 1_000 * times


def rows_that_disagree(times: int) -> bytes:
    return b"product_id,title,image\n" + b"".join(b"1,%d,a\n" % n for n in range(40_000 * times))


def bad_ids(times: int) -> bytes:
    return b"product_id,image\n" + b"1E+12,a.jpg\n" * 8_000 * times


def bad_pictures(times: int) -> bytes:
    return b"product_id,image\n" + b"1,ftp://x/a|ftp://x/b\n" * 4_000 * times


def near_names(times: int) -> bytes:
    return b"product_id,image\n" + b"".join(b"%d,images/A%d.JPG\n" % (n, n) for n in range(4_000 * times))


def alike_ids(times: int) -> bytes:
    return (
        b"product_id,image\n"
        + "".join(f"k{' ' * (n % 400)}\u200b{n % 7}x,a.jpg\n" for n in range(20_000 * times)).encode()
    )


def no_encoding(times: int) -> bytes:
    return b"product_id,image\n" + bytes(range(0x80, 0x100)) * 20_000 * times


def utf_16_without_a_mark(times: int) -> bytes:
    return ("product_id,image\n" + "1,a.jpg\n" * 8_000 * times).encode("utf-16-le")


#: What a busy machine adds to a measurement of little.
_NOISE_S = 0.25

ATTACKS = (
    blanks_in_a_list, commas_in_a_list, header_cells, json_names, json_lines_that_are_none, json_depth,
    json_lists, packed_rows, packed_blank_lines, bad_rows, unmatched_quotes, paths_of_many_folders,
    rows_that_disagree, bad_ids, bad_pictures, near_names, alike_ids, no_encoding, utf_16_without_a_mark,
)  # fmt: skip


@pytest.fixture
def alone() -> Iterator[None]:
    """What a test measures is its own: no imports, and no garbage collection of what the whole process holds,
    which takes a second now and then."""
    schema.prepare()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_twice_the_attack_costs_twice_the_time_at_most(
    tmp_path: Path, attack: Callable[[int], bytes]
) -> None:
    def seconds(times: int, most: float = 0.0) -> float:
        """The least of three measurements; of fewer, where one is below `most`."""
        data = attack(times)
        best = math.inf
        for _ in range(3):
            start = time.thread_time()
            found = read(tmp_path, data)
            best = min(best, time.thread_time() - start)
            shown = found.problems if isinstance(found, Collected) else ()
            assert len(shown) <= limits.MAX_PROBLEMS + 1
            if best < most:
                break
        return best

    once = max(seconds(1), _NOISE_S)
    # Quadratic time would be 4 and 100 times as much.
    assert seconds(2, 3.5 * once) < 3.5 * once
    if attack is not rows_that_disagree:
        assert seconds(10, 40 * once) < 40 * once


def test_what_is_refused_says_what_why_and_the_way_out(tmp_path: Path) -> None:
    for attack, says in (
        (header_cells, "20,001 columns, more than the 5,000 allowed"),
        (json_lines_that_are_none, "more rows than the 500,000 allowed"),
        (packed_rows, "packed bytes become more than 100 times as many"),
    ):
        error = read(tmp_path, attack(1))
        assert isinstance(error, InputError)
        assert (error.code, bool(error.remedy)) == ("table.limits", True)
        assert says in error.reason
        assert error.subject.endswith("p.csv")


def test_a_row_beyond_the_limits_costs_itself_alone(tmp_path: Path) -> None:
    good = json.dumps({"product_id": "g", "image": "g.jpg"})
    many = json.dumps({"product_id": "m", "image": "m.jpg"} | {f"k{n}": n for n in range(6_000)})
    long = json.dumps({"product_id": "l", "image": "l.jpg", "text": "x" * limits.MAX_RECORD})
    deep = '{"product_id": "d", "image": "d.jpg", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    found = read(tmp_path, "\n".join((many, long, deep, good)).encode())
    assert isinstance(found, Collected)
    assert [record.external_id for record in found.records] == ["g"]
    said = [problem.message for problem in found.problems]
    assert [word in line for word, line in zip(("names", "characters", "deeply"), said, strict=True)] == [
        True
    ] * 3


def test_problems_beyond_a_thousand_are_counted_by_their_code(tmp_path: Path) -> None:
    rows = b",a.jpg\n" * 1_500 + b"2,\n" * 20 + b"1,a.jpg\n"
    found = read(tmp_path, b"product_id,image\n" + rows)
    assert isinstance(found, Collected)
    assert len(found.problems) == limits.MAX_PROBLEMS + 1
    last = found.problems[-1]
    assert last.code == "catalogue.cut"
    assert "520 more problems" in last.message
    assert "500 x catalogue.no_id" in last.message
    assert "20 x catalogue.no_image" in last.message
    assert "1520 of 1521 rows" in found.status.reason


def test_a_large_catalogue_of_a_shop_is_read(tmp_path: Path) -> None:
    columns = ["id", "image_link", "additional_image_link", *(f"attribute {n}" for n in range(197))]
    pictures = ",".join(f"https://cdn.example/{n}.jpg" for n in range(60))
    rows = (f'{n},https://cdn.example/p{n}.jpg,"{pictures}"{",v" * 197}' for n in range(2_000))
    found = read(tmp_path, "\n".join((",".join(columns), *rows)).encode())
    assert isinstance(found, Collected)
    assert (len(found.records), found.problems) == (2_000, ())
    assert {len(record.pictures) for record in found.records} == {61}


def test_fifty_thousand_rows_are_read_in_memory_that_fits_them(tmp_path: Path) -> None:
    data = b"product_id,title,image\n" + b"".join(
        b"%d,A title of some length %d,https://cdn.example/p%d.jpg\n" % (n, n, n) for n in range(50_000)
    )
    tracemalloc.start()
    found = read(tmp_path, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Collected)
    assert len(found.records) == 50_000
    # 3 MB of text; a record takes about 1.5 kB.
    assert peak < 150_000_000
