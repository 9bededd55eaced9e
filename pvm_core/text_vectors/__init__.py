"""Vectors of a product's words: what it says of itself as 384 numbers."""
