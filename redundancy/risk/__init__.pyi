from .anytime import AnytimeControl
from .control import PROCEDURES, RiskControl, RiskTest, control_risk
from .drift import DriftAlarm
from .graph import Decision, ErrorGraph, sequentially_reject
from .losses import SALT, LossTable
from .p_values import fewest_units, mean_interval, mean_upper, p_value

__all__ = [
    "PROCEDURES",
    "SALT",
    "AnytimeControl",
    "Decision",
    "DriftAlarm",
    "ErrorGraph",
    "LossTable",
    "RiskControl",
    "RiskTest",
    "control_risk",
    "fewest_units",
    "mean_interval",
    "mean_upper",
    "p_value",
    "sequentially_reject",
]
