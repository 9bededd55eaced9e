"""The world behind interfaces: database, media store, model store, sources; each works without Dagster too."""
