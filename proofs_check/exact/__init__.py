"""Exact numbers, points and finite laws, on which statements are checked."""
