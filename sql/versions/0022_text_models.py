"""Models of products' words, recommendations of an industry, its report."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE text_models (
    model_key text PRIMARY KEY,
    products integer NOT NULL CHECK (products >= 0),
    data bytea NOT NULL,
    active boolean NOT NULL DEFAULT false,
    fitted_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN text_models.active IS 'It serves; another that is here waits for its vectors';
CREATE UNIQUE INDEX text_models_one_active ON text_models (active) WHERE active;
CREATE TABLE product_recommendations (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    place integer NOT NULL CHECK (place >= 0),
    other_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    parts jsonb NOT NULL CHECK (jsonb_typeof(parts) = 'object'),
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, place),
    UNIQUE (product_id, other_id),
    CHECK (product_id <> other_id)
);
COMMENT ON COLUMN product_recommendations.parts IS 'What the score is made of: seen, look, text, popular';
CREATE INDEX product_recommendations_by_other ON product_recommendations (other_id);
CREATE TABLE industry_reports (
    industry text PRIMARY KEY REFERENCES industries (slug) ON DELETE CASCADE,
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    path text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX industry_reports_by_job ON industry_reports (job_id);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE industry_reports, product_recommendations, text_models")
