"""Risk control: choose among plans with a finite-sample guarantee on their mean loss."""

from estimators.risk.anytime import AnytimeControl
from estimators.risk.control import PROCEDURES, RiskControl, RiskTest, control_risk
from estimators.risk.graph import Decision, ErrorGraph, sequentially_reject
from estimators.risk.p_values import p_value

__all__ = [
    "PROCEDURES",
    "AnytimeControl",
    "Decision",
    "ErrorGraph",
    "RiskControl",
    "RiskTest",
    "control_risk",
    "p_value",
    "sequentially_reject",
]
