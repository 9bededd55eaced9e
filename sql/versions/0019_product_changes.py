"""Changes of products: versions per field, tombstones, events that belong to no job."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

PRODUCTS = """
ALTER TABLE products
    ADD COLUMN pictures jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(pictures) = 'array'),
    ADD COLUMN versions jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(versions) = 'object'),
    ADD COLUMN said jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(said) = 'object');
COMMENT ON COLUMN products.pictures IS 'Addresses of pictures that changes named';
COMMENT ON COLUMN products.versions IS 'Field to [number, entry] of the change that set it last';
COMMENT ON COLUMN products.said IS 'What its source said last of a field that a change has set';
CREATE TABLE product_tombstones (
    product_id uuid PRIMARY KEY,
    number bigint NOT NULL,
    entry text NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now()
);
"""

# A stream of deliveries is the queue of one endpoint and one job; events of the catalogue make one of the
# empty name. Streams of a deleted job go with it, as its events do.
EVENTS = """
ALTER TABLE outbox ALTER COLUMN job_id DROP NOT NULL;
ALTER TABLE delivery_streams DROP CONSTRAINT delivery_streams_job_id_fkey;
CREATE FUNCTION drop_delivery_streams() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM delivery_streams WHERE job_id = OLD.job_id;
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_drop_streams AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION drop_delivery_streams();
"""


def upgrade() -> None:
    op.execute(PRODUCTS)
    op.execute(EVENTS)


def downgrade() -> None:
    op.execute("DROP TRIGGER jobs_drop_streams ON jobs")
    op.execute("DROP FUNCTION drop_delivery_streams()")
    op.execute("DELETE FROM delivery_streams WHERE job_id = ''")
    op.execute("DELETE FROM outbox WHERE job_id IS NULL")
    op.execute("ALTER TABLE outbox ALTER COLUMN job_id SET NOT NULL")
    op.execute("ALTER TABLE delivery_streams ADD FOREIGN KEY (job_id) REFERENCES jobs ON DELETE CASCADE")
    op.execute("DROP TABLE product_tombstones")
    op.execute("ALTER TABLE products DROP COLUMN pictures, DROP COLUMN versions, DROP COLUMN said")
