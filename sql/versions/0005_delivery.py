"""Deliveries of events to endpoints: webhooks, callbacks of single jobs, the bus."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The secret signs, so it is kept as it is, not hashed.
ENDPOINTS = """
CREATE TABLE endpoints (
    endpoint_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('webhook', 'callback', 'bus')),
    name text NOT NULL,
    url text NOT NULL,
    secret text,
    old_secret text,
    old_secret_until timestamptz,
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    job_id text REFERENCES jobs ON DELETE CASCADE,
    enabled boolean NOT NULL DEFAULT true,
    disabled_reason text,
    since timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'callback') = (job_id IS NOT NULL)),
    CHECK (old_secret IS NULL OR (secret IS NOT NULL AND old_secret_until IS NOT NULL))
);
COMMENT ON COLUMN endpoints.events IS 'Event names; * stands for any characters';
COMMENT ON COLUMN endpoints.since IS 'Events written before are not for this endpoint';
CREATE UNIQUE INDEX endpoints_one_bus ON endpoints (kind) WHERE kind = 'bus';
CREATE INDEX endpoints_by_job ON endpoints (job_id) WHERE job_id IS NOT NULL;
"""

# A stream is the queue of one endpoint and one job: its events go out one after the other. Whoever delivers
# claims streams, not single events, so order needs no further care. A stream exists while it has open events.
DELIVERIES = """
CREATE TABLE deliveries (
    endpoint_id uuid NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    event_id uuid NOT NULL REFERENCES outbox ON DELETE CASCADE,
    job_id text NOT NULL,
    seq bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    conflicts integer NOT NULL DEFAULT 0 CHECK (conflicts >= 0),
    last_status integer,
    last_error text,
    last_attempt_at timestamptz,
    delivered_at timestamptz,
    dead_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (endpoint_id, event_id),
    CHECK (delivered_at IS NULL OR dead_at IS NULL)
);
COMMENT ON COLUMN deliveries.conflicts IS 'Answers 409 of a callback that was not ready yet; no attempts';
CREATE INDEX deliveries_open ON deliveries (endpoint_id, job_id, seq)
    WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX deliveries_dead ON deliveries (dead_at DESC) WHERE dead_at IS NOT NULL;
CREATE INDEX deliveries_by_event ON deliveries (event_id);
CREATE TABLE delivery_streams (
    endpoint_id uuid NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    lease_by uuid,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (endpoint_id, job_id),
    CHECK ((lease_by IS NULL) = (lease_until IS NULL))
);
CREATE INDEX delivery_streams_due ON delivery_streams (next_attempt_at);
CREATE INDEX delivery_streams_by_job ON delivery_streams (job_id);
"""

# `seq` of two jobs may become visible out of order, so no cursor over it says what is new: each row does.
OUTBOX = """
ALTER TABLE outbox ADD COLUMN fanned_out boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_new ON outbox (seq) WHERE NOT fanned_out;
CREATE FUNCTION announce_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('pvm_outbox', '');
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_announced AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION announce_outbox();
"""


def upgrade() -> None:
    for part in (ENDPOINTS, DELIVERIES, OUTBOX):
        op.execute(part)


def downgrade() -> None:
    op.execute("DROP TRIGGER outbox_announced ON outbox")
    op.execute("DROP FUNCTION announce_outbox()")
    op.execute("DROP INDEX outbox_new")
    op.execute("ALTER TABLE outbox DROP COLUMN fanned_out")
    op.execute("DROP TABLE delivery_streams, deliveries, endpoints")
