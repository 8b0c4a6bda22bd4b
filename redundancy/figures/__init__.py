"""Figures for papers: each function takes a result and `ax=None`, draws, and returns the Axes.

Colour-blind safe (Okabe-Ito, and a marker per series), 3.3 or 6.9 inches wide, no LaTeX, no `plt.show`, no change
of matplotlib's global settings. matplotlib is imported when a figure is drawn, not before.
"""

from redundancy.figures.atoms import pid_bars
from redundancy.figures.bounds import bound_tightness, certificate_intervals, interval_coverage
from redundancy.figures.panels import accuracy_panels, attention_panels, redundancy_panels
from redundancy.figures.plans import accuracy_per_layer, risk_of_plans, speed_accuracy, speedup_per_layer
from redundancy.figures.profile import (
    attention_per_layer,
    centred_distance_per_layer,
    depth_distances,
    distance_per_layer,
    extremes_per_layer,
    norm_per_layer,
    proximity_per_layer,
)
from redundancy.figures.saving import axes, save_figure

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
    "norm_per_layer",
    "pid_bars",
    "proximity_per_layer",
    "redundancy_panels",
    "risk_of_plans",
    "save_figure",
    "speed_accuracy",
    "speedup_per_layer",
]
