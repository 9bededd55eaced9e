"""The `pvm` command line."""
