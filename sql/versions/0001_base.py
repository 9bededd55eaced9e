"""The base schema: industries, jobs, products, videos, features, matches, states, outbox."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Scores are double precision: a float4 of 0.80 is not the 0.80 a threshold is compared with.
# Paths are keys of the media store. phash is the 64-bit hash as a signed integer.
JOBS = """
CREATE TABLE industries (
    slug text PRIMARY KEY CHECK (slug ~ '^[a-z0-9-]+$'),
    name text NOT NULL UNIQUE CHECK (name <> ''),
    queries jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(queries) IN ('object', 'array')),
    sources jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(sources) = 'object'),
    rule_set text NOT NULL DEFAULT 'default',
    rules jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(rules) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE jobs (
    job_id text PRIMARY KEY CHECK (job_id ~ '^[A-Za-z0-9_-]+$'),
    industry text NOT NULL REFERENCES industries (slug),
    partition_key text NOT NULL UNIQUE,
    request jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(request) = 'object'),
    phase text NOT NULL DEFAULT 'collection' CHECK (phase IN
        ('collection', 'feature_extraction', 'matching', 'evidence', 'completed', 'failed', 'cancelled')),
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    run_id text,
    error jsonb,
    keys jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(keys) = 'object'),
    embed_model text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CHECK (status NOT IN ('completed', 'failed', 'cancelled') OR phase = status)
);
COMMENT ON COLUMN jobs.keys IS
    'Which parameters the job was computed under: keyframes, masks, embeddings, keypoints, verify, rules';
CREATE INDEX jobs_by_industry ON jobs (industry, status, finished_at DESC);
"""

CATALOGUE = """
CREATE TABLE products (
    product_id uuid PRIMARY KEY,
    src text NOT NULL,
    namespace text NOT NULL,
    asin_or_itemid text NOT NULL CHECK (asin_or_itemid <> ''),
    title text NOT NULL DEFAULT '',
    brand text NOT NULL DEFAULT '',
    url text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
-- An id as given may be 10,000 characters; a btree entry holds a third of a page.
CREATE UNIQUE INDEX products_as_given ON products (src, namespace, sha256(asin_or_itemid::bytea));
CREATE TABLE job_products (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES products,
    position integer NOT NULL CHECK (position >= 0),
    PRIMARY KEY (job_id, product_id)
);
CREATE INDEX job_products_by_product ON job_products (product_id);
CREATE TABLE stored_images (
    img_id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    local_path text NOT NULL,
    source_ref text NOT NULL,
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    phash bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (product_id, sha256),
    UNIQUE (img_id, product_id)
);
CREATE TABLE image_sources (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    ref_hash bytea GENERATED ALWAYS AS (sha256(source_ref::bytea)) STORED,
    source_ref text NOT NULL,
    fingerprint text NOT NULL,
    img_id uuid NOT NULL REFERENCES stored_images ON DELETE CASCADE,
    PRIMARY KEY (product_id, ref_hash)
);
CREATE INDEX image_sources_by_image ON image_sources (img_id);
CREATE TABLE job_images (
    job_id text NOT NULL,
    img_id uuid NOT NULL,
    product_id uuid NOT NULL,
    position integer NOT NULL CHECK (position >= 0),
    PRIMARY KEY (job_id, img_id),
    FOREIGN KEY (job_id, product_id) REFERENCES job_products ON DELETE CASCADE,
    FOREIGN KEY (img_id, product_id) REFERENCES stored_images (img_id, product_id) ON DELETE CASCADE
);
CREATE INDEX job_images_by_image ON job_images (img_id);
CREATE INDEX job_images_by_product ON job_images (job_id, product_id);
"""

VIDEOS = """
CREATE TABLE videos (
    video_id uuid PRIMARY KEY,
    platform text NOT NULL,
    url text NOT NULL DEFAULT '',
    title text NOT NULL DEFAULT '',
    duration_s double precision CHECK (duration_s >= 0),
    published_at timestamptz,
    sha256 text NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    width integer CHECK (width > 0),
    height integer CHECK (height > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE job_videos (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    name_hash bytea GENERATED ALWAYS AS (sha256(given_name::bytea)) STORED,
    given_name text NOT NULL,
    video_id uuid NOT NULL REFERENCES videos,
    source_ref text NOT NULL,
    size bigint,
    mtime double precision,
    position integer NOT NULL CHECK (position >= 0),
    PRIMARY KEY (job_id, name_hash)
);
CREATE INDEX job_videos_by_video ON job_videos (video_id);
CREATE INDEX job_videos_by_file ON job_videos (size, mtime);
CREATE TABLE keyframe_sets (
    video_id uuid NOT NULL REFERENCES videos ON DELETE CASCADE,
    params_key text NOT NULL,
    frames integer NOT NULL CHECK (frames >= 0),
    rejected integer NOT NULL CHECK (rejected >= 0),
    problem text NOT NULL DEFAULT '',
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, params_key)
);
CREATE TABLE stored_frames (
    frame_id uuid PRIMARY KEY,
    video_id uuid NOT NULL REFERENCES videos ON DELETE CASCADE,
    params_key text NOT NULL,
    ts double precision NOT NULL CHECK (ts >= 0),
    shot integer,
    local_path text,
    width integer,
    height integer,
    sharpness double precision,
    phash bigint,
    status text NOT NULL CHECK (status IN ('kept', 'rejected')),
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (status = 'rejected' OR
        (local_path IS NOT NULL AND shot IS NOT NULL AND width > 0 AND height > 0 AND phash IS NOT NULL)),
    CHECK (status = 'kept' OR (local_path IS NULL AND reason <> '')),
    UNIQUE (frame_id, video_id)
);
CREATE INDEX stored_frames_by_video ON stored_frames (video_id, params_key, ts);
"""

# An item is a picture of a product or a frame; the generated columns carry the foreign keys, so that
# deleting a picture deletes every derivative.
FEATURES = """
CREATE TABLE models (
    model_key text PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('embedder', 'segmenter', 'detector')),
    dim integer CHECK (dim BETWEEN 1 AND 16000),
    spec jsonb NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (kind <> 'embedder' OR dim IS NOT NULL)
);
CREATE UNIQUE INDEX models_one_active ON models (kind) WHERE active;
CREATE TABLE masks (
    item_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('product', 'frame')),
    method_key text NOT NULL,
    has_mask boolean NOT NULL,
    mask_path text,
    coverage double precision NOT NULL CHECK (coverage BETWEEN 0 AND 1),
    reason text NOT NULL DEFAULT '',
    img_id uuid GENERATED ALWAYS AS (CASE WHEN kind = 'product' THEN item_id END) STORED
        REFERENCES stored_images ON DELETE CASCADE,
    frame_id uuid GENERATED ALWAYS AS (CASE WHEN kind = 'frame' THEN item_id END) STORED
        REFERENCES stored_frames ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, method_key),
    CHECK (has_mask = (mask_path IS NOT NULL))
);
CREATE TABLE embeddings (
    item_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('product', 'frame')),
    model_key text NOT NULL REFERENCES models,
    model text NOT NULL,
    view smallint NOT NULL CHECK (view >= 0),
    emb_rgb vector NOT NULL,
    emb_gray vector,
    img_id uuid GENERATED ALWAYS AS (CASE WHEN kind = 'product' THEN item_id END) STORED
        REFERENCES stored_images ON DELETE CASCADE,
    frame_id uuid GENERATED ALWAYS AS (CASE WHEN kind = 'frame' THEN item_id END) STORED
        REFERENCES stored_frames ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, model_key, view),
    CHECK (emb_gray IS NULL OR vector_dims(emb_gray) = vector_dims(emb_rgb))
);
-- Vectors do not compress, and reading them must not pay for trying.
ALTER TABLE embeddings ALTER COLUMN emb_rgb SET STORAGE EXTERNAL, ALTER COLUMN emb_gray SET STORAGE EXTERNAL;
CREATE TABLE keypoint_sets (
    item_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('product', 'frame')),
    method_key text NOT NULL,
    n_keypoints integer NOT NULL CHECK (n_keypoints >= 0),
    kp_blob_path text,
    status text NOT NULL CHECK (status IN ('ok', 'excused')),
    reason text NOT NULL DEFAULT '',
    img_id uuid GENERATED ALWAYS AS (CASE WHEN kind = 'product' THEN item_id END) STORED
        REFERENCES stored_images ON DELETE CASCADE,
    frame_id uuid GENERATED ALWAYS AS (CASE WHEN kind = 'frame' THEN item_id END) STORED
        REFERENCES stored_frames ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, method_key),
    CHECK (status = 'excused' OR kp_blob_path IS NOT NULL),
    CHECK (status = 'ok' OR reason <> '')
);
CREATE INDEX masks_by_image ON masks (img_id) WHERE img_id IS NOT NULL;
CREATE INDEX masks_by_frame ON masks (frame_id) WHERE frame_id IS NOT NULL;
CREATE INDEX embeddings_by_image ON embeddings (img_id) WHERE img_id IS NOT NULL;
CREATE INDEX embeddings_by_frame ON embeddings (frame_id) WHERE frame_id IS NOT NULL;
CREATE INDEX keypoint_sets_by_image ON keypoint_sets (img_id) WHERE img_id IS NOT NULL;
CREATE INDEX keypoint_sets_by_frame ON keypoint_sets (frame_id) WHERE frame_id IS NOT NULL;
"""

MATCHING = """
CREATE TABLE candidate_pairs (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    frame_id uuid NOT NULL REFERENCES stored_frames ON DELETE CASCADE,
    img_id uuid NOT NULL REFERENCES stored_images ON DELETE CASCADE,
    rank integer NOT NULL CHECK (rank >= 1),
    sim_rgb double precision NOT NULL CHECK (sim_rgb BETWEEN -1.0001 AND 1.0001),
    sim_gray double precision CHECK (sim_gray BETWEEN -1.0001 AND 1.0001),
    similarity double precision NOT NULL CHECK (similarity BETWEEN -1.0001 AND 1.0001),
    PRIMARY KEY (job_id, frame_id, img_id)
);
CREATE INDEX candidate_pairs_by_frame ON candidate_pairs (frame_id);
CREATE INDEX candidate_pairs_by_image ON candidate_pairs (img_id);
CREATE TABLE pair_evidence (
    frame_id uuid NOT NULL REFERENCES stored_frames ON DELETE CASCADE,
    img_id uuid NOT NULL REFERENCES stored_images ON DELETE CASCADE,
    verify_key text NOT NULL,
    raw jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (frame_id, img_id, verify_key)
);
CREATE INDEX pair_evidence_by_image ON pair_evidence (img_id);
CREATE TABLE pair_scores (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    frame_id uuid NOT NULL,
    img_id uuid NOT NULL,
    product_id uuid NOT NULL,
    video_id uuid NOT NULL,
    ts double precision NOT NULL CHECK (ts >= 0),
    shot integer NOT NULL,
    sim_deep double precision CHECK (sim_deep BETWEEN 0 AND 1),
    sim_kp double precision CHECK (sim_kp BETWEEN 0 AND 1),
    sim_edge double precision CHECK (sim_edge BETWEEN 0 AND 1),
    score_pair double precision CHECK (score_pair BETWEEN 0 AND 1),
    PRIMARY KEY (job_id, frame_id, img_id),
    FOREIGN KEY (frame_id, video_id) REFERENCES stored_frames (frame_id, video_id) ON DELETE CASCADE,
    FOREIGN KEY (img_id, product_id) REFERENCES stored_images (img_id, product_id) ON DELETE CASCADE
);
CREATE INDEX pair_scores_by_pair ON pair_scores (job_id, product_id, video_id);
CREATE INDEX pair_scores_by_frame ON pair_scores (frame_id);
CREATE INDEX pair_scores_by_image ON pair_scores (img_id);
CREATE TABLE matches (
    match_id uuid PRIMARY KEY,
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    video_id uuid NOT NULL REFERENCES videos ON DELETE CASCADE,
    best_img_id uuid NOT NULL REFERENCES stored_images ON DELETE CASCADE,
    best_frame_id uuid NOT NULL REFERENCES stored_frames ON DELETE CASCADE,
    ts double precision NOT NULL CHECK (ts >= 0),
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    accept double precision NOT NULL CHECK (accept BETWEEN 0 AND 1),
    status text NOT NULL CHECK (status IN ('accepted', 'review', 'rejected')),
    reason text NOT NULL,
    sim_deep double precision CHECK (sim_deep BETWEEN 0 AND 1),
    sim_kp double precision CHECK (sim_kp BETWEEN 0 AND 1),
    sim_edge double precision CHECK (sim_edge BETWEEN 0 AND 1),
    score_pair double precision NOT NULL CHECK (score_pair BETWEEN 0 AND 1),
    consistency integer NOT NULL CHECK (consistency >= 0),
    coverage integer NOT NULL CHECK (coverage >= 0),
    calibration text NOT NULL,
    embed_model text NOT NULL,
    rules_key text NOT NULL,
    evidence_path text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job_id, product_id, video_id),
    CONSTRAINT accepted_iff_score CHECK ((status = 'accepted') = (score >= accept))
);
CREATE INDEX matches_by_score ON matches (job_id, score DESC, match_id);
CREATE INDEX matches_by_product ON matches (product_id);
CREATE INDEX matches_by_video ON matches (video_id);
CREATE INDEX matches_by_image ON matches (best_img_id);
CREATE INDEX matches_by_frame ON matches (best_frame_id);
"""

STATE = """
CREATE TABLE problems (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    stage text NOT NULL,
    item_hash bytea GENERATED ALWAYS AS (sha256(item::bytea)) STORED,
    item text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    retryable boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, stage, item_hash, code)
);
CREATE TABLE asset_states (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    asset text NOT NULL,
    data_version text NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    metadata jsonb NOT NULL DEFAULT '{}',
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, asset)
);
CREATE TABLE check_verdicts (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    asset text NOT NULL,
    check_name text NOT NULL,
    data_version text NOT NULL,
    passed boolean NOT NULL,
    blocking boolean NOT NULL,
    severity text NOT NULL CHECK (severity IN ('WARN', 'ERROR')),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, asset, check_name)
);
CREATE TABLE progress (
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    stage text NOT NULL,
    done integer NOT NULL CHECK (done >= 0),
    total integer CHECK (total >= 0),
    reused integer NOT NULL DEFAULT 0 CHECK (reused >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, stage)
);
CREATE TABLE outbox (
    event_id uuid PRIMARY KEY,
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    name text NOT NULL,
    item text NOT NULL DEFAULT '',
    payload jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    UNIQUE (job_id, name, item)
);
CREATE TABLE phase_events (
    event_id uuid PRIMARY KEY,
    job_id text NOT NULL REFERENCES jobs ON DELETE CASCADE,
    name text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX phase_events_by_job ON phase_events (job_id, name);
"""

# What a job consists of, and the founding tables' names over the active model.
VIEWS = """
CREATE VIEW job_items AS
SELECT ji.job_id, 'product'::text AS kind, ji.img_id AS item_id, ji.product_id AS parent_id, i.local_path,
       NULL::double precision AS ts, NULL::integer AS shot, i.width, i.height
FROM job_images ji JOIN stored_images i USING (img_id)
UNION ALL
SELECT jv.job_id, 'frame', f.frame_id, f.video_id, f.local_path, f.ts, f.shot, f.width, f.height
FROM (SELECT DISTINCT job_id, video_id FROM job_videos) jv
JOIN jobs j USING (job_id)
JOIN stored_frames f ON f.video_id = jv.video_id AND f.params_key = j.keys ->> 'keyframes'
WHERE f.status = 'kept';

CREATE VIEW product_images AS
SELECT i.img_id, i.product_id, i.local_path, e.emb_rgb, e.emb_gray, k.kp_blob_path,
       m.mask_path AS masked_local_path, i.phash, i.created_at
FROM stored_images i
LEFT JOIN models a ON a.kind = 'embedder' AND a.active
LEFT JOIN embeddings e ON e.item_id = i.img_id AND e.model_key = a.model_key AND e.view = 0
LEFT JOIN LATERAL (SELECT kp_blob_path FROM keypoint_sets WHERE item_id = i.img_id
                   ORDER BY created_at DESC, method_key LIMIT 1) k ON true
LEFT JOIN LATERAL (SELECT mask_path FROM masks WHERE item_id = i.img_id
                   ORDER BY created_at DESC, method_key LIMIT 1) m ON true;

CREATE VIEW video_frames AS
SELECT f.frame_id, f.video_id, f.ts, f.local_path, e.emb_rgb, e.emb_gray, k.kp_blob_path,
       m.mask_path AS masked_local_path, f.created_at
FROM stored_frames f
LEFT JOIN models a ON a.kind = 'embedder' AND a.active
LEFT JOIN embeddings e ON e.item_id = f.frame_id AND e.model_key = a.model_key AND e.view = 0
LEFT JOIN LATERAL (SELECT kp_blob_path FROM keypoint_sets WHERE item_id = f.frame_id
                   ORDER BY created_at DESC, method_key LIMIT 1) k ON true
LEFT JOIN LATERAL (SELECT mask_path FROM masks WHERE item_id = f.frame_id
                   ORDER BY created_at DESC, method_key LIMIT 1) m ON true
WHERE f.status = 'kept';
"""

_EXTENSION = """
DO $$
DECLARE found text;
BEGIN
    CREATE EXTENSION IF NOT EXISTS vector;
    SELECT extversion INTO found FROM pg_extension WHERE extname = 'vector';
    IF string_to_array(found, '.')::int[] < ARRAY[0, 8, 4] THEN
        ALTER EXTENSION vector UPDATE;
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute(_EXTENSION)
    for part in (JOBS, CATALOGUE, VIDEOS, FEATURES, MATCHING, STATE, VIEWS):
        op.execute(part)


def downgrade() -> None:
    op.execute("DROP VIEW video_frames, product_images, job_items")
    op.execute(
        "DROP TABLE phase_events, outbox, progress, check_verdicts, asset_states, problems, matches, "
        "pair_scores, pair_evidence, candidate_pairs, keypoint_sets, embeddings, masks, models, "
        "stored_frames, keyframe_sets, job_videos, videos, job_images, image_sources, stored_images, "
        "job_products, products, jobs, industries"
    )
