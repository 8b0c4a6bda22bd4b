"""Machine checks of the theory: Shannon-type proofs, symbolic steps, adversaries, mutations."""

__project__ = "skip-it"
