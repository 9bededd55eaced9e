"""The lines of text that a reader found in a product picture, read once. No other table is changed."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0024"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE picture_lines (
    img_id uuid NOT NULL REFERENCES stored_images ON DELETE CASCADE,
    reader_key text NOT NULL,
    lines jsonb NOT NULL CHECK (jsonb_typeof(lines) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (img_id, reader_key)
);
COMMENT ON COLUMN picture_lines.reader_key IS 'Changes with everything that a reading depends on';
COMMENT ON COLUMN picture_lines.lines IS 'Each with text, corners x0 y0 .. x3 y3 in its pixels, confidence';
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE picture_lines")
