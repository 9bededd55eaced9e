"""Faces in pictures: who finds them, their landmarks, and pictures in which they cannot be recognised."""
