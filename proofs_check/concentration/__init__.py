"""Bounds from a sample: statements, proofs, rules of the re-check and mutants."""
