"""Ids of jobs, slugs of industries, and the partition keys made of both."""

from __future__ import annotations

import hashlib
import os
import re
import time
import unicodedata
from collections.abc import Container
from typing import Final

#: Crockford's base 32: no I, L, O, U, so an id read aloud survives; sorts like the number.
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
#: Between slug and job id in a partition key. Dagster's UI splits at ``|`` (dimensions) and ``:`` (filters),
#: and quotes all but ``-_:/@`` in a selection of partitions.
SEPARATOR: Final = "@"
#: The same for messages.
PARTITION_FORM: Final = f"<industry-slug>{SEPARATOR}<job-id>"
#: Name of Dagster's partitions definition: a partition is a job.
PARTITIONS_NAME: Final = "pvm_job"
#: A slug is part of folder names, partition keys and URLs; 48 characters keep a key readable.
_SLUG_MAX = 48


def job_id(now_ms: int | None = None) -> str:
    """A new job id: 10 characters of time and 6 random ones, base 32; sorts by time.

    Args:
        now_ms: milliseconds since the epoch; default the present.
    """
    stamp = int(time.time() * 1000) if now_ms is None else now_ms
    value = (stamp << 30) | int.from_bytes(os.urandom(4), "big") >> 2
    return "".join(_BASE32[(value >> shift) & 31] for shift in range(75, -1, -5))


def is_plain_id(text: str) -> bool:
    """Whether `text` can be the id of a job that somebody outside names: 1 to 100 ASCII letters, digits,
    hyphens and underscores."""
    return 1 <= len(text) <= 100 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def slugify(name: str, taken: Container[str] = ()) -> str:
    """An ASCII slug of an industry's name: lower case letters, digits and hyphens, at most 48 characters.

    NFKD drops marks, ``đ`` becomes ``d``; a name that leaves nothing (Chinese) becomes a hash; a slug
    already in `taken` gets a hash of the name appended.
    """
    plain = unicodedata.normalize("NFKD", name.replace("đ", "d").replace("Đ", "D"))
    kept = "".join(c for c in plain if not unicodedata.combining(c)).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", kept).strip("-")[:_SLUG_MAX].strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    # A name mostly in another script would share its few Latin letters with its neighbours.
    lossy = sum(c.isalnum() for c in name) > 2 * len(slug.replace("-", ""))
    if not slug or (lossy and len(name) <= _SLUG_MAX):
        slug = f"{slug}-{digest}".strip("-") if slug else f"industry-{digest}"
    return f"{slug[: _SLUG_MAX - 9].strip('-')}-{digest}" if slug in taken else slug


def partition_key(industry_slug: str, job: str) -> str:
    """The Dagster partition of a job: ``<industry-slug>@<job-id>``."""
    return f"{industry_slug}{SEPARATOR}{job}"


def split_partition_key(key: str) -> tuple[str, str | None]:
    """``(industry_slug, job_id)`` of a partition key; the job id is None where the key names none."""
    slug, _, job = key.partition(SEPARATOR)
    return slug, job or None
