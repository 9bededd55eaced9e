"""Products from a file or a feed: CSV, JSON lines, Google product feeds, by path or URL."""
