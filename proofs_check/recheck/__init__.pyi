from .report import RecheckReport, Row
from .run import covered, recheck

__all__ = [
    "RecheckReport",
    "Row",
    "covered",
    "recheck",
]
