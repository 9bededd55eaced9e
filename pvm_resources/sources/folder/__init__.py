"""Videos of a folder."""
