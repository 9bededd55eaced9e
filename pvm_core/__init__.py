"""Pure functions and frozen dataclasses: no Dagster, database, network or environment."""
