"""Harvest: what one forward pass tells about every layer, kept as sums."""
