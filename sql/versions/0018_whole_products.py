"""Whole products: description, category, availability, attributes, time of change; pictures by content."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE products
    ADD COLUMN description text NOT NULL DEFAULT '',
    ADD COLUMN category text NOT NULL DEFAULT '',
    ADD COLUMN availability text NOT NULL DEFAULT ''
        CHECK (availability IN ('', 'in_stock', 'out_of_stock', 'preorder', 'backorder')),
    ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    ADD COLUMN updated_at timestamptz;
COMMENT ON COLUMN products.updated_at IS 'When its source changed it last; null where that is not said';
CREATE INDEX products_newest ON products (created_at DESC, product_id DESC);
CREATE INDEX products_by_category ON products (lower(category)) WHERE category <> '';
CREATE INDEX stored_images_by_content ON stored_images (sha256);
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("DROP INDEX stored_images_by_content, products_newest")
    op.execute(
        "ALTER TABLE products DROP COLUMN description, DROP COLUMN category, DROP COLUMN availability, "
        "DROP COLUMN attributes, DROP COLUMN updated_at"
    )
