"""Reasons as code and values, the best pair's shot, the rules a job ran under, evidence keys renamed."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ALIKE = re.compile(r"looks alike \((?P<alike>[\d.]+)\) without a geometric proof: (?P<because>.+)", re.S)
#: What `reason` said until now, and the code it is stored under. Counts end in `shots`, `needed`.
_REASONS = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"too few keypoints to compare the geometry", "keypoints.none"),
        (
            r"another product fits the same place with (?P<rival_score>[\d.]+) against (?P<best>[\d.]+), "
            r"a lead of (?P<margin>[\d.]+) is asked for",
            "rival",
        ),
        (r"the model (?P<model>.+) is not calibrated", "model.uncalibrated"),
        (r"similarity \(none\) is under (?P<least>[\d.]+)", "deep.none"),
        (r"similarity (?P<value>[\d.]+) is under (?P<least>[\d.]+)", "deep.low"),
        (r"geometry (?P<value>[\d.]+) is under (?P<least>[\d.]+)", "geometry.low"),
        (
            r"best pair (?P<best>[\d.]+) is under (?P<least>[\d.]+) and only (?P<shots>\d+) of "
            r"(?P<needed>\d+) shots agree",
            "best.alone",
        ),
        (r"best pair (?P<best>[\d.]+) is under (?P<least>[\d.]+)", "best.low"),
        (r"best pair (?P<best>[\d.]+), seen in (?P<shots>one|\d+) shots?", "accepted.alone"),
        (r"best pair (?P<best>[\d.]+), and (?P<shots>one|\d+) shots? agrees?", "accepted.shots"),
    )
)
#: Code -> text of the release before, for going back.
_TEXTS = {
    "keypoints.none": "too few keypoints to compare the geometry",
    "rival": "another product fits the same place with {rival_score:.2f} against {best:.2f}, "
    "a lead of {margin:.2f} is asked for",
    "model.uncalibrated": "the model {model} is not calibrated",
    "deep.none": "similarity (none) is under {least:.2f}",
    "deep.low": "similarity {value:.2f} is under {least:.2f}",
    "geometry.low": "geometry {value:.2f} is under {least:.2f}",
    "best.alone": "best pair {best:.2f} is under {least:.2f} and only {shots} of {needed} shots agree",
    "best.low": "best pair {best:.2f} is under {least:.2f}",
    "accepted.alone": "best pair {best:.2f}, seen in {shots} shots",
    "accepted.shots": "best pair {best:.2f}, and {shots} shots agree",
    "legacy": "{text}",
}
COLUMNS = """
ALTER TABLE matches
    ADD COLUMN reason_code text,
    ADD COLUMN reason_values jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(reason_values) = 'object'),
    ADD COLUMN shot integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN matches.shot IS
    'Of the best frame; 0 also where that frame was purged before there was this column';
ALTER TABLE jobs ADD COLUMN rules jsonb CHECK (jsonb_typeof(rules) = 'object');
COMMENT ON COLUMN jobs.rules IS 'The rules its matches were decided under; null: not decided, or before 0009';
UPDATE matches m SET shot = f.shot FROM stored_frames f
WHERE f.frame_id = m.best_frame_id AND f.shot IS NOT NULL;
UPDATE pair_evidence SET raw = raw - 'flow_spread' WHERE raw ? 'flow_spread';
"""
RENAME = """
UPDATE pair_evidence SET raw = (raw - '{old}') || jsonb_build_object('{new}', raw -> '{old}')
WHERE raw ? '{old}'
"""
REQUIRED = """
ALTER TABLE matches DROP COLUMN reason, ALTER COLUMN reason_code SET NOT NULL,
    ADD CHECK (reason_code <> '')
"""


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Code and values of a reason given in words; ``legacy`` with the text where it is unknown."""
    alike = _ALIKE.fullmatch(text)
    for pattern, code in _REASONS:
        found = pattern.fullmatch(alike["because"] if alike else text)
        if found is not None:
            values = {name: _value(name, value) for name, value in found.groupdict().items()}
            return code, {**values, **({"alike": float(alike["alike"])} if alike else {})}
    return "legacy", {"text": text}


def _value(name: str, text: str) -> str | int | float:
    if name in ("shots", "needed"):
        return 1 if text == "one" else int(text)
    return text if name == "model" else float(text)


def _text(code: str, values: dict[str, Any]) -> str:
    said = _TEXTS[code].format(**values)
    alike = values.get("alike")
    return said if alike is None else f"looks alike ({alike:.2f}) without a geometric proof: {said}"


def _convert(rows: list[dict[str, Any]], update: str) -> None:
    """Runs `update` over the rows, staged as a table `converted`: one statement however many rows."""
    connection = op.get_bind()
    op.execute("CREATE TEMP TABLE converted (was text, values_was jsonb, code text, data jsonb, said text)")
    if rows:
        values = ":was, cast(:values_was AS jsonb), :code, cast(:data AS jsonb), :said"
        connection.execute(sa.text(f"INSERT INTO converted VALUES ({values})"), rows)
    op.execute(update)
    op.execute("DROP TABLE converted")


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(RENAME.format(old="place", new="footprint"))
    rows = []
    for (text,) in op.get_bind().execute(sa.text("SELECT DISTINCT reason FROM matches")):
        code, values = _parsed(text)
        rows.append({"was": text, "values_was": None, "code": code, "data": json.dumps(values), "said": None})
    _convert(
        rows,
        "UPDATE matches m SET reason_code = c.code, reason_values = c.data FROM converted c "
        "WHERE c.was = m.reason",
    )
    op.execute(REQUIRED)


def downgrade() -> None:
    op.execute("ALTER TABLE matches ADD COLUMN reason text")
    found = op.get_bind().execute(sa.text("SELECT DISTINCT reason_code, reason_values FROM matches"))
    rows = [
        {
            "was": code,
            "values_was": json.dumps(values),
            "code": None,
            "data": None,
            "said": _text(code, values),
        }
        for code, values in found
    ]
    _convert(
        rows,
        "UPDATE matches m SET reason = c.said FROM converted c "
        "WHERE c.was = m.reason_code AND c.values_was = m.reason_values",
    )
    op.execute(RENAME.format(old="footprint", new="place"))
    op.execute(
        "ALTER TABLE matches ALTER COLUMN reason SET NOT NULL, DROP COLUMN reason_code, "
        "DROP COLUMN reason_values, DROP COLUMN shot"
    )
    op.execute("ALTER TABLE jobs DROP COLUMN rules")
