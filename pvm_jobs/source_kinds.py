"""What a source gives."""

from __future__ import annotations

from typing import Final, Literal

SourceKind = Literal["products", "videos"]
KINDS: Final[tuple[SourceKind, ...]] = ("products", "videos")
