"""The margin theorem: statements, proofs, rules of the re-check and mutants."""
