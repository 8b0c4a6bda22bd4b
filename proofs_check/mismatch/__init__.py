"""Code mismatch: statements, proofs, rules of the re-check and mutants."""
