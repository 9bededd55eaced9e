"""What each picture of a job is, what of it is not the product, and which listings are one product."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

REVIEWED = """
ALTER TABLE job_images ADD COLUMN role text NOT NULL DEFAULT 'view'
    CHECK (role IN ('view', 'chart', 'placeholder', 'shared'));
ALTER TABLE job_images ADD COLUMN marked bytea CHECK (octet_length(marked) = 128);
ALTER TABLE job_products ADD COLUMN listing_group uuid;
ALTER TABLE matches ADD COLUMN listing_group uuid;
COMMENT ON COLUMN job_images.role IS 'Only views of the product are matched';
COMMENT ON COLUMN job_images.marked IS 'Cells of 32 x 32 that are not the product, a bit each';
COMMENT ON COLUMN job_products.listing_group IS 'The first listing of its product; null: listed once';
COMMENT ON COLUMN matches.listing_group IS 'As in job_products when it was decided';
"""


def upgrade() -> None:
    op.execute(REVIEWED)


def downgrade() -> None:
    op.execute("ALTER TABLE matches DROP COLUMN listing_group")
    op.execute("ALTER TABLE job_products DROP COLUMN listing_group")
    op.execute("ALTER TABLE job_images DROP COLUMN marked, DROP COLUMN role")
