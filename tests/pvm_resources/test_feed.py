"""Product feeds in XML and by URL: what they may hold, what is refused, and what each fault says."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_jobs.request import JobRequest
from pvm_jobs.source_policy import SourcePolicy
from pvm_resources.http.address_policy import AllowList
from pvm_resources.http.fetcher import Fetcher
from pvm_resources.http.retry import RetryPolicy
from pvm_resources.settings import load_settings
from pvm_resources.sources.admission import Places
from pvm_resources.sources.base import Collected, ProductRecord, ProductSource, Query
from pvm_resources.sources.catalogue import limits
from pvm_resources.sources.catalogue.cells import folded, is_rounded, product_id
from pvm_resources.sources.catalogue.content import held
from pvm_resources.sources.catalogue.file_catalogue import FileCatalogue
from pvm_resources.sources.catalogue.tables import read_rows
from pvm_resources.sources.context import SourceContext
from pvm_resources.sources.registry import product_specs
from pvm_resources.store.oauth_tokens import OAuthTokens
from pvm_resources.store.quotas import Quotas
from tests.standins.serving import Answer, Request, StandIn

QUERY = Query("pillows")
G = 'xmlns:g="http://base.google.com/ns/1.0"'


def packed(data: bytes) -> bytes:
    """Gzip without the time in it: names of tests are the same in every process."""
    return gzip.compress(data, mtime=0)


def rss(items: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return f'{head}<rss version="2.0" {G}><channel><title>Shop</title><link>https://s.example</link>{items}</channel></rss>'


def item(identifier: str = "1", image: str = "https://i.example/1.jpg", more: str = "") -> str:
    return f"<item><g:id>{identifier}</g:id><g:image_link>{image}</g:image_link>{more}</item>\n"


def collect(folder: Path, data: str | bytes, name: str = "feed.xml") -> Collected[ProductRecord]:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return FileCatalogue(path, "pillows").collect(QUERY)


def refs(record: ProductRecord) -> list[str]:
    return [picture.ref for picture in record.pictures]


def codes(found: Collected[ProductRecord]) -> list[str]:
    return [problem.code for problem in found.problems]


RSS = rss("""
<item>
  <g:id>SKU-1</g:id>
  <g:title>Pillow &amp; cover</g:title>
  <g:description>Soft <![CDATA[<b>and</b>]]> grey</g:description>
  <g:link>https://s.example/p/1</g:link>
  <g:image_link>https://i.example/1.jpg</g:image_link>
  <g:additional_image_link>https://i.example/1-2.jpg</g:additional_image_link>
  <g:additional_image_link>
     https://i.example/1-3.jpg
  </g:additional_image_link>
  <g:brand>Soft</g:brand>
  <g:item_group_id>PILLOWS</g:item_group_id>
  <g:shipping><g:country>VN</g:country><g:price>1 USD</g:price></g:shipping>
</item>
<item>
  <title><![CDATA[Gối công thái học 枕头]]></title><link>https://s.example/p/2</link>
  <g:id>SKU-2</g:id><g:image_link>https://i.example/2.jpg?a=1&amp;b=2</g:image_link>
</item>""")

ATOM = f"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" {G}>
<title>Shop</title><link href="https://s.example" rel="self"/>
<entry>
  <id>tag:s.example,2026:1</id><title type="text">Pillow</title>
  <link rel="enclosure" href="https://s.example/pdf"/><link rel="alternate" href="https://s.example/p/1"/>
  <g:id>SKU-1</g:id><g:brand>Soft</g:brand><g:image_link>https://i.example/1.jpg</g:image_link>
</entry>
<entry><g:id>SKU-2</g:id><g:title>Other</g:title><link href="https://s.example/p/2"/>
  <g:image_link>https://i.example/2.jpg</g:image_link></entry>
</feed>"""


def test_an_rss_feed_is_read_with_its_galleries(tmp_path: Path) -> None:
    found = collect(tmp_path, RSS)

    assert (found.status.state, found.problems) == ("ok", ())
    first, second = found.records
    assert (first.external_id, first.title, first.brand, first.url, first.row) == (
        "SKU-1", "Pillow & cover", "Soft", "https://s.example/p/1", 2,
    )  # fmt: skip
    assert refs(first) == [f"https://i.example/1{n}.jpg" for n in ("", "-2", "-3")]
    assert (second.title, second.url) == ("Gối công thái học 枕头", "https://s.example/p/2")
    assert refs(second) == ["https://i.example/2.jpg?a=1&b=2"]


def test_an_atom_feed_is_read_and_googles_id_counts(tmp_path: Path) -> None:
    first, second = collect(tmp_path, ATOM).records

    assert (first.external_id, first.title, first.url, first.brand) == (
        "SKU-1", "Pillow", "https://s.example/p/1", "Soft",
    )  # fmt: skip
    assert (second.external_id, second.title, second.url) == ("SKU-2", "Other", "https://s.example/p/2")


@pytest.mark.parametrize(
    "data",
    [
        RSS.encode("utf-8-sig"),
        RSS.replace('encoding="UTF-8"', 'encoding="utf-16"').encode("utf-16"),
        RSS.replace('<?xml version="1.0" encoding="UTF-8"?>', "").encode(),
        b"\r\n  " + RSS.encode(),
        RSS.replace("xmlns:g=", "xmlns:shop=").replace("<g:", "<shop:").replace("</g:", "</shop:").encode(),
        RSS.replace(G, "").encode(),
        RSS.replace("<g:", "<").replace("</g:", "</").encode(),
        RSS.replace("base.google.com/ns/1.0", "base.google.com/ns/1.0/").encode(),
        RSS.replace("\n", "\r\n").encode(),
        packed(RSS.encode()),
    ],
)  # fmt: skip
def test_dialects_and_encodings(tmp_path: Path, data: bytes) -> None:
    found = collect(tmp_path, data)

    assert [(r.external_id, r.title, len(r.pictures)) for r in found.records] == [
        ("SKU-1", "Pillow & cover", 3),
        ("SKU-2", "Gối công thái học 枕头", 1),
    ]


def test_an_older_encoding_is_read_as_declared(tmp_path: Path) -> None:
    text = rss(item(more="<title>café</title>"), '<?xml version="1.0" encoding="windows-1252"?>')

    assert collect(tmp_path, text.encode("cp1252")).records[0].title == "café"


def test_elements_of_other_vocabularies_are_passed_over(tmp_path: Path) -> None:
    more = '<media:title xmlns:media="m">Not this</media:title><title>This</title><dc:id>x</dc:id>'

    record = collect(tmp_path, rss(item(more=more))).records[0]

    assert (record.external_id, record.title) == ("1", "This")


def test_further_pictures_are_used_up_to_a_limit_and_more_are_said(tmp_path: Path) -> None:
    more = "".join(
        f"<g:additional_image_link>https://i.example/m{n}.jpg</g:additional_image_link>"
        for n in range(limits.MAX_MORE + 4)
    )
    found = collect(tmp_path, rss(item(more=more)))

    assert len(found.records[0].pictures) == 1 + limits.MAX_MORE
    assert (codes(found), found.status.state) == (["catalogue.more"], "ok")


def test_a_further_picture_that_cannot_be_used_costs_itself_alone(tmp_path: Path) -> None:
    more = (
        "<g:additional_image_link>ftp://i.example/x.jpg</g:additional_image_link>"
        "<g:additional_image_link>https://i.example/2.jpg</g:additional_image_link>"
    )
    found = collect(tmp_path, rss(item(more=more)))

    assert refs(found.records[0]) == ["https://i.example/1.jpg", "https://i.example/2.jpg"]
    assert codes(found) == ["catalogue.bad_image"]
    assert (found.status.state, found.status.reason) == ("partial", "1 further pictures could not be used")


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (item(""), "catalogue.no_id"),
        (item(image=""), "catalogue.no_image"),
        (item("x" * 501), "catalogue.bad_id"),
        (item(image="file:///etc/passwd"), "catalogue.bad_image"),
        (item(image="../../etc/passwd"), "catalogue.outside"),
        (item(image="/etc/passwd"), "catalogue.outside"),
        (item(more=f"<g:title>{'x' * 100_001}</g:title>"), "catalogue.row"),
        ("<item/>", "catalogue.no_id"),
        ("<item><g:id><b>1</b></g:id></item>", "catalogue.no_image"),
    ],
)  # fmt: skip
def test_a_bad_item_is_named_by_its_line_and_the_rest_goes_on(tmp_path: Path, bad: str, code: str) -> None:
    found = collect(tmp_path, rss(f"\n{item('first')}{bad.strip()}\n{item('last')}"))

    assert [r.external_id for r in found.records] == ["first", "last"]
    assert codes(found) == [code]
    assert found.problems[0].item == "feed.xml line 3"


BOMB = (
    '<!DOCTYPE rss [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "&{a};&{a};&{a};&{a};&{a};">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (f"{BOMB}{rss(item('&j;'), '')}", "table.unsafe", "DOCTYPE"),
        (
            f'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>{rss(item("&x;"), "")}',
            "table.unsafe",
            "DOCTYPE",
        ),
        (f'<!DOCTYPE rss SYSTEM "http://x.example/x.dtd">{rss(item(), "")}', "table.unsafe", "DOCTYPE"),
        (
            f'<!DOCTYPE rss [<!ENTITY % p SYSTEM "http://x.example/p"> %p;]>{rss(item(), "")}',
            "table.unsafe",
            "DOCTYPE",
        ),
        (f"<?xml version='1.0'?>\n<!DOCTYPE rss>{rss(item(), '')}", "table.unsafe", "line 2"),
        (rss(item("&x;")), "table.syntax", "undefined entity"),
        (rss("<a>" * 40), "table.unsafe", "nested more than 32"),
        (rss(f"<a b='{'x' * 1_200_000}'/>"), "table.unsafe", "a single tag"),
        (rss(f"<!--{'x' * 1_200_000}-->"), "table.unsafe", "a single tag or comment"),
        ("<urlset><url/></urlset>", "table.type", "<urlset>"),
        ('<?xml version="1.0"?><products><product/></products>', "table.type", "<products>"),
        ('<?xml version="1.0"?><svg xmlns="x"/>', "table.type", "an SVG drawing"),
        ("<!DOCTYPE html><html><body>404</body></html>", "table.type", "an HTML page"),
        ("<rss", "table.syntax", "line 1"),
        ("<rss><channel></rss>", "table.syntax", "mismatched tag"),
        (rss(""), "catalogue.no_products", "no rows or items"),
        (rss(item("")), "catalogue.no_products", "line 1"),
        ('<?xml version="1.0" encoding="utf-7"?><rss/>', "table.encoding", "multi-byte"),
        ('<?xml version="1.0" encoding="klingon"?><rss/>', "table.encoding", "klingon"),
        (rss("\x00" + item()), "table.syntax", "not well-formed"),
        (rss("x").encode() + b"\xff\xfe", "table.syntax", "not well-formed"),
        (packed(packed(b"<rss/>")), "table.type", "a gzip archive"),
        (packed(RSS.encode())[:200], "table.truncated", "ends before"),
        (b"\x1f\x8b" + b"\x07" * 60, "table.unreadable", "cannot be read"),
        (packed(b""), "table.empty", "no rows"),
    ],
)
def test_a_feed_that_is_none_or_means_harm(tmp_path: Path, data: str | bytes, code: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        collect(tmp_path, data)

    assert caught.value.code == code
    assert says in caught.value.reason
    assert caught.value.subject == str(tmp_path / "feed.xml")
    assert caught.value.remedy


def test_a_bomb_costs_no_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    with pytest.raises(InputError, match=r"table\.unsafe"):
        collect(tmp_path, f"{BOMB}{rss(item('&j;'), '')}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2_000_000


def test_a_packed_file_that_grows_past_all_measure_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_UNPACKED", 100_000)
    with pytest.raises(InputError, match=r"more than the 100,000 bytes.*table\.too_large"):
        collect(tmp_path, gzip.compress(rss(item() * 5_000).encode()))


def test_a_feed_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    whole = rss(item("1") + item("2") + item("3"))
    found = collect(tmp_path, whole[: whole.index("<g:id>3")])

    assert [r.external_id for r in found.records] == ["1", "2"]
    assert codes(found) == ["catalogue.row"]
    assert "what follows is not read" in found.problems[0].message
    assert found.status.state == "partial"


def test_thousands_of_items_are_read_in_bounded_memory() -> None:
    chance = random.Random(7)
    fillers = (f"<g:description>{chance.randbytes(900).hex()}</g:description>" for _ in range(10_000))
    data = gzip.compress(rss("".join(item(str(n), more=one) for n, one in enumerate(fillers))).encode())
    tracemalloc.start()
    count = sum(1 for _ in read_rows(held("feed", data)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 10_000
    # Unpacked, the feed has 21 MB.
    assert peak < 2_000_000


CELLS = {
    "id": "1",
    "title": "Pillow",
    "brand": "Soft",
    "link": "https://s.example/1",
    "image_link": "https://i.example/1.jpg",
    "additional_image_link": "https://i.example/2.jpg, https://i.example/a,b.jpg",
    "item_group_id": "G",
}
LISTED = {**CELLS, "id": 1, "additional_image_link": CELLS["additional_image_link"].split(", ")}


def table(separator: str, rename: Callable[[str], str]) -> str:
    """Google's columns under other spellings."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator).writerows([map(rename, CELLS), CELLS.values()])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (table("\t", lambda name: name.replace("_", " ")), "feed.tsv"),
        (table(",", str.title), "feed.csv"),
        (table(";", lambda name: f"g:{name}"), "feed.csv"),
        (json.dumps(LISTED), "feed.jsonl"),
        (json.dumps(CELLS), "feed.jsonl"),
        (packed(table("\t", str).encode()), "feed.tsv.gz"),
    ],
)
def test_googles_names_are_taken_in_tables_too(tmp_path: Path, data: str | bytes, name: str) -> None:
    record = collect(tmp_path, data, name).records[0]

    assert (record.external_id, record.title, record.brand, record.url) == (
        "1", "Pillow", "Soft", "https://s.example/1",
    )  # fmt: skip
    assert refs(record) == [f"https://i.example/{name}.jpg" for name in ("1", "2", "a,b")]


def test_our_own_column_names_win_over_googles(tmp_path: Path) -> None:
    record = collect(tmp_path, "id,product_id,image,link,url\n7,A,a.jpg,x,y\n", "p.csv").records[0]

    assert (record.external_id, record.url) == ("A", "y")


def test_further_pictures_beside_a_file_may_be_files(tmp_path: Path) -> None:
    text = 'id,image_link,additional_image_link\n1,a.jpg,"b.jpg, c.jpg,../d.jpg"\n'
    found = collect(tmp_path, text, "p.csv")

    assert [p.path for p in found.records[0].pictures] == [tmp_path / f"{n}.jpg" for n in "abc"]
    assert codes(found) == ["catalogue.outside"]


class Shop(StandIn):
    """A server whose feed is what the test puts there."""

    page = Answer()

    def answer(self, request: Request) -> Answer:
        if request.path == "/moved":
            return Answer(302, headers={"Location": "/feeds/all.xml"})
        return self.page


class Kept(dict[str, Any]):
    """Answers that are kept as JSON, as the database keeps them."""

    def put(self, key: str, answer: Any) -> None:
        self[key] = json.loads(json.dumps(answer))


def source_of(location: str, context: SourceContext) -> ProductSource:
    """The source that a request's location names."""
    source = product_specs([location])[0].make(context)
    assert isinstance(source, ProductSource)
    return source


@dataclass(frozen=True)
class Stand:
    """A feed on a server, and what its source is given."""

    context: SourceContext
    shop: Shop
    kept: Kept

    @property
    def url(self) -> str:
        return self.at("/feeds/all.xml?key=geheim")

    def put(self, page: str | bytes, status: int = 200) -> Stand:
        body = page.encode() if isinstance(page, str) else page
        self.shop.page = Answer(status, body, "text/plain")
        return self

    def collect(self, url: str = "") -> Collected[ProductRecord]:
        return source_of(url or self.url, self.context).collect(QUERY)

    def at(self, path: str) -> str:
        return urljoin(self.shop.url, path)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A feed behind a URL; the real fetcher asks for it, once."""
    kept = Kept()
    fetcher = Fetcher(allow=AllowList.parse("127.0.0.1"), retries=RetryPolicy(attempts=1))
    with Shop() as shop:
        made = SourceContext(
            load_settings(tmp_path / "absent.env"), "pillows", kept, cast(OAuthTokens, None),
            cast(Quotas, None), fetcher, SourcePolicy(), tmp_path, lambda line: None,
        )  # fmt: skip
        yield Stand(made, shop, kept)


def test_a_feed_by_url_is_a_product_source(stand: Stand, tmp_path: Path) -> None:
    assert isinstance(source_of(stand.url, stand.context), ProductSource)
    assert isinstance(source_of(str(tmp_path / "x.csv"), stand.context), FileCatalogue)


def test_a_feed_is_fetched_once_for_a_job(stand: Stand) -> None:
    stand.put(gzip.compress(RSS.encode()))

    first, second = stand.collect(), stand.collect()

    assert stand.shop.counts == {"/feeds/all.xml": 1}
    assert (first.records, second.status.state) == (second.records, "ok")
    assert all(picture.path is None for record in first.records for picture in record.pictures)


def test_a_feed_with_faults_is_read_anew_once_it_was_corrected(stand: Stand) -> None:
    assert stand.put(rss(item("1") + item(""))).collect().status.state == "partial"
    assert not stand.kept

    assert len(stand.put(rss(item("1") + item("2"))).collect().records) == 2


@pytest.mark.parametrize(
    ("image", "address"),
    [
        ("https://i.example/1.jpg", "https://i.example/1.jpg"),
        ("//i.example/1.jpg", "http://i.example/1.jpg"),
        ("/img/1.jpg", "/img/1.jpg"),
        ("img/1.jpg", "/feeds/img/1.jpg"),
        ("../1.jpg", "/1.jpg"),
        ("../../../../etc/passwd", "/etc/passwd"),
    ],
)
def test_relative_pictures_are_taken_from_the_feeds_address(stand: Stand, image: str, address: str) -> None:
    (record,) = stand.put(f"id,image_link\n1,{image}\n").collect().records

    assert (refs(record), record.pictures[0].path) == ([stand.at(address)], None)


def test_a_feed_that_has_moved_has_its_pictures_where_it_is_now(stand: Stand) -> None:
    (record,) = stand.put("id,image_link\n1,1.jpg\n").collect(stand.at("/moved")).records

    assert refs(record) == [stand.at("/feeds/1.jpg")]


@pytest.mark.parametrize(
    "image", ["file:///etc/passwd", "ftp://x/1.jpg", "data:image/png;base64,x", "//[::1/x"]
)
def test_a_remote_feed_names_only_pictures_of_the_net(stand: Stand, image: str) -> None:
    found = stand.put(f"id\timage_link\n1\t{image}\n2\thttps://i.example/2.jpg\n").collect()

    assert codes(found) == ["catalogue.bad_image"]
    assert len(found.records) == 1


@pytest.mark.parametrize(
    ("status", "page", "state", "says"),
    [
        (404, "", "failed", "404"),
        (500, "", "failed", "500"),
        (429, "", "rate_limited", "429"),
        (200, "<!DOCTYPE html><html>", "failed", "an HTML page"),
        (200, f"{BOMB}{rss(item('&j;'), '')}", "failed", "DOCTYPE"),
        (200, "", "failed", "0 bytes"),
        (200, "id,title\n1,Pillow\n", "failed", "no column image"),
    ],
)
def test_a_feed_that_cannot_be_had_fails_this_source_alone(
    stand: Stand, status: int, page: str, state: str, says: str
) -> None:
    found = stand.put(page, status).collect()

    assert (found.status.state, found.records) == (state, ())
    assert says in found.status.reason
    assert found.status.remedy
    assert not stand.kept


def test_a_feed_of_a_private_network_is_refused_with_the_setting_that_allows_it(stand: Stand) -> None:
    found = stand.collect("http://10.0.0.1/feed.xml")

    assert found.status.state == "failed"
    assert "PVM_FETCH_ALLOW" in found.status.remedy


def test_no_message_shows_what_may_be_a_key(stand: Stand) -> None:
    found = stand.put(rss(item("1") + item(""))).collect()

    assert found.problems[0].item == f"{stand.at('/feeds/all.xml')}?… line 2"
    assert "geheim" not in repr(found.problems) + repr(found.status)
    failed = stand.put("", 404).collect()
    assert "geheim" not in repr(failed)


def test_half_a_character_is_kept_as_what_a_database_holds(stand: Stand) -> None:
    stand.put('{"id": "1", "title": "a\\ud83d", "image_link": "https://i.example/1.jpg"}').collect()

    assert next(iter(stand.kept.values()))["products"][0]["title"] == "a\ufffd"


TEXTS = st.text(
    st.characters(
        blacklist_categories=["Cs", "Cc", "Cf", "Cn", "Zl", "Zp"], blacklist_characters="\ufffe\uffff"
    ),
    max_size=60,
)
IDS = TEXTS.map(lambda s: " ".join(s.split())).filter(
    lambda s: s and s.isprintable() and product_id(s) == s and not is_rounded(s) and folded(s)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(IDS, TEXTS), min_size=1, max_size=8, unique_by=lambda row: folded(row[0])),
    atom=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_whatever_is_written_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str]], atom: bool, encoding: str
) -> None:
    name = "entry" if atom else "item"
    items = "".join(
        f"<{name}><g:id>{escape(i)}</g:id><title>{escape(t)}</title>"
        f"<link href={quoteattr(f'https://s/{n}')}/>"
        f"<g:image_link>{n}.jpg</g:image_link></{name}>"
        for n, (i, t) in enumerate(rows)
    )
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    text = f"{head}<feed {G}>{items}</feed>" if atom else rss(items, head)
    found = collect(tmp_path, text.encode(encoding))

    assert [(r.external_id, r.title) for r in found.records] == [(i, " ".join(t.split())) for i, t in rows]
    assert [r.url for r in found.records] == [f"https://s/{n}" for n in range(len(rows))]
    assert found.problems == ()


PIECES = (
    *("<item>", "</item>", "<g:id>", "</g:id>", "1", "<g:image_link>", "</g:image_link>", "a.jpg", "&x;"),
    *("<![CDATA[", "]]>", "<!--", "-->", "<!DOCTYPE x>", "<entry>", "</entry>", "</rss>", "\x00", "\ud800"),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.text(max_size=200).map(lambda t: rss(t).encode("utf-8", "replace")),
        st.lists(
            st.sampled_from(
                PIECES
            ),
            max_size=30,
        ).map(lambda parts: rss("".join(parts)).encode("utf-8", "replace")),
        st.binary(max_size=100).map(lambda b: RSS.encode()[: len(b) * 9] + b),
        st.binary(max_size=100).map(lambda b: b"\x1f\x8b\x08" + b),
    )
)  # fmt: skip
def test_no_content_gets_past_the_stated_errors(tmp_path: Path, data: bytes) -> None:
    try:
        found = collect(tmp_path, data)
    except InputError:
        return
    assert found.records
    for record in found.records:
        for picture in record.pictures:
            assert picture.path is None or picture.path.is_relative_to(tmp_path.resolve())


def test_two_feeds_of_one_address_keep_their_own_names_without_their_keys() -> None:
    feeds = [
        "https://s.example/f.csv?key=geheim1",
        "https://s.example/f.csv?key=geheim2",
        "https://s.example/g.csv",
    ]
    labels = [spec.label for spec in product_specs(feeds)]
    assert labels == [
        "https://s.example/f.csv?… (1)",
        "https://s.example/f.csv?… (2)",
        "https://s.example/g.csv",
    ]
    assert [spec.label for spec in product_specs(feeds[:1])] == ["file"]


def test_an_address_as_answers_show_it_is_no_address_to_fetch(tmp_path: Path) -> None:
    places = Places(tmp_path)
    shown = places.shown("https://s.example/f.csv?key=geheim")
    with pytest.raises(InputError, match=r"without its query.*source\.url"):
        places.admit(JobRequest(products=(shown,)))
