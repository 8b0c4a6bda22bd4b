"""Codes of states: one codebook for all layers of a comparison, and coded pairs of layers."""
