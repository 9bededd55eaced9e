"""The analysis as gRPC services, one for each step, over the same pure functions."""
