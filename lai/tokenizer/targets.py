"""Target ids: what a model is to predict at each position of a row."""

IGNORE_INDEX = -100
"""The target of a position without a prediction: the default `ignore_index` of PyTorch's `cross_entropy`."""
