"""Exact values of known laws: statements, proofs, rules of the re-check and mutants."""
