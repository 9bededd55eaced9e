"""Uploads: who stored which file, so that nobody fills the disk."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from pvm_core.errors import InputError
from pvm_resources.store.base import Repository

_OWN = "SELECT coalesce(sum(bytes), 0) FROM uploads WHERE owner = %(owner)s AND name <> %(name)s"
#: Files that an open job, a younger one or an industry's standing sources name, by the end of their path.
_NAMED = """
SELECT DISTINCT found[1] FROM (
    SELECT concat(request ->> 'products', request ->> 'videos') AS places FROM jobs
    WHERE status IN ('queued', 'running') OR coalesce(finished_at, created_at) > %(since)s
    UNION ALL SELECT concat(sources ->> 'products', sources ->> 'videos') FROM industries
) named, regexp_matches(named.places, '([0-9a-f]{64}[.][a-z0-9]+)', 'g') found
"""


class Uploads(Repository):
    """Table `uploads`; the files are in a folder of their own."""

    def stored(self, owner: str, name: str = "") -> int:
        """Bytes of that caller's uploads, without the file `name`."""
        return int(self._db.value(_OWN, {"owner": owner, "name": name}))

    def add(self, name: str, owner: str, size: int, quota: int) -> None:
        """Notes that `owner` stored the file; once more changes nothing.

        Raises:
            InputError: ``upload.quota``: with it the caller has more than `quota` bytes.
        """
        with self._db.transaction() as cursor:
            # Two uploads of one caller at once must not both find room for one.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('pvm.uploads.' || %s, 0))", [owner])
            row = cursor.execute(_OWN, {"owner": owner, "name": name}).fetchone()
            if row is not None and int(row[0]) + size > quota:
                raise over_quota(quota)
            cursor.execute(
                "INSERT INTO uploads (name, owner, bytes) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [name, owner, size],
            )

    def named(self, since: datetime) -> set[str]:
        """Names of uploads that an open job, one that ended after `since`, or an industry uses."""
        return {str(row[0]) for row in self._db.tuples(_NAMED, {"since": since})}

    def keep_only(self, names: Collection[str], *, before: datetime) -> None:
        """Deletes rows that are older than `before` and whose file is none of `names`."""
        self._execute("DELETE FROM uploads WHERE NOT name = ANY(%s) AND created_at < %s", list(names), before)


def over_quota(quota: int) -> InputError:
    """The error of a caller whose uploads would be larger than `quota` bytes."""
    return InputError(
        "upload.quota",
        "the upload",
        f"the uploads of this key would be larger than {quota:,} bytes",
        "Wait until unused ones expire, or let the operator raise PVM_API_UPLOAD_QUOTA_MB",
    )
