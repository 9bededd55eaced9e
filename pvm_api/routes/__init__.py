"""Routes by concern; each module holds one router."""
