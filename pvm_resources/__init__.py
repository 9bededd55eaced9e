"""The world behind interfaces: database, media store, models, sources; each works without Dagster too."""
