"""Addresses of video files themselves (``https://shop.example/clip.mp4``): no page has to be read for them.

Their bytes come as those of every video: past the address check, limited in size and time, continued where
they were cut off, and taken for a video once they have been read to their end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pvm_core.file_type import VIDEO_SUFFIXES

#: yt-dlp's name of what is no site's; the policy of sources knows it by that name.
_EXTRACTOR: Final = "generic"


def details(url: str) -> dict[str, Any] | None:
    """The particulars of the file at `url`, as yt-dlp gives those of a site's video; None where the address
    is not that of a file by its ending, or that of a site that yt-dlp knows."""
    parts = urlsplit(url)
    path = PurePosixPath(unquote(parts.path))
    if path.suffix.lower() not in VIDEO_SUFFIXES or _of_a_site(url):
        return None
    # Two hosts may call different files the same.
    digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    ending = path.suffix.lower().removeprefix(".")
    return {
        "id": f"{path.stem[:80]}-{digest}",
        "title": path.stem[:200],
        "webpage_url": url,
        "original_url": url,
        "extractor": _EXTRACTOR,
        "extractor_key": _EXTRACTOR.capitalize(),
        "format_id": "file",
        "formats": [{"format_id": "file", "url": url, "ext": ending, "protocol": parts.scheme.lower()}],
    }


def is_one(info: Mapping[str, Any]) -> bool:
    """Whether the particulars are those of a plain file, at a server that may be any."""
    return info.get("extractor") == _EXTRACTOR


def _of_a_site(url: str) -> bool:
    from yt_dlp.extractor import gen_extractor_classes

    return any(one.IE_NAME != _EXTRACTOR and one.suitable(url) for one in gen_extractor_classes())
