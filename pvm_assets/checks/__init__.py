"""Checks of the assets: partitioned, thresholds from the industry's rules, verdicts kept in the store."""
