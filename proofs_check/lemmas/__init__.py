"""Lemmas 1 to 5: statements, proofs, rules of the re-check and mutants."""
