"""Theorem 1 and the trivial caps: statements, proofs, rules of the re-check and mutants."""
