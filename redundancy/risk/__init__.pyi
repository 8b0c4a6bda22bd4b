from .anytime import AnytimeControl
from .control import PROCEDURES, RiskControl, RiskTest, control_risk
from .drift import DriftAlarm
from .graph import Decision, ErrorGraph, sequentially_reject
from .p_values import p_value

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
