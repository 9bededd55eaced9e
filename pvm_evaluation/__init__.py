"""How well the platform finds what it should, from files to tables, in one process.

A *photo set* is a folder with `reference/`, `scene/` and `pairs.csv` (its positives; every other combination
is a negative); a *case* is a catalogue, a folder of videos and `truth.csv`. `measure` turns either into
`RawPair`s; from these calibrations are fitted, and scores, decisions and metrics are computed without
decoding a picture again.
"""
