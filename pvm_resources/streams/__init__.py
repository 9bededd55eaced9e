"""Streams of products' changes behind one protocol."""
