"""Confidence bounds on means of bounded per-image values; images are the i.i.d. units, tokens never are.

Tokens of one image depend on each other, so no function here takes tokens as a sample: an interval that
counts tokens is too narrow at every sample size (theory.md section 3).
"""
