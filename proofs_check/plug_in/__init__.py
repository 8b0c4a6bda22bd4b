"""Theorem 2: statements, proofs, rules of the re-check and mutants."""
