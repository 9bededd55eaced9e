"""Dagster's daemon, which rests while nothing happens and is woken by PostgreSQL."""
