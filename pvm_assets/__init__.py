"""The asset graph: thin assets that read rows, call the core and write rows with their events."""
