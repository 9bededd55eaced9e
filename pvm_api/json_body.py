"""What a JSON body may be: its bytes, its depth, how many values it holds. Judged before it is parsed."""

from __future__ import annotations

import json
from typing import Final

#: Bytes. The largest request that means something (twenty sources of two kilobytes, fifty phrases in each of
#: some languages) is a quarter of it.
BYTES_MAX: Final = 256_000
#: Lists and objects inside each other; the deepest request has three.
DEPTH_MAX: Final = 16
#: Values and names. Validation costs some 10 us each, and its findings a kilobyte.
VALUES_MAX: Final = 5_000
#: Everything but brackets, for `bytes.translate`.
_NO_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")


def fault_of(data: bytes) -> str | None:
    """Why this JSON text is not parsed, as a clause; None where nothing speaks against it.

    Linear in the size of `data`. What is no JSON at all is left to the parser.
    """
    if len(data) > BYTES_MAX:
        return f"it is larger than {BYTES_MAX:,} bytes"
    # RFC 8259, section 8.1; in UTF-16 a quotation mark could hide inside a character.
    if json.detect_encoding(data) not in ("utf-8", "utf-8-sig"):
        return "it is not UTF-8"
    outside = b"".join(data.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])
    brackets = outside.translate(None, _NO_BRACKETS)
    values = 1 + outside.count(b",") + brackets.count(b"[") + brackets.count(b"{")
    if values > VALUES_MAX:
        return f"it holds more than {VALUES_MAX:,} values"
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return f"it is nested deeper than {DEPTH_MAX} levels" if deepest > DEPTH_MAX else None
