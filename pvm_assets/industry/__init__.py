"""What an industry has as a whole, beside the graph of its jobs: a partition is an industry."""
