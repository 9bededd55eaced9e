"""Text of a table in whatever encoding it was saved: by its mark, as UTF-8, or as its letters look."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

from pvm_core.errors import InputError
from pvm_core.file_type import describe

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What spreadsheets and shops save in beside Unicode: Chinese of the mainland and Taiwan, Japanese, Korean,
#: Western, Central European and Cyrillic Windows. The fewer there are, the surer a short file is told apart:
#: of titles in seven languages (2026-11) 95 % of files of one row are read right, and all of two and more.
_LEGACY: Final = (
    "gb18030", "big5hkscs", "cp932", "euc_jis_2004", "cp949", "cp1252", "cp1250", "cp1251",
)  # fmt: skip
#: Bytes that the detector is shown.
_SAMPLE: Final = 200_000
#: How strange its letters may look; the second where the first leaves no encoding. 0.2 is the library's;
#: titles of uncommon Chinese signs reach it (3 of 1,000 files of 20 rows in Big5).
_STRANGENESS: Final = (0.2, 0.4)
#: Bytes in which UTF-16's zero bytes are counted, and their least share of one side.
_ZEROS_IN: Final = 4_096
_ZEROS_SHARE: Final = 0.15
#: No text holds them; a wrong encoding gives them, and so does what is no text. Left out are tab, line ends,
#: NUL, which has a message of its own, and the separators of old data formats.
_CONTROLS: Final = re.compile(r"[\x01-\x08\x0e-\x1a\x7f-\x84\x86-\x9f]")
_AS_UTF8: Final = "Save the file as CSV UTF-8 (in Excel: File, Save As, CSV UTF-8)"


@dataclass(frozen=True)
class Text:
    """A table's text; `guessed` is the encoding where it was recognised by its letters, "" elsewhere."""

    text: str
    guessed: str = ""


def decoded(subject: str, data: bytes) -> Text:
    """The text of a table.

    Raises:
        InputError: ``table.empty``; ``table.type``: it is a file of another kind; ``table.encoding``: no
            encoding fits, or it holds zero bytes.
    """
    if not data.strip(b"\x00 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise InputError("table.empty", subject, "the file has no rows", "Export the catalogue again")
    encoding = marked_encoding(data) or "utf-8"
    try:
        found = Text(data.decode(encoding))
    except UnicodeDecodeError as error:
        kind = describe(data)
        if kind.kind != "other" or kind.name.startswith("a "):
            raise wrong_type(subject, kind.name) from error
        found = _recognised(subject, data, encoding, error.start)
    if "\x00" in found.text:
        line = found.text.count("\n", 0, found.text.index("\x00")) + 1
        raise InputError("table.encoding", subject, f"line {line} holds a zero byte", _AS_UTF8)
    return found


def wrong_type(subject: str, what: str) -> InputError:
    """The error of a file that holds something else than a table."""
    remedy = "Export it as CSV, XLSX, JSON or a product feed"
    return InputError("table.type", subject, f"the content is {what}", remedy)


def marked_encoding(data: bytes) -> str:
    """The encoding that a mark, or UTF-16's zero bytes, say; "" where nothing does."""
    return next((name for bom, name in _BOMS if data.startswith(bom)), "") or _utf16_by_zeros(data)


def _recognised(subject: str, data: bytes, tried: str, place: int) -> Text:
    start = max(data.rfind(b"\n", 0, place) + 1, place - 2_000, 0)
    sample = data[start : start + _SAMPLE]
    # A letter of several bytes must not be cut; no such encoding has the byte of a line feed in one.
    whole = sample.rfind(b"\n") if start + _SAMPLE < len(data) else -1
    for encoding in _candidates(sample if whole < 0 else sample[:whole]):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _CONTROLS.search(text, 0, 1_000_000) is None:
            # What several Windows encodings say alike is called by the commonest.
            same = data.decode("cp1252", "replace") == text
            return Text(text, "cp1252" if same else encoding)
    line = data.count(b"\n", 0, place) + 1
    name = "UTF-8" if tried == "utf-8" else tried
    reason = f"line {line} is not {name} text (byte {place}), nor text of another encoding that is known here"
    raise InputError("table.encoding", subject, reason, _AS_UTF8)


def _candidates(sample: bytes) -> list[str]:
    """Encodings that may fit, most likely first."""
    # Only a file that is no UTF-8 needs it.
    from charset_normalizer import from_bytes

    for strangeness in _STRANGENESS:
        found = from_bytes(
            sample, threshold=strangeness, cp_isolation=list(_LEGACY), preemptive_behaviour=False
        )
        if found:
            break
    # Where letters alone tell nothing, most files are Western.
    return list(dict.fromkeys((*(match.encoding for match in found), "cp1252")))


def _utf16_by_zeros(data: bytes) -> str:
    """UTF-16 without a mark, recognised by ASCII's zero bytes on one side."""
    head = data[: min(len(data), _ZEROS_IN) // 2 * 2]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    # Titles of other scripts stand between ASCII's ids and separators; some of their letters have a zero byte
    # on the other side.
    least = max(3, _ZEROS_SHARE * len(head) / 2)
    if odd > least and even * 4 < odd:
        return "utf-16-le"
    return "utf-16-be" if even > least and odd * 4 < even else ""
