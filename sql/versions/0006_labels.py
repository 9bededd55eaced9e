"""Labels: what people say of matches."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# No foreign keys: a verdict outlives the job it was given in, its pictures, and a rerun that drops its match.
# Rows are added and never changed but for `superseded_at`; the row without it counts.
LABELS = """
CREATE TABLE labels (
    label_id uuid PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    industry text NOT NULL,
    product_id uuid NOT NULL,
    video_id uuid NOT NULL,
    match_id uuid NOT NULL,
    job_id text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('accept', 'reject', 'unsure', 'none')),
    who text NOT NULL CHECK (who <> ''),
    undo_to uuid,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    status text NOT NULL CHECK (status IN ('accepted', 'review', 'rejected')),
    ts double precision NOT NULL CHECK (ts >= 0),
    img_id uuid,
    frame_id uuid,
    calibration text NOT NULL,
    embed_model text NOT NULL,
    rules_key text NOT NULL,
    source text NOT NULL,
    platform text NOT NULL,
    may_train boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    superseded_at timestamptz
);
COMMENT ON COLUMN labels.verdict IS 'none: an undo took back the only verdict there was';
COMMENT ON COLUMN labels.undo_to IS 'The label whose verdict an undo of this one brings back; null: none';
COMMENT ON COLUMN labels.may_train IS 'The terms of both sources allowed learning from it when it was given';
CREATE UNIQUE INDEX labels_counting ON labels (industry, product_id, video_id) WHERE superseded_at IS NULL;
CREATE INDEX labels_by_industry ON labels (industry, seq DESC);
CREATE INDEX labels_by_pair ON labels (product_id, video_id, seq DESC);
"""


def upgrade() -> None:
    op.execute(LABELS)


def downgrade() -> None:
    op.execute("DROP TABLE labels")
