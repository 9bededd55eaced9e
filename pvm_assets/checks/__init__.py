"""Checks of the assets: partitioned, with thresholds from the industry's rules, verdicts kept in the store."""
