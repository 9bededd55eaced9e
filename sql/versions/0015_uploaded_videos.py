"""Uploads may be videos, whose endings hold digits (mp4)."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE uploads DROP CONSTRAINT uploads_name_check")
    op.execute(
        "ALTER TABLE uploads ADD CONSTRAINT uploads_name_check CHECK (name ~ '^[0-9a-f]{64}[.][a-z0-9]+$')"
    )


def downgrade() -> None:
    op.execute("DELETE FROM uploads WHERE NOT name ~ '^[0-9a-f]{64}[.][a-z]+$'")
    op.execute("ALTER TABLE uploads DROP CONSTRAINT uploads_name_check")
    op.execute(
        "ALTER TABLE uploads ADD CONSTRAINT uploads_name_check CHECK (name ~ '^[0-9a-f]{64}[.][a-z]+$')"
    )
