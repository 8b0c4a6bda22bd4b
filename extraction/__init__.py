"""Harvest statistics of a vision-language model's layers, and really skip them."""

__project__ = "skip-it"
