-- Run once in the project's SQL editor. Vectors of products, and the functions that PVM calls over PostgREST;
-- the secret key alone may call them.
CREATE SCHEMA IF NOT EXISTS pvm_vectors;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS pvm_vectors.product_embeddings (
    product_id uuid NOT NULL,
    model_key text NOT NULL,
    embedding vector NOT NULL,
    kept jsonb NOT NULL,
    PRIMARY KEY (model_key, product_id)
);
ALTER TABLE pvm_vectors.product_embeddings ENABLE ROW LEVEL SECURITY;
CREATE INDEX IF NOT EXISTS product_embeddings_by_product ON pvm_vectors.product_embeddings (product_id);
CREATE INDEX IF NOT EXISTS product_embeddings_kept ON pvm_vectors.product_embeddings USING gin (kept);

CREATE OR REPLACE FUNCTION pvm_vectors.store(model text, items jsonb) RETURNS bigint LANGUAGE sql AS $$
    WITH stored AS (
        INSERT INTO pvm_vectors.product_embeddings (product_id, model_key, embedding, kept)
        SELECT (i ->> 'product_id')::uuid, model, (i ->> 'embedding')::vector, i -> 'kept'
        FROM jsonb_array_elements(items) i
        ON CONFLICT (model_key, product_id) DO UPDATE SET embedding = excluded.embedding, kept = excluded.kept
        RETURNING 1)
    SELECT count(*) FROM stored
$$;
CREATE OR REPLACE FUNCTION pvm_vectors.fetch(model text, product uuid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT embedding::text FROM pvm_vectors.product_embeddings WHERE model_key = model AND product_id = product
$$;
CREATE OR REPLACE FUNCTION pvm_vectors.remove(product uuid) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (DELETE FROM pvm_vectors.product_embeddings WHERE product_id = product RETURNING 1)
    SELECT count(*) FROM gone
$$;
CREATE OR REPLACE FUNCTION pvm_vectors.amount(model text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM pvm_vectors.product_embeddings WHERE model_key = model
$$;
-- words: name -> values of which one must be there; bounds are those of the price.
CREATE OR REPLACE FUNCTION pvm_vectors.search(
    model text, query text, amount integer, words jsonb, price_min double precision, price_max double precision
) RETURNS TABLE (product_id uuid, cosine double precision, kept jsonb) LANGUAGE sql STABLE AS $$
    SELECT e.product_id, 1 - (e.embedding <=> query::vector), e.kept
    FROM pvm_vectors.product_embeddings e
    WHERE e.model_key = model
      AND NOT EXISTS (SELECT FROM jsonb_each(words) w (name, wanted) WHERE NOT EXISTS (
          SELECT FROM jsonb_array_elements(wanted) v WHERE e.kept -> w.name @> v))
      AND (price_min IS NULL OR (e.kept ->> 'price')::double precision >= price_min)
      AND (price_max IS NULL OR (e.kept ->> 'price')::double precision <= price_max)
    ORDER BY e.embedding <=> query::vector, e.product_id LIMIT amount
$$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pvm_vectors FROM PUBLIC;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT USAGE ON SCHEMA pvm_vectors TO service_role;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pvm_vectors TO service_role;
        GRANT ALL ON ALL TABLES IN SCHEMA pvm_vectors TO service_role;
    END IF;
END $$;
