"""Partition keys with @ between the industry's slug and the job's id, where Dagster's UI cut them at |."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Orders of the inbox name the partition as well: their jobs may be deleted already.
_KEYS = """
UPDATE jobs SET partition_key = industry || '{new}' || job_id;
UPDATE inbox SET payload = jsonb_set(
    payload, '{{partition_key}}', to_jsonb(regexp_replace(payload ->> 'partition_key', '{old}', '{new}')))
WHERE payload ->> 'partition_key' IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(_KEYS.format(old="[|]", new="@"))


def downgrade() -> None:
    op.execute(_KEYS.format(old="@", new="|"))
