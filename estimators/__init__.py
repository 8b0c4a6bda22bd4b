"""Estimates of functional and informational redundancy from activations."""

__project__ = "skip-it"
