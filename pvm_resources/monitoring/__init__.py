"""Figures for a monitor that are read from PostgreSQL itself and from Dagster's tables."""
