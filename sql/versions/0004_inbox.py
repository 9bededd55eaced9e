"""The inbox: requests accepted over the API, the bus or a schedule; API keys; idempotency."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# job_id is no foreign key: the order to forget a job outlives the job's row.
INBOX = """
CREATE TABLE inbox (
    event_id uuid PRIMARY KEY,
    topic text NOT NULL CHECK (topic <> ''),
    payload jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(payload) = 'object'),
    source text NOT NULL CHECK (source <> ''),
    status text NOT NULL DEFAULT 'received'
        CHECK (status IN ('received', 'claimed', 'started', 'done', 'rejected')),
    job_id text,
    run_id text,
    error jsonb,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    received_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    CHECK (status <> 'rejected' OR error IS NOT NULL),
    CHECK (status <> 'claimed' OR claimed_at IS NOT NULL)
);
COMMENT ON COLUMN inbox.job_id IS 'The job it concerns; null until a request of the bus has made one';
CREATE INDEX inbox_open ON inbox (received_at, event_id) WHERE status IN ('received', 'claimed', 'started');
CREATE INDEX inbox_by_job ON inbox (job_id, received_at) WHERE job_id IS NOT NULL;
CREATE INDEX inbox_halves ON inbox ((payload ->> 'job_id'), topic)
    WHERE topic IN ('products.collect.request', 'videos.search.request');
"""

# Of a key only its SHA-256 is kept: a random secret of 190 bits needs no slow hash.
ACCESS = """
CREATE TABLE api_keys (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{8}$'),
    name text NOT NULL CHECK (name <> ''),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'run', 'review', 'admin']),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE TABLE api_secrets (
    name text PRIMARY KEY,
    secret bytea NOT NULL CHECK (length(secret) >= 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE idempotency (
    owner text NOT NULL,
    key_hash bytea NOT NULL CHECK (length(key_hash) = 32),
    body_hash bytea NOT NULL CHECK (length(body_hash) = 32),
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key_hash)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);
CREATE INDEX idempotency_by_job ON idempotency (job_id);
"""

READING = """
ALTER TABLE jobs ADD COLUMN archived_at timestamptz;
ALTER TABLE industries ADD COLUMN every_hours integer CHECK (every_hours BETWEEN 1 AND 8760);
COMMENT ON COLUMN industries.every_hours IS 'The standing sources are run again after that many hours';
CREATE INDEX jobs_by_time ON jobs (created_at DESC, job_id DESC);
CREATE INDEX matches_by_rank ON matches (score DESC, match_id);
CREATE INDEX matches_by_status ON matches (status, score DESC, match_id);
"""


def upgrade() -> None:
    for part in (INBOX, ACCESS, READING):
        op.execute(part)


def downgrade() -> None:
    op.execute("DROP INDEX matches_by_status, matches_by_rank, jobs_by_time")
    op.execute("ALTER TABLE industries DROP COLUMN every_hours")
    op.execute("ALTER TABLE jobs DROP COLUMN archived_at")
    op.execute("DROP TABLE idempotency, api_secrets, api_keys, inbox")
