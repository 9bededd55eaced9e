"""The asset graph: an asset reads, calls the core and writes."""
