"""The performance gap: statements, proofs, rules of the re-check and mutants."""
