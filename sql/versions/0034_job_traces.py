"""The trace that a job belongs to, where traces are recorded. No other table is changed."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE job_traces (
    job_id text PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    traceparent text NOT NULL
);
COMMENT ON COLUMN job_traces.traceparent IS 'W3C Trace Context of its first span: a request, or its run';
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE job_traces")
