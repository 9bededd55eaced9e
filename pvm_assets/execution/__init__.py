"""How runs execute: executors, supervision of runs, the start of the platform."""
