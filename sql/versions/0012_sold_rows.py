"""What a row of results needs to be acted on: a product's price and currency, a video's channel."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# An amount is text: a plain decimal as the shop states it, never rounded.
COLUMNS = """
ALTER TABLE products
    ADD COLUMN price text NOT NULL DEFAULT '' CHECK (price ~ '^([0-9]+([.][0-9]+)?)?$'),
    ADD COLUMN currency text NOT NULL DEFAULT '' CHECK (currency ~ '^([A-Z]{3})?$');
COMMENT ON COLUMN products.price IS 'A plain decimal; empty where the source states none';
ALTER TABLE videos ADD COLUMN channel text NOT NULL DEFAULT '';
COMMENT ON COLUMN videos.channel IS 'Who published it, as its platform names them';
"""


def upgrade() -> None:
    op.execute(COLUMNS)


def downgrade() -> None:
    op.execute("ALTER TABLE videos DROP COLUMN channel")
    op.execute("ALTER TABLE products DROP COLUMN price, DROP COLUMN currency")
