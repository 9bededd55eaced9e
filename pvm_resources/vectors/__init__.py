"""Vectors of products behind one protocol."""
