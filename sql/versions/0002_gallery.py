"""The galleries a job's sources answered with, before any picture is read."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE job_pictures (
            job_id text NOT NULL,
            product_id uuid NOT NULL,
            position integer NOT NULL CHECK (position >= 0),
            source_ref text NOT NULL,
            file text,
            PRIMARY KEY (job_id, product_id, position),
            FOREIGN KEY (job_id, product_id) REFERENCES job_products ON DELETE CASCADE
        );
        COMMENT ON COLUMN job_pictures.file IS 'The file on this machine; null for a URL';
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE job_pictures")
