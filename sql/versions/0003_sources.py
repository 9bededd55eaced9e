"""Collection from the net: answers, statuses, tokens, budgets, dead letters, files, purged media."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What sources answered in a job, as they came: a rerun reads them instead of asking again.
ANSWERS = """
CREATE TABLE source_states (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('products', 'videos')),
    source text NOT NULL,
    position integer NOT NULL DEFAULT 0 CHECK (position >= 0),
    state text NOT NULL
        CHECK (state IN ('ok', 'partial', 'not_configured', 'not_eligible', 'rate_limited', 'failed')),
    reason text NOT NULL DEFAULT '',
    remedy text NOT NULL DEFAULT '',
    found integer NOT NULL DEFAULT 0 CHECK (found >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, kind, source)
);
CREATE TABLE source_answers (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    source text NOT NULL,
    key_hash bytea GENERATED ALWAYS AS (sha256(key::bytea)) STORED,
    key text NOT NULL,
    answer jsonb NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, source, key_hash)
);
CREATE INDEX source_answers_by_age ON source_answers (source, fetched_at);
"""

# Shared by all processes of a home. A token is short-lived; the long-lived secrets stay in the environment.
ACCOUNTS = """
CREATE TABLE source_tokens (
    source text NOT NULL,
    account text NOT NULL,
    token text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (source, account)
);
CREATE TABLE source_budgets (
    source text NOT NULL,
    account text NOT NULL,
    day date NOT NULL,
    used integer NOT NULL CHECK (used >= 0),
    PRIMARY KEY (source, account, day)
);
"""

DOWNLOADS = """
CREATE TABLE dead_letters (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    stage text NOT NULL,
    item_hash bytea GENERATED ALWAYS AS (sha256(item::bytea)) STORED,
    item text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    attempts integer NOT NULL CHECK (attempts >= 1),
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    PRIMARY KEY (job_id, stage, item_hash)
);
CREATE TABLE video_files (
    platform text NOT NULL,
    id_hash bytea GENERATED ALWAYS AS (sha256(external_id::bytea)) STORED,
    external_id text NOT NULL,
    video_id uuid NOT NULL REFERENCES videos ON DELETE CASCADE,
    path text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    fetched_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (platform, id_hash)
);
CREATE INDEX video_files_by_video ON video_files (video_id);
"""

# A match outlives the pictures it was found by: a source's terms may end their keeping.
KEPT_MATCHES = """
ALTER TABLE matches
    ALTER COLUMN best_img_id DROP NOT NULL,
    ALTER COLUMN best_frame_id DROP NOT NULL,
    ADD COLUMN media_purged_at timestamptz,
    DROP CONSTRAINT matches_best_img_id_fkey,
    DROP CONSTRAINT matches_best_frame_id_fkey,
    ADD CONSTRAINT matches_best_img_id_fkey
        FOREIGN KEY (best_img_id) REFERENCES stored_images ON DELETE SET NULL,
    ADD CONSTRAINT matches_best_frame_id_fkey
        FOREIGN KEY (best_frame_id) REFERENCES stored_frames ON DELETE SET NULL;
ALTER TABLE products ADD COLUMN seen_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN purged_at timestamptz;
CREATE INDEX products_by_age ON products (src, seen_at);
CREATE INDEX stored_images_by_age ON stored_images (created_at);
"""


def upgrade() -> None:
    for part in (ANSWERS, ACCOUNTS, DOWNLOADS, KEPT_MATCHES):
        op.execute(part)


def downgrade() -> None:
    op.execute("DELETE FROM matches WHERE best_img_id IS NULL OR best_frame_id IS NULL")
    op.execute(
        "ALTER TABLE matches DROP COLUMN media_purged_at, "
        "ALTER COLUMN best_img_id SET NOT NULL, ALTER COLUMN best_frame_id SET NOT NULL, "
        "DROP CONSTRAINT matches_best_img_id_fkey, DROP CONSTRAINT matches_best_frame_id_fkey, "
        "ADD CONSTRAINT matches_best_img_id_fkey "
        "FOREIGN KEY (best_img_id) REFERENCES stored_images ON DELETE CASCADE, "
        "ADD CONSTRAINT matches_best_frame_id_fkey "
        "FOREIGN KEY (best_frame_id) REFERENCES stored_frames ON DELETE CASCADE"
    )
    op.execute("DROP INDEX stored_images_by_age, products_by_age")
    op.execute("ALTER TABLE products DROP COLUMN seen_at, DROP COLUMN purged_at")
    op.execute(
        "DROP TABLE video_files, dead_letters, source_budgets, source_tokens, source_answers, source_states"
    )
