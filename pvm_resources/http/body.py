"""The body of an answer: counted while it comes, unpacked within its limits, judged by its first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from pvm_core.file_type import describe
from pvm_resources.http import faults
from pvm_resources.http.faults import FaultError
from pvm_resources.http.limits import Content, FetchLimits

#: Bytes needed to tell what a file is.
_HEAD: Final = 1_024
#: Unpacked at most this much at once, so that a bomb costs what has been counted and no more.
_STEP: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
#: zlib reads gzip and zlib frames, whichever comes ("deflate" means zlib: RFC 9110, section 8.4.1.2).
_ANY_FRAME: Final = 32 + zlib.MAX_WBITS
_UNPACKED: Final = ("gzip", "x-gzip", "deflate")


def check_header(content: Content, media_type: str) -> None:
    """Judges a Content-Type.

    Raises:
        FaultError: ``type``.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind and not kind.startswith(content.media_types):
        reason = f"the server sends {kind[:80]}, not {content.noun}"
        raise FaultError("type", reason, f"Give the address of {content.noun} itself")
    if kind == "image/svg+xml":
        raise FaultError("type", "the server sends an SVG drawing", f"Give it as {content.formats}")


def received(pieces: Iterable[bytes], encoding: str, limits: FetchLimits) -> bytes:
    """The whole content of an answer.

    Args:
        pieces: as they come over the wire, without transfer coding.
        encoding: Content-Encoding.

    Raises:
        FaultError: ``too_large``, ``type``, ``encoding``, ``truncated``, ``empty``.
    """
    raw = _counted(pieces, limits, "")
    kind = encoding.strip().lower()
    if kind in _UNPACKED:
        raw = _counted(_unpacked(raw), limits, "unpacked, it is ")
    elif kind not in ("", "identity"):
        reason = f"it comes in the encoding {kind[:40]!r}, which was not asked for"
        raise FaultError("encoding", reason, "Check the address")
    head, rest = _headed(raw)
    if limits.content.packed and head.startswith(_GZIP):
        head, rest = _headed(_counted(_unpacked(chain([head], rest)), limits, "unpacked, it is "))
    _check_head(head, limits)
    return b"".join(chain([head], rest))


def _check_head(head: bytes, limits: FetchLimits) -> None:
    if not head:
        raise FaultError("empty", "the server sends nothing (0 bytes)", "Check the address")
    found = describe(head)
    if not limits.content.suits(found):
        noun = limits.content.noun
        reason = f"the content is {found.name}" + ("" if noun.endswith(found.kind) else f", not {noun}")
        raise FaultError("type", reason, f"Give {noun} as {limits.content.formats}")


def _counted(pieces: Iterable[bytes], limits: FetchLimits, what: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limits.max_bytes:
            raise faults.too_large(limits, what)
        yield piece


def _headed(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    head: list[bytes] = []
    size = 0
    for piece in pieces:
        head.append(piece)
        size += len(piece)
        if size >= _HEAD:
            break
    return b"".join(head), pieces


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What gzip or zlib frames hold; several may follow each other."""
    frame = zlib.decompressobj(_ANY_FRAME)
    begun = False
    try:
        for piece in pieces:
            begun = begun or bool(piece)
            waiting = piece
            while waiting:
                if frame.eof:
                    frame = zlib.decompressobj(_ANY_FRAME)
                yield frame.decompress(waiting, _STEP)
                waiting = frame.unused_data if frame.eof else frame.unconsumed_tail
        while not frame.eof and (left := frame.decompress(frame.unconsumed_tail, _STEP)):
            yield left
    except zlib.error as error:
        raise FaultError("encoding", f"it does not unpack ({error})", "Check the address") from error
    if begun and not frame.eof:
        reason = "its compressed content breaks off"
        raise FaultError("truncated", reason, "Try again later", retryable=True)
