"""The stream of products' changes in our own tables; who reads streams, and what came of it."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE product_stream (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text NOT NULL,
    event jsonb NOT NULL CHECK (jsonb_typeof(event) = 'object'),
    published_at timestamptz NOT NULL DEFAULT now(),
    deliveries integer NOT NULL DEFAULT 0,
    consumer text,
    claimed_at timestamptz,
    dead_reason text
);
COMMENT ON COLUMN product_stream.dead_reason IS 'Why it is a dead letter; null while it is to be handled';
CREATE INDEX product_stream_open ON product_stream (stream, entry) WHERE dead_reason IS NULL;
CREATE INDEX product_stream_dead ON product_stream (stream, entry) WHERE dead_reason IS NOT NULL;
CREATE TABLE stream_consumers (
    consumer text PRIMARY KEY,
    kind text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE stream_totals (
    kind text PRIMARY KEY,
    handled bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    seconds double precision NOT NULL DEFAULT 0,
    lag bigint,
    pending bigint,
    dead bigint,
    measured_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE stream_totals, stream_consumers, product_stream")
