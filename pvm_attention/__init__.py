"""Faces to an attention score: a code location of its own, apart from matching."""
