"""The largest share of a stage that was ever done, and when it began in the present run."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SHARES = """
ALTER TABLE progress ADD COLUMN share real NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 1);
ALTER TABLE progress ADD COLUMN began_at timestamptz DEFAULT now();
UPDATE progress SET share = least(1, done::real / total) WHERE total > 0;
COMMENT ON COLUMN progress.share IS 'The most that was ever done of it, so that no rerun goes back';
COMMENT ON COLUMN progress.began_at IS 'In the present run; null: not begun in it';
"""


def upgrade() -> None:
    op.execute(SHARES)


def downgrade() -> None:
    op.execute("ALTER TABLE progress DROP COLUMN share, DROP COLUMN began_at")
