"""Hashes of names, paths and ids that hold backslashes."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A cast of text to bytea reads the text as an escape string: it refuses most backslashes, and hashes the
# rest as something else. convert_to takes the text as it is. PostgreSQL calls convert_to stable because
# encodings can be redefined; for UTF8, the encoding of our text, the result never changes.
_FUNCTION = """
CREATE FUNCTION text_sha256(given text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN sha256(convert_to(given, 'UTF8'))
"""
#: What the function computes, without it: a doubled backslash is read as one.
_BUILT_IN = r"sha256(replace({0}, '\', '\\')::bytea)"
#: Table, generated column, the text it is made of, primary key.
_HASHES: Sequence[tuple[str, str, str, str]] = (
    ("image_sources", "ref_hash", "source_ref", "product_id, ref_hash"),
    ("job_videos", "name_hash", "given_name", "job_id, name_hash"),
    ("problems", "item_hash", "item", "job_id, stage, item_hash, code"),
    ("source_answers", "key_hash", "key", "job_id, source, key_hash"),
    ("dead_letters", "item_hash", "item", "job_id, stage, item_hash"),
    ("video_files", "id_hash", "external_id", "platform, id_hash"),
)


def _replace(expression: str) -> None:
    op.execute("DROP INDEX products_as_given")
    op.execute(
        "CREATE UNIQUE INDEX products_as_given "
        f"ON products (src, namespace, ({expression.format('asin_or_itemid')}))"
    )
    for table, column, text, key in _HASHES:
        # SET EXPRESSION needs PostgreSQL 17. The primary key goes with its column.
        op.execute(
            f"ALTER TABLE {table} DROP COLUMN {column}, ADD COLUMN {column} bytea "
            f"GENERATED ALWAYS AS ({expression.format(text)}) STORED NOT NULL, ADD PRIMARY KEY ({key})"
        )


def upgrade() -> None:
    op.execute(_FUNCTION)
    _replace("text_sha256({0})")


def downgrade() -> None:
    # The casts of 0001 and 0003 would refuse the rows that came in since.
    _replace(_BUILT_IN)
    op.execute("DROP FUNCTION text_sha256(text)")
