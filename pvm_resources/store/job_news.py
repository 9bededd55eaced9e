"""What is worth telling of an ended job."""

from __future__ import annotations

from typing import Final

from pvm_jobs.notices import SHOWN, JobNews, NewMatch
from pvm_resources.store.base import Repository
from pvm_resources.store.labels import EFFECTIVE, JOIN

_JOB: Final = """
SELECT i.name, j.error, EXISTS (SELECT FROM inbox b WHERE b.job_id = j.job_id AND b.source = 'schedule')
FROM jobs j JOIN industries i ON i.slug = j.industry WHERE j.job_id = %s
"""
_MATCHES: Final = f"""
SELECT p.title, p.asin_or_itemid, coalesce(v.given_name, ''), m.score, m.ts, NOT EXISTS (
    SELECT FROM matches e JOIN jobs o USING (job_id)
    WHERE e.product_id = m.product_id AND e.video_id = m.video_id AND e.status = 'accepted'
      AND o.industry = j.industry AND o.status = 'completed' AND o.job_id <> j.job_id
      AND o.created_at < j.created_at) AS fresh
FROM matches m JOIN jobs j USING (job_id) JOIN products p USING (product_id)
{JOIN} LEFT JOIN LATERAL (SELECT given_name FROM job_videos w
    WHERE w.job_id = m.job_id AND w.video_id = m.video_id ORDER BY position LIMIT 1) v ON true
WHERE m.job_id = %s AND {EFFECTIVE} = 'accepted' ORDER BY m.score DESC, m.match_id
"""


class JobNewsQueries(Repository):
    """Reads a job as a notification tells it."""

    def of(self, job_id: str) -> JobNews | None:
        """The news of a job; None where it is gone."""
        with self._db.transaction() as cursor:
            job = cursor.execute(_JOB, [job_id]).fetchone()
            if job is None:
                return None
            rows = cursor.execute(_MATCHES, [job_id]).fetchall()
        fresh = [
            NewMatch(title or item, video, score, ts) for title, item, video, score, ts, new in rows if new
        ]
        return JobNews(job_id, job[0], job[2], len(rows), len(fresh), tuple(fresh[:SHOWN]), job[1])
