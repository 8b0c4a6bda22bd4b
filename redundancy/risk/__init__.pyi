from .anytime import AnytimeControl
from .control import PROCEDURES, RiskControl, RiskTest, control_risk
from .drift import DriftAlarm
from .graph import Decision, ErrorGraph, sequentially_reject
from .losses import SALT, LossTable
from .p_values import fewest_units, mean_interval, mean_upper, p_value
from .sample_size import SampleSize, sample_size, sample_size_of_pilot

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
    "SampleSize",
    "control_risk",
    "fewest_units",
    "mean_interval",
    "mean_upper",
    "p_value",
    "sample_size",
    "sample_size_of_pilot",
    "sequentially_reject",
]
