"""Notifications: endpoints of a third kind for all jobs."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KINDS = """
ALTER TABLE endpoints DROP CONSTRAINT endpoints_kind_check,
    ADD CONSTRAINT endpoints_kind_check CHECK (kind IN ({}))
"""


def upgrade() -> None:
    op.execute(_KINDS.format("'webhook', 'callback', 'bus', 'notification'"))


def downgrade() -> None:
    op.execute("DELETE FROM endpoints WHERE kind = 'notification'")
    op.execute(_KINDS.format("'webhook', 'callback', 'bus'"))
