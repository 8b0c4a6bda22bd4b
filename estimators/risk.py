"""Risk control under the name that estimators give it; the work is done in `redundancy.risk`."""

from redundancy.risk import AnytimeControl, ErrorGraph, RiskControl, control_risk

__all__ = ["AnytimeControl", "ErrorGraph", "RiskControl", "control_risk"]
