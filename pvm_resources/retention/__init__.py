"""Deletes what terms and rules no longer allow to be kept, and files that no row names."""
