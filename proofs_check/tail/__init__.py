"""Proposition 1 and the two tails: statements, proofs, rules of the re-check and mutants."""
