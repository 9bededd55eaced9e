"""What strangers put behind a picture's address: each is refused with its code and a reason that says it.

All of it goes the way a job's pictures go: `Pictures.read`, then `decode_picture`, against a real server.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from pvm_core.errors import MediaError
from pvm_core.images import Picture, decode_picture, encode_jpeg
from pvm_resources.http import AllowList, Fetcher
from tests.pvm_resources.http.conftest import MakeFetcher
from tests.standins.pictures import (
    Answer,
    PictureServer,
    chunked,
    dripping,
    head,
    in_turn,
    raw,
    redirect,
    silent,
    whole,
)

HTML = b"<!doctype html><html><script>alert(1)</script></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def rainbow(width: int = 60, height: int = 40) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


JPEG = encode_jpeg(rainbow(), 90)
PNG = saved(Image.fromarray(rainbow()), "PNG")


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, data: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND", b"")


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.jpg", JPEG)
    return out.getvalue()


def jpeg_claiming(width: int, height: int) -> bytes:
    """The sides in the frame header changed, the data left."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


@dataclass(frozen=True)
class Hostile:
    """What a server does, and what the user is told.

    Attributes:
        says: in the reason or the remedy.
        path: of the URL asked.
    """

    name: str
    answer: Answer
    code: str
    says: str
    retryable: bool = False
    others: dict[str, Answer] = field(default_factory=dict)


def to(url: str) -> Answer:
    return redirect(url)


HOSTILE = (
    # Redirects
    Hostile("to the metadata of a cloud", to("http://169.254.169.254/latest"), "picture.address", "metadata"),
    Hostile("to this machine", to("http://127.0.0.1:22/"), "picture.port", "port 22"),
    Hostile("to this machine in hex", to("http://0x7f000001/"), "picture.address", "to write 127.0.0.1"),
    Hostile("to this machine in IPv6", to("http://[::ffff:127.0.0.1]/"), "picture.address", "this machine"),
    Hostile("to a private network", to("//10.0.0.7/a.jpg"), "picture.address", "private network"),
    Hostile("to a file", to("file:///etc/passwd"), "picture.redirect", "no http(s) address"),
    Hostile("to a script", to("javascript:alert(1)"), "picture.redirect", "no http(s) address"),
    Hostile("to data", to("data:image/png;base64,AAAA"), "picture.redirect", "no http(s) address"),
    Hostile("to gopher", to("gopher://127.0.0.1:6379/_FLUSHALL"), "picture.redirect", "no http(s) address"),
    Hostile("to a user name", to("http://a:b@127.0.0.1/"), "picture.redirect", "user name"),
    Hostile("to nowhere", whole(b"", None, 302), "picture.redirect", "nowhere"),
    Hostile("to no URL", to("http://[::1"), "picture.redirect", "no http(s) address"),
    Hostile("round and round", to("/x"), "picture.redirect", "more than 3 times"),
    Hostile(
        "a long chain", to("/1"), "picture.redirect", "more than 3 times",
        others={"/1": to("/2"), "/2": to("/3"), "/3": to("/4"), "/4": whole(JPEG)},
    ),
    Hostile(
        "a chain to this machine", to("/1"), "picture.address", "this machine",
        others={"/1": to("/2"), "/2": to("http://[::1]/")},
    ),
    # Sizes and times
    Hostile("declared too large", raw(head(content_length=10**9)), "picture.too_large", "1,000,000,000"),
    Hostile("a length beyond counting", raw(head(content_length="9" * 20)), "picture.too_large", "60,000"),
    Hostile("endless", dripping(head(), b"\xff\xd8\xff" * 9_000, 0), "picture.too_large", "60,000"),
    Hostile("endless in chunks", chunked(b"\xff\xd8\xff" * 90_000), "picture.too_large", "60,000"),
    Hostile(
        "smaller declared than sent", raw(head(content_length=500) + JPEG), "picture.truncated", "breaks off"
    ),
    Hostile(
        "larger declared than sent", raw(head(content_length=50_000) + JPEG), "picture.truncated", "ended",
        True,
    ),
    Hostile("a slow drip", dripping(head(), b"\xff\xd8\xff", 0.02), "picture.timeout", "0.8 s in all", True),
    Hostile("headers drop by drop", dripping(b"HTTP/1.1 200", b"k", 0.02), "picture.timeout", "in all", True),
    Hostile("silence", silent(2), "picture.timeout", "no answer in time", True),
    Hostile("empty", whole(b""), "picture.empty", "0 bytes"),
    Hostile("no content", whole(b"", None, 204), "picture.http", "204"),
    Hostile("cut off", whole(JPEG[: len(JPEG) // 2]), "picture.truncated", "breaks off"),
    Hostile("a PNG cut off", whole(PNG[:-40], "image/png"), "picture.truncated", "breaks off"),
    # Bombs
    Hostile(
        "a pixel bomb", whole(png_of(50_000, 50_000, bytes(99)), "image/png"), "picture.bomb", "40 million"
    ),
    Hostile("a JPEG with false sides", whole(jpeg_claiming(60_000, 60_000)), "picture.bomb", "40 million"),
    Hostile(
        "a gzip bomb", whole(gzip.compress(bytes(30_000_000)), content_encoding="gzip"), "picture.too_large",
        "unpacked",
    ),
    Hostile(
        "gzip in gzip", whole(gzip.compress(gzip.compress(JPEG)), content_encoding="gzip"), "picture.type",
        "gzip",
    ),
    Hostile("false gzip", whole(JPEG, content_encoding="gzip"), "picture.encoding", "does not unpack"),
    Hostile(
        "gzip cut off", whole(gzip.compress(JPEG)[:-30], content_encoding="gzip"), "picture.truncated",
        "breaks off", True,
    ),
    Hostile("brotli, not asked for", whole(JPEG, content_encoding="br"), "picture.encoding", "'br'"),
    # Other content
    Hostile("HTML as a picture", whole(HTML), "picture.type", "an HTML page"),
    Hostile("HTML as itself", whole(HTML, "text/html; charset=utf-8"), "picture.type", "text/html"),
    Hostile("a picture as HTML", whole(JPEG, "text/html"), "picture.type", "text/html"),
    Hostile("SVG as itself", whole(SVG, "image/svg+xml"), "picture.type", "SVG"),
    Hostile("SVG as PNG", whole(SVG, "image/png"), "picture.type", "SVG"),
    Hostile("SVG as anything", whole(SVG, None), "picture.type", "SVG"),
    Hostile("PDF", whole(b"%PDF-1.7\n" + JPEG), "picture.type", "a PDF document"),
    Hostile("ZIP", whole(zipped()), "picture.type", "a ZIP archive"),
    Hostile("a program", whole(b"\x7fELF" + bytes(2_000)), "picture.type", "a program"),
    Hostile("GIF and script", whole(b"GIF89a/*" + bytes(9) + b"*/=1;a()"), "picture.truncated", "GIF"),
    Hostile(
        "JPEG and script at once", whole(b"\xff\xd8\xff/*" + HTML * 40 + b"*/\xff\xd9"), "picture.corrupt",
        "does not decode",
    ),
    Hostile(
        "PNG and script at once", whole(b"\x89PNG\r\n\x1a\n" + HTML * 30, "image/png"), "picture.",
        "a PNG picture",
    ),
    Hostile(
        "WebP without a picture", whole(b"RIFF\x20\0\0\0WEBPVP8 " + bytes(24)), "picture.corrupt", "WebP"
    ),
    Hostile("zeros", whole(bytes(5_000)), "picture.type", "zeros"),
    Hostile("one pixel", whole(png_of(1, 1, b"\0abc"), "image/png"), "picture.too_small", "1 x 1"),
    # Other than HTTP
    Hostile("huge headers", raw(head(x="y" * 200_000) + JPEG), "picture.protocol", "proper HTTP"),
    Hostile("headers without end", dripping(head()[:-2], b"X: y\r\n" * 99, 0), "picture.protocol", "proper"),
    Hostile("another protocol", raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "picture.protocol", "proper HTTP"),
    Hostile("two lengths", raw(head(content_length="5, 9") + JPEG), "picture.protocol", "proper HTTP"),
    Hostile(
        "a false chunk", raw(head(transfer_encoding="chunked") + b"zz\r\n"), "picture.protocol", "proper HTTP"
    ),
    Hostile("it hangs up", raw(b""), "picture.unreachable", "cannot be reached", True),
    Hostile("an error, again and again", whole(b"", None, 500), "picture.http", "500", True),
    Hostile("refused", whole(HTML, "text/html", 403), "picture.http", "403: it is refused"),
    Hostile("not there", whole(HTML, "text/html", 404), "picture.http", "404: it is not there"),
)  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_is_refused_with_its_reason(case: Hostile, server: PictureServer, make_fetcher: MakeFetcher) -> None:
    for path, answer in case.others.items():
        server.put(path, answer)
    url = server.put("/x", case.answer)
    with pytest.raises(MediaError) as caught:
        through(make_fetcher(), url)
    error = caught.value
    assert error.code.startswith(case.code), error
    assert case.says in f"{error.reason}. {error.remedy}"
    assert error.retryable is case.retryable
    assert error.subject == url


def through(fetcher: Fetcher, url: str) -> Picture:
    return decode_picture(fetcher.fetch(url).data, url)


CLOSED = (
    "127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7F.1",
    "017700000001", "0177.1", "127.0.0.1.", "127。0。0。1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::1]",
    "[2002:7f00:1::]", "[2002:808:808::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[fe80::1]",
    "[fec0::1]", "[fd00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[4000::1]",
    "10.0.0.1", "10.1", "192.168.0.1", "192.168.1", "172.16.0.1", "172.31.255.255", "169.254.169.254",
    "0xa9fea9fe", "2852039166", "100.64.0.1", "100.100.100.200", "192.0.0.1", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
)  # fmt: skip


@pytest.mark.parametrize("host", CLOSED)
def test_closed_addresses_in_every_notation(host: str, make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(allow=AllowList())
    with pytest.raises(MediaError) as caught:
        through(fetcher, f"http://{host}/a.jpg")
    assert caught.value.code == "picture.address"
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "picture.url"), ("a.jpg", "picture.url"), ("//x.example/a", "picture.url"),
        ("ftp://x.example/a", "picture.url"), ("file:///etc/passwd", "picture.url"),
        ("http://", "picture.url"), ("http://-x/", "picture.url"),
        ("http:///a.jpg", "picture.url"), ("http://[::1", "picture.url"), ("http://a b/", "picture.url"),
        (" http://x.example/", "picture.url"), ("http://x.example/\x00", "picture.url"),
        ("http://x.example:99999/", "picture.url"), ("http://x.example:0/", "picture.url"),
        ("http://user:pw@x.example/", "picture.url"), ("http://x.example\\@127.0.0.1/", "picture.url"),
        ("http://1.2.3.4.5/", "picture.url"), ("http://256.256.256.256/", "picture.url"),
        ("http://0177.0.0.1/", "picture.url"), ("http://[fe80::1%25eth0]/", "picture.url"),
        ("http://①②⑦.0.0.1/", "picture.url"), ("http://٣.1.1.1/", "picture.url"),
        ("http://xn--/", "picture.url"),
        ("http://0x08080808/", "picture.url"), ("http://x.example:22/", "picture.port"),
        ("https://x.example:8443/", "picture.port"), ("http://8.8.8.8:6379/", "picture.port"),
    ],
)  # fmt: skip
def test_what_is_no_usable_url(url: str, code: str, make_fetcher: MakeFetcher) -> None:
    with pytest.raises(MediaError) as caught:
        through(make_fetcher(allow=AllowList()), url)
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert caught.value.reason


def upright(kind: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(rainbow()).transpose(Image.Transpose.ROTATE_90)
    return saved(turned, kind, exif=exif, **options)


def sixteen_bit() -> bytes:
    grey = np.linspace(0, 65_535, 2_400).reshape(40, 60).astype(np.uint16)
    return saved(Image.fromarray(grey), "PNG")


GOOD: dict[str, Callable[[], Answer]] = {
    "JPEG": lambda: whole(JPEG),
    "turned by EXIF": lambda: whole(upright("JPEG", quality=95)),
    "CMYK": lambda: whole(saved(Image.fromarray(rainbow()).convert("CMYK"), "JPEG", quality=95)),
    "progressive": lambda: whole(saved(Image.fromarray(rainbow()), "JPEG", quality=95, progressive=True)),
    "a palette": lambda: whole(saved(Image.fromarray(rainbow()).quantize(255), "PNG"), "image/png"),
    "alpha": lambda: whole(saved(Image.fromarray(rainbow()).convert("RGBA"), "PNG"), "image/png"),
    "WebP": lambda: whole(saved(Image.fromarray(rainbow()), "WEBP", quality=95), "image/webp"),
    "the wrong picture type": lambda: whole(PNG, "image/jpeg"),
    "no type": lambda: whole(PNG, None),
    "octets": lambda: whole(PNG, "application/octet-stream"),
    "in chunks": lambda: chunked(PNG, piece=7),
    "gzip though not asked for": lambda: whole(gzip.compress(PNG), content_encoding="gzip"),
    "gzip in two members": lambda: whole(
        gzip.compress(PNG[:99]) + gzip.compress(PNG[99:]), content_encoding="x-gzip"
    ),
    "deflate": lambda: whole(zlib.compress(PNG), content_encoding="deflate"),
    "after an error": lambda: in_turn(whole(b"", None, 503), whole(JPEG)),
    "after a broken connection": lambda: in_turn(
        raw(head(content_length=999) + b"\xff\xd8\xff"), whole(JPEG)
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_is_accepted_and_looks_as_it_should(
    name: str, server: PictureServer, make_fetcher: MakeFetcher
) -> None:
    url = server.put("/good", GOOD[name]())
    for path, location in (("/3", "/good"), ("/2", "/3"), ("/1", server.url + "/2")):
        server.put(path, redirect(location))
    for at in (url, server.url + "/1"):
        picture = through(make_fetcher(), at)
        assert picture.rgb.shape == (40, 60, 3)
        # JPEG, palettes and CMYK cost some; a turned or an inverted picture costs a hundred levels.
        assert np.abs(picture.rgb.astype(int) - rainbow()).mean() < 16


def test_sixteen_bit_grey(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    url = server.put("/16", whole(sixteen_bit(), "image/png"))
    picture = through(make_fetcher(), url)
    assert abs(int(picture.rgb[20, 0, 0]) - 128) < 3


def test_what_hangs_on_a_picture_is_not_stored(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    """A JPEG that is a ZIP too is a picture; what is stored of it are its pixels."""
    url = server.put("/both", whole(JPEG + zipped()))
    stored = encode_jpeg(through(make_fetcher(), url).rgb)
    assert b"PK\x03\x04" not in stored
    assert zipfile.is_zipfile(io.BytesIO(JPEG + zipped()))
    assert not zipfile.is_zipfile(io.BytesIO(stored))
