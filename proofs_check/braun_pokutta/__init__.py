"""Theorem 4: statements, proofs, rules of the re-check and mutants."""
