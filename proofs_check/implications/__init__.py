"""Plain logic, and readings of the paper that are false: statements, proofs, rules of the re-check and mutants."""
