"""The world behind interfaces: database, media store, model store, sources. Each works without Dagster too."""
