"""Calibrations that were fitted to the verdicts of one industry."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Rows stay when a calibration goes out of force, so that matches which name it can be explained.
CALIBRATIONS = """
CREATE TABLE calibrations (
    industry text NOT NULL REFERENCES industries (slug) ON DELETE CASCADE,
    embedder text NOT NULL CHECK (embedder <> ''),
    version integer NOT NULL CHECK (version > 0),
    body text NOT NULL,
    verification text NOT NULL,
    figures jsonb NOT NULL,
    who text NOT NULL CHECK (who <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    previous integer,
    in_force boolean NOT NULL,
    PRIMARY KEY (industry, embedder, version)
);
COMMENT ON COLUMN calibrations.verification IS 'Version of the measurements it was fitted on';
COMMENT ON COLUMN calibrations.figures IS 'What its comparison showed when it was installed';
COMMENT ON COLUMN calibrations.previous IS 'The version it replaced; null: the calibration of the machine';
CREATE UNIQUE INDEX calibrations_in_force ON calibrations (industry, embedder) WHERE in_force;
"""


def upgrade() -> None:
    op.execute(CALIBRATIONS)


def downgrade() -> None:
    op.execute("DROP TABLE calibrations")
