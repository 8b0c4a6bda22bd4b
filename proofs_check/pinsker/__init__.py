"""Theorem 5: statements, proofs, rules of the re-check and mutants."""
