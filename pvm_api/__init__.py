"""The REST API: jobs in, results out."""
