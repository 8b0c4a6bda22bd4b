"""Risk control: choose among plans with a finite-sample guarantee on their mean loss."""

from redundancy.risk.anytime import AnytimeControl
from redundancy.risk.control import PROCEDURES, RiskControl, RiskTest, control_risk
from redundancy.risk.drift import DriftAlarm
from redundancy.risk.graph import Decision, ErrorGraph, sequentially_reject
from redundancy.risk.p_values import p_value

__all__ = [
    "PROCEDURES",
    "AnytimeControl",
    "Decision",
    "DriftAlarm",
    "ErrorGraph",
    "RiskControl",
    "RiskTest",
    "control_risk",
    "p_value",
    "sequentially_reject",
]
