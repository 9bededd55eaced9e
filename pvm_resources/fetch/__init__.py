"""The one way to the web for pictures and feeds: addresses checked, everything limited and counted."""
