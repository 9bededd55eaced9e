"""Attention under several detectors beside each other; endpoints that publish to Redis."""

from __future__ import annotations

from alembic import op

revision = "0032"
down_revision = "0026"
branch_labels = None
depends_on = None

_KINDS = """
ALTER TABLE endpoints DROP CONSTRAINT endpoints_kind_check,
    ADD CONSTRAINT endpoints_kind_check CHECK (kind IN ({}))
"""
VARIANTS = """
ALTER TABLE attention_jobs ADD COLUMN variants jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN attention_jobs.variants IS
    'Detector -> keys, status and reason of its analysis; that of attention_key is the one that counts';
UPDATE attention_jobs j SET variants = found.variants FROM (
    SELECT a.job_id, jsonb_object_agg(s.detector, jsonb_build_object('key', a.attention_key,
        'faces_key', s.faces_key, 'status', a.status, 'reason', a.reason)) AS variants
    FROM attention_jobs a JOIN attention_videos v USING (attention_key)
    JOIN face_sets s ON s.video_id = v.video_id AND s.faces_key = v.faces_key GROUP BY a.job_id) found
WHERE found.job_id = j.job_id;
"""


def upgrade() -> None:
    op.execute(_KINDS.format("'webhook', 'callback', 'bus', 'notification', 'pubsub'"))
    op.execute(VARIANTS)


def downgrade() -> None:
    op.execute("ALTER TABLE attention_jobs DROP COLUMN variants")
    op.execute("DELETE FROM endpoints WHERE kind = 'pubsub'")
    op.execute(_KINDS.format("'webhook', 'callback', 'bus', 'notification'"))
