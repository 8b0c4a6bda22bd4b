from .atoms import pid_bars
from .attention import attention_per_layer
from .bounds import bound_tightness, certificate_intervals, interval_coverage, intervals
from .panels import accuracy_panels, attention_panels, redundancy_panels
from .plans import accuracy_per_layer, loss_by_cost, risk_of_plans, speed_accuracy, speedup_per_layer
from .profile import (
    centred_distance_per_layer,
    depth_distances,
    distance_per_layer,
    extremes_per_layer,
    norm_per_layer,
    proximity_per_layer,
)
from .saving import axes, save_figure

__all__ = [
    "accuracy_panels",
    "accuracy_per_layer",
    "attention_panels",
    "attention_per_layer",
    "axes",
    "bound_tightness",
    "centred_distance_per_layer",
    "certificate_intervals",
    "depth_distances",
    "distance_per_layer",
    "extremes_per_layer",
    "interval_coverage",
    "intervals",
    "loss_by_cost",
    "norm_per_layer",
    "pid_bars",
    "proximity_per_layer",
    "redundancy_panels",
    "risk_of_plans",
    "save_figure",
    "speed_accuracy",
    "speedup_per_layer",
]
