"""The ten assets, a module per stage."""
