"""By how much the keeping of material has outlived its source's terms: 0 where purges keep up."""

from __future__ import annotations

from typing import Final

from pvm_jobs.source_policy import Policies
from pvm_resources.postgres.driver import Database

#: Source, whether it is a platform of videos, and seconds since its oldest stored material was stored.
_OLDEST: Final = """
SELECT name, platform, extract(epoch FROM now() - min(at))::float8 FROM (
    SELECT src AS name, false AS platform, i.created_at AS at
    FROM stored_images i JOIN products USING (product_id)
    UNION ALL SELECT src, false, seen_at FROM products WHERE purged_at IS NULL
    UNION ALL SELECT source, false, fetched_at FROM source_answers
    UNION ALL SELECT platform, true, f.created_at FROM stored_frames f JOIN videos USING (video_id)) kept
GROUP BY name, platform
"""


def overdue_s(database: Database, policies: Policies) -> dict[str, float]:
    """Source (platform) with an age limit -> seconds by which its oldest material is past it, >= 0.

    What a running job works on is left alone by purges, so for as long as it runs this may be above 0.

    Raises:
        StoreError: the database is out of reach.
    """
    found: dict[str, float] = {}
    for name, platform, age in database.tuples(_OLDEST):
        limit = (policies.of_platform(name) if platform else policies[name]).max_age_h
        if limit is not None:
            found[name] = max(found.get(name, 0.0), float(age) - limit * 3_600, 0.0)
    return found
