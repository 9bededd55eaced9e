"""Vectors of products' texts: of which words each was made, several models side by side."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# The text's hash is a column of the product, so that a vector of other words is found, and refused, in SQL.
TABLES = """
ALTER TABLE products ADD COLUMN text_version text NOT NULL
    GENERATED ALWAYS AS (md5(title || E'\\x1f' || description || E'\\x1f' || category)) STORED;
COMMENT ON COLUMN products.text_version IS 'Hash of title, description and category';
CREATE TABLE product_text_embeddings (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    model_key text NOT NULL CHECK (model_key <> ''),
    embedding vector NOT NULL CHECK (abs(vector_norm(embedding) - 1) < 0.001),
    text_version text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, model_key)
);
COMMENT ON COLUMN product_text_embeddings.text_version IS 'products.text_version it was made of';
CREATE INDEX product_text_embeddings_by_model ON product_text_embeddings (model_key);
"""

# A graph that is searched with filters is read further the rarer its matches are; the rarest are compared
# one by one, which these find. None is partial: the planner takes no figures about an expression from one.
FILTERS = """
DROP INDEX products_by_category;
CREATE INDEX products_by_category ON products (lower(category));
CREATE INDEX products_by_price ON products ((CASE WHEN price <> '' THEN price::numeric END));
CREATE INDEX products_by_availability ON products (availability);
CREATE INDEX products_by_brand ON products (lower(brand));
CREATE INDEX products_by_namespace ON products (namespace);
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FILTERS)


def downgrade() -> None:
    op.execute("DROP TABLE product_text_embeddings")
    op.execute(
        "DROP INDEX products_by_price, products_by_availability, products_by_brand, products_by_namespace, "
        "products_by_category"
    )
    op.execute("CREATE INDEX products_by_category ON products (lower(category)) WHERE category <> ''")
    op.execute("ALTER TABLE products DROP COLUMN text_version")
