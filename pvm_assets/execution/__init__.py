"""Where steps run: the GPU constant and the executors that route by it."""
