"""Malformed HTTP requests, made from good ones: what a hostile or broken caller writes to the socket.

A mutation is drawn by a generator with a seed, so a finding is repeated by its number. It works on every
level: the request line, headers, the framing of the body, JSON values, forms, and single bytes at last.
"""

from __future__ import annotations

import json
import random
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import h11

_BOUNDARY: Final = "b0undary"
#: Values that a program meets once in its life: numbers at the edge, texts that are none, other types.
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**40, 0.1, 1e308, float("nan"), float("inf"),
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "𝄞" * 50, "A" * 300, "A" * 5_000, "%00",
    "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://[", "http://[::1]:99999/",
    "http://a:b@c/", "https://xn--/", "upload:" + "0" * 64 + ".csv", "ebay", "youtube", "accept",
    "'; DROP TABLE jobs; --", "{{7*7}}", "%s%n%(x)s", "1e999", "NaN", "-0", "0x10", "true", "[]", "{}", [],
    {}, [[]], [None], {"": None}, ["ebay"] * 30, [1] * 200, {"a": {"a": {"a": {}}}}, {"\x00": 1},
    {"\ud800": "x"}, {"__proto__": {}},
)  # fmt: skip
_TEXTS: Final = (
    b"", b"%", b"%0", b"%00", b"%zz", b"%ff", b"%ED%A0%80", b"%C0%AF", b"%2e%2e%2f", b"%2F", b"%5C", b"..",
    b"\xff", b"\xc3", b"\x00", b"\t", b"\x0b", b"+", b"'", b'"', b"<b>", b"{}", b"[]", b"&", b"=", b";",
    b"#", b"?", b"@", b"null", b"NaN", b"-1", b"0", b"1e999", b"99999999999999999999", b"true", b"a" * 300,
    b"a" * 9_000, b"%F0%9F%92%A5", b"%E2%80%AE",
)  # fmt: skip
_METHODS: Final = (
    b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"",
    b"FOO", b"P\x00ST", b"A" * 300,
)  # fmt: skip
_HEADERS: Final = (
    (b"Content-Type", b"application/json; charset=utf-16"), (b"Content-Type", b"application/json;;;"),
    (b"Content-Type", b"multipart/form-data"), (b"Content-Type", b"multipart/form-data; boundary="),
    (b"Content-Type", b"multipart/form-data; boundary=" + b"x" * 500), (b"Content-Type", b"\xff"),
    (b"Content-Type", b"application/x-www-form-urlencoded"), (b"Content-Type", b"text/plain"),
    (b"Content-Type", b"application/vnd.x+json"), (b"Content-Length", b"-1"), (b"Content-Length", b"1, 1"),
    (b"Content-Length", b"99999999999999999999"), (b"Content-Length", b"0x10"), (b"Content-Length", b"1e3"),
    (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"gzip, chunked"),
    (b"Transfer-Encoding", b"x"), (b"Expect", b"100-continue"), (b"Expect", b"x"),
    (b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Upgrade", b"h2c"),
    (b"Host", b"evil.example"), (b"Host", b"a:b:c"), (b"Host", b"[::1"), (b"Host", b"\xff"),
    (b"Range", b"bytes=0-"), (b"Range", b"bytes=-"), (b"Range", b"bytes=9-1"),
    (b"Range", b"bytes=" + b"0-1," * 500), (b"Range", b"lines=1-2"), (b"If-None-Match", b"*"),
    (b"If-None-Match", b'W/"' + b"x" * 900 + b'"'), (b"If-Range", b"x"),
    (b"If-Modified-Since", b"yesterday"), (b"Accept", b"*/*;q=nan"), (b"Accept", b"x"),
    (b"Accept-Language", b"vi;q=x, *;q=-1,,;"), (b"Accept-Language", b"a," * 900),
    (b"Cookie", b"pvm_review=x"), (b"Cookie", b"pvm_review=" + b"e30" * 300),
    (b"Cookie", b"\xff=\xff; ; ="), (b"Cookie", b"pvm_lang=zz; pvm_theme=x"), (b"Idempotency-Key", b""),
    (b"Idempotency-Key", b"k"), (b"Idempotency-Key", b"\xff" * 40), (b"Idempotency-Key", b"x" * 300),
    (b"X-Request-ID", b"a\tb"), (b"X-Request-ID", b"x" * 500), (b"Origin", b"null"),
    (b"Origin", b"https://evil.example"), (b"Origin", b"http://["), (b"Referer", b"\xff"),
    (b"X-Forwarded-For", b"1.2.3.4, x"), (b"X-Forwarded-Proto", b"ftp"), (b"Forwarded", b"for=x;;"),
    (b"Authorization", b"Bearer"), (b"Authorization", b"Bearer \xff"), (b"Authorization", b"Basic eDp5"),
    (b"Authorization", b"Bearer pvm_" + b"a" * 8 + b"_" + b"b" * 37), (b"X-API-Key", b"x" * 5_000),
    (b"X-API-Key", b"\xff\xfe"), (b"X-Requested-With", b"review"), (b"Sec-Fetch-Site", b"cross-site"),
    (b"Content-Encoding", b"gzip"), (b"", b"x"), (b"A B", b"x"), (b"X", b"a\x00b"), (b"X", b"a\r\n b"),
)  # fmt: skip


_PARAMETERS: Final = (
    b"limit", b"cursor", b"industry", b"job", b"status", b"min_score", b"all", b"filename", b"image_id",
    b"product", b"verdict", b"history", b"q", b"sort", b"said", b"min", b"max", b"last", b"done", b"back",
    b"lang", b"theme", b"x", b"",
)  # fmt: skip


@dataclass(frozen=True)
class Good:
    """A request that a route takes.

    Attributes:
        name: the route, for people.
        query: pairs as they stand in the address.
        json, fields, file: the body: a JSON value, fields of a form, or a file.
    """

    name: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    json: Any = None
    fields: tuple[tuple[str, str], ...] = ()
    file: tuple[str, bytes] | None = None
    raw: bytes | None = None


@dataclass(frozen=True)
class _Draft:
    """A request before it is written, in pieces that may be wrong each."""

    method: bytes
    path: bytes
    query: tuple[bytes, ...]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    frame: str = "length"
    version: bytes = b"HTTP/1.1"


def mutated(good: Good, number: int) -> bytes:
    """The malformed request of that number."""
    rng = random.Random(f"{good.name}|{number}")
    draft = _draft(good, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        draft = rng.choice(_MUTATIONS)(draft, rng)
    data = _written(draft, rng)
    return _flipped(data, rng) if rng.random() < 0.08 else data


# -- good requests as drafts --------------------------------------------------------------------------


def _draft(good: Good, rng: random.Random) -> _Draft:
    body, kind = _body(good, rng)
    headers = [(b"Host", b"127.0.0.1"), (b"Connection", b"close"), *good.headers]
    if kind:
        headers.append((b"Content-Type", kind))
    query = tuple(f"{quote(name)}={quote(value)}".encode() for name, value in good.query)
    return _Draft(good.method.encode(), good.path.encode(), query, tuple(headers), body)


def _body(good: Good, rng: random.Random) -> tuple[bytes, bytes]:
    if good.raw is not None:
        return _maybe_flipped(good.raw, rng), b"application/octet-stream"
    if good.file is not None:
        kind = f"multipart/form-data; boundary={_BOUNDARY}".encode()
        return _form(good, rng), kind
    if good.fields:
        pairs = "&".join(f"{quote(k)}={quote(v)}" for k, v in good.fields)
        return _maybe_flipped(pairs.encode(), rng), b"application/x-www-form-urlencoded"
    if good.json is not None:
        return _json(good.json, rng), b"application/json"
    return b"", b""


def _json(value: Any, rng: random.Random) -> bytes:
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        value = _changed(value, rng)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.05:
        text = rng.choice(
            (text[:-1], text + text, f"[{text}", f'{{"a":{text}', "[" * 600, text.replace(":", ","))
        )
    return text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-32")), "surrogatepass")


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        action = rng.randrange(5)
        if action == 0:
            return {name: one for name, one in value.items() if name != key}
        if action == 1:
            return {**value, rng.choice(("x", "", "\x00", "a" * 900, "__class__")): rng.choice(_VALUES)}
        return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = rng.randrange(len(value))
        return [_changed(one, rng) if n == at else one for n, one in enumerate(value)]
    return rng.choice(_VALUES)


def _form(good: Good, rng: random.Random) -> bytes:
    assert good.file is not None
    name, content = good.file
    parts = [_part(f'name="{field_name}"', value.encode()) for field_name, value in good.fields]
    parts.append(_part(f'name="{name}"; filename="a.csv"', _maybe_flipped(content, rng)))
    if rng.random() < 0.6:
        odd = rng.choice((
            _part(f'name="{name}"; filename="../../{"x" * rng.randrange(400)}.csv"', content),
            _part('name="\x00"', b"x"), _part(f'name="{name}"', b"x"), _part('filename="x"', b"x"),
            f"--{_BOUNDARY}\r\n\r\nx\r\n".encode(), f"--{_BOUNDARY}\r\nX: y\r\n".encode(), b"\r\n" * 50,
            f"--{_BOUNDARY}--\r\n".encode(), f"--{_BOUNDARY}\r\n: \r\n\r\n".encode(), b"--\r\n\r" * 300,
            _part('name="queries"', b'{"vi": ' + b"[" * 500), _part('name="top"', b"1e999"),
            b"".join(_part(f'name="f{n}"', b"x") for n in range(60)), _part(f'name="{"x" * 5_000}"', b"y"),
        ))  # fmt: skip
        parts.insert(rng.randrange(len(parts) + 1), odd)
    end = rng.choice((f"--{_BOUNDARY}--\r\n", f"--{_BOUNDARY}--\r\n", f"--{_BOUNDARY}", ""))
    return b"".join(parts) + end.encode()


def _part(disposition: str, value: bytes) -> bytes:
    return (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + value + b"\r\n"
    )


# -- mutations ----------------------------------------------------------------------------------------

Mutation = Callable[[_Draft, random.Random], _Draft]


def _same(draft: _Draft, rng: random.Random) -> _Draft:
    return draft


def _method(draft: _Draft, rng: random.Random) -> _Draft:
    return replace(draft, method=rng.choice(_METHODS))


def _path(draft: _Draft, rng: random.Random) -> _Draft:
    parts = draft.path.split(b"/")
    at, text = rng.randrange(len(parts)), rng.choice(_TEXTS)
    odd = rng.choice((
        [*parts[:at], text, *parts[at + 1 :]], [*parts[:at], parts[at] + text, *parts[at + 1 :]],
        [*parts[:at], text, *parts[at:]], parts[:at], [b"", *parts], [b"http://evil.example", *parts],
    ))  # fmt: skip
    return replace(draft, path=b"/".join(odd))


def _query(draft: _Draft, rng: random.Random) -> _Draft:
    names = [*_PARAMETERS, *draft.query]
    pair = rng.choice(names) + rng.choice((b"=", b"=", b"=", b"", b"[]=", b"==")) + rng.choice(_TEXTS)
    pairs = list(draft.query)
    action = rng.randrange(4)
    if action == 0 and pairs:
        pairs.pop(rng.randrange(len(pairs)))
    elif action == 1:
        pairs += [pair] * rng.choice((1, 2, 300))
    else:
        pairs.insert(rng.randrange(len(pairs) + 1), pair)
    return replace(draft, query=tuple(pairs))


def _header(draft: _Draft, rng: random.Random) -> _Draft:
    headers = list(draft.headers)
    action = rng.randrange(6)
    if action == 0 and headers:
        headers.pop(rng.randrange(len(headers)))
    elif action == 1 and headers:
        headers.append(rng.choice(headers))
    elif action == 2 and headers:
        at = rng.randrange(len(headers))
        headers[at] = (headers[at][0], headers[at][1] + rng.choice(_TEXTS))
    else:
        odd = rng.choice(_HEADERS)
        headers = [one for one in headers if one[0] != odd[0] or rng.random() < 0.3]
        headers.insert(rng.randrange(len(headers) + 1), odd)
    return replace(draft, headers=tuple(headers))


def _frame(draft: _Draft, rng: random.Random) -> _Draft:
    frames = ("length", "chunked", "chunked-bad", "short", "long", "none", "both")
    return replace(draft, frame=rng.choice(frames))


def _content(draft: _Draft, rng: random.Random) -> _Draft:
    body = draft.body
    odd = rng.choice((
        b"", body[: rng.randrange(len(body) + 1)], body * 3, _flipped(body, rng), rng.randbytes(200),
        b"{" * 2_000, b'{"industry":"' + b"x" * 300_000 + b'"}', b"null", b"[]", b'"x"', b"\x00" * 100,
    ))  # fmt: skip
    return replace(draft, body=odd)


def _version(draft: _Draft, rng: random.Random) -> _Draft:
    return replace(
        draft, version=rng.choice((b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b"HTTP/9", b"", b"X/1.1"))
    )


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    _same, _path, _path, _query, _query, _query, _header, _header, _header, _method, _frame, _content,
    _version,
)  # fmt: skip


def _written(draft: _Draft, rng: random.Random) -> bytes:
    target = draft.path + (b"?" + b"&".join(draft.query) if draft.query else b"")
    headers = list(draft.headers)
    body = draft.body
    if draft.frame in ("chunked", "chunked-bad", "both"):
        headers.append((b"Transfer-Encoding", b"chunked"))
        size = (
            b"%x" % len(body) if draft.frame != "chunked-bad" else rng.choice((b"-1", b"zz", b"f" * 20, b""))
        )
        framed = size + b"\r\n" + body + b"\r\n0\r\n\r\n"
    else:
        framed = body
    stated = {"length": len(body), "both": len(body), "short": len(body) // 2, "long": len(body) + 100}
    if draft.frame in stated and (body or draft.method not in (b"GET", b"HEAD")):
        headers.append((b"Content-Length", b"%d" % stated[draft.frame]))
    lines = [draft.method + b" " + target + b" " + draft.version, *(k + b": " + v for k, v in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + framed


def _maybe_flipped(data: bytes, rng: random.Random) -> bytes:
    return _flipped(data, rng) if rng.random() < 0.3 else data


def _flipped(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(found) + 1)
        action = rng.randrange(3)
        if action == 0 and found:
            found[at % len(found)] = rng.randrange(256)
        elif action == 1:
            found[at:at] = rng.randbytes(rng.randrange(1, 4))
        else:
            del found[at : at + rng.randrange(1, 5)]
    return bytes(found)


# -- over the wire ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What came back.

    Attributes:
        status: of the answer; None where the connection ended without one.
        seconds: to its last byte.
        whole: the request was one, or broke the protocol; of others the rest is waited for.
    """

    status: int | None
    seconds: float
    data: bytes
    whole: bool


def sent(port: int, data: bytes, patience_s: float = 30.0) -> Told:
    """Writes the bytes to a connection of its own and reads one answer."""
    whole = _is_whole(data)
    start = time.monotonic()
    found = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as one, suppress(OSError):
        one.sendall(data)
        if not whole:
            # Nobody would answer before the rest has come.
            one.shutdown(socket.SHUT_WR)
        while not _ended(bytes(found), data) and (piece := one.recv(65_536)):
            found += piece
    head = _without_continue(bytes(found))[:12]
    status = int(head[9:12]) if head.startswith(b"HTTP/1.1 ") and head[9:12].isdigit() else None
    return Told(status, time.monotonic() - start, bytes(found), whole)


def _is_whole(data: bytes) -> bool:
    """Whether a server has something to answer: a request to its end, or none that it could be."""
    reader = h11.Connection(h11.SERVER)
    try:
        reader.receive_data(data)
        while (event := reader.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return True
    except h11.RemoteProtocolError:
        return True
    return False


def _ended(answer: bytes, request: bytes) -> bool:
    """Whether the whole answer is there; of one without a length the connection's end says so."""
    head, mark, body = _without_continue(answer).partition(b"\r\n\r\n")
    if not mark:
        return False
    if request.startswith(b"HEAD ") or head[9:12] in (b"204", b"304"):
        return True
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return length is not None and len(body) >= int(length[1])


def _without_continue(answer: bytes) -> bytes:
    if answer.startswith(b"HTTP/1.1 100"):
        return answer.partition(b"\r\n\r\n")[2]
    return answer
