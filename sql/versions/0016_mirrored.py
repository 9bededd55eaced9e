"""Whether the best frame of a match shows the product left for right."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MIRRORED = """
ALTER TABLE matches ADD COLUMN mirrored boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN matches.mirrored IS 'Its clip, or the catalogue picture, is mirrored';
"""


def upgrade() -> None:
    op.execute(MIRRORED)


def downgrade() -> None:
    op.execute("ALTER TABLE matches DROP COLUMN mirrored")
