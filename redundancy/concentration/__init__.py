"""Finite-sample bounds on means of bounded i.i.d. values."""
