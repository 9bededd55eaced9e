"""Sessions of the review page, so that signing out ends one; uploads and whose they are, for quotas."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A browser that is signed in. Like a key it is stored as its hash.
SESSIONS = """
CREATE TABLE review_sessions (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    key_id text NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
);
CREATE INDEX review_sessions_by_key ON review_sessions (key_id);
CREATE INDEX review_sessions_by_end ON review_sessions (ends_at);
"""

# Two callers may upload the same file: it counts for both, and is stored once.
UPLOADS = """
CREATE TABLE uploads (
    name text NOT NULL CHECK (name ~ '^[0-9a-f]{64}[.][a-z]+$'),
    owner text NOT NULL CHECK (owner <> ''),
    bytes bigint NOT NULL CHECK (bytes > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, owner)
);
CREATE INDEX uploads_by_owner ON uploads (owner);
"""


def upgrade() -> None:
    op.execute(SESSIONS)
    op.execute(UPLOADS)


def downgrade() -> None:
    op.execute("DROP TABLE review_sessions, uploads")
