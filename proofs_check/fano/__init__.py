"""Theorem 3: statements, proofs, rules of the re-check and mutants."""
