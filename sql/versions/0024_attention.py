"""Faces of videos as numbers, and attention. No table of matching is changed."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE face_sets (
    video_id uuid NOT NULL REFERENCES videos ON DELETE CASCADE,
    faces_key text NOT NULL,
    detector text NOT NULL,
    fps double precision NOT NULL,
    looked integer NOT NULL,
    with_face integer NOT NULL,
    seconds_cpu double precision NOT NULL,
    chunks jsonb NOT NULL DEFAULT '[]',
    problem text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, faces_key)
);
COMMENT ON TABLE face_sets IS 'A video whose faces were looked for under a detector and its parameters';
COMMENT ON COLUMN face_sets.chunks IS 'Keys of its landmarks in the media store, in order of time';
CREATE INDEX face_sets_by_age ON face_sets (created_at);
CREATE TABLE face_tracks (
    video_id uuid NOT NULL,
    faces_key text NOT NULL,
    track integer NOT NULL,
    first_s double precision NOT NULL,
    last_s double precision NOT NULL,
    samples integer NOT NULL,
    presence double precision NOT NULL,
    box_left double precision NOT NULL,
    box_top double precision NOT NULL,
    box_width double precision NOT NULL,
    box_height double precision NOT NULL,
    PRIMARY KEY (video_id, faces_key, track),
    FOREIGN KEY (video_id, faces_key) REFERENCES face_sets ON DELETE CASCADE
);
COMMENT ON COLUMN face_tracks.box_left IS 'Mean box, as shares of the picture';
CREATE TABLE face_series (
    video_id uuid NOT NULL,
    faces_key text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('head_pose', 'gaze', 'blinks')),
    method text NOT NULL,
    local_path text NOT NULL,
    summary jsonb NOT NULL,
    PRIMARY KEY (video_id, faces_key, kind),
    FOREIGN KEY (video_id, faces_key) REFERENCES face_sets ON DELETE CASCADE
);
CREATE TABLE attention_videos (
    video_id uuid NOT NULL,
    faces_key text NOT NULL,
    attention_key text NOT NULL,
    score double precision CHECK (score BETWEEN 0 AND 1),
    coverage double precision NOT NULL CHECK (coverage BETWEEN 0 AND 1),
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    presenter integer,
    tracks jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, attention_key),
    FOREIGN KEY (video_id, faces_key) REFERENCES face_sets ON DELETE CASCADE
);
COMMENT ON COLUMN attention_videos.tracks IS 'Each track with its score, its blinks and its curve by second';
CREATE TABLE attention_jobs (
    job_id text PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('running', 'complete', 'failed')),
    attention_key text NOT NULL DEFAULT '',
    reason jsonb,
    assets jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE attention_jobs IS 'The attention analysis of a job; without a row it has not begun';
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE attention_jobs, attention_videos, face_series, face_tracks, face_sets")
