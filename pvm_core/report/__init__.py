"""The report on an industry: what it says as data, and one HTML file that says it."""
