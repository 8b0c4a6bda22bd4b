"""Scans of an activation store: every pair of depths, and what was found."""
