"""Backups: both databases and the files of a home in one archive, and back."""
