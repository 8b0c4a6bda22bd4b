from .draft import Proof, Step
from .theorems import available, constants, prove

__all__ = [
    "Proof",
    "Step",
    "available",
    "constants",
    "prove",
]
