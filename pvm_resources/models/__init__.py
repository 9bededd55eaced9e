"""Weights and calibrations of this machine."""
