"""Public figures: what is drawn equals what came in, on every kind of input; nothing else is touched."""

from __future__ import annotations

import struct
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from redundancy import figures
from redundancy.certificates.profile import ProfileCertificate
from redundancy.figures.saving import render
from redundancy.pid.solve import broja
from support import harvests as HARVESTS
from support.reports import make_report

REPORT = make_report()
STATISTICS = HARVESTS.harvest()
CERTIFICATE = ProfileCertificate.from_statistics(STATISTICS)
VALIDATION = [
    {"plan": f"late_entry({k})", "accuracy": 0.9 - 0.2 * k, "accuracy_interval": [0.8 - 0.2 * k, 0.95 - 0.2 * k]}
    for k in (1, 2, 3)
] + [{"plan": "fastv(2, 0.5)", "accuracy": 0.85, "flop_speedup": 1.4}]
COPY = np.array([[[0.36, 0.09], [0.04, 0.01]], [[0.01, 0.04], [0.09, 0.36]]])  # t, x, y: two noisy copies of a bit
RECORDS = [{"truth": 0.1 * k, "bound": 0.1 * k + 0.2, "series": "abc"[k % 3]} for k in range(6)]
COVERAGE = [
    {"bound": b, "n": n, "coverage": c, "nominal": 0.95, "error": 0.003, "offered": True}
    for b, cs in {"betting": (0.99, 0.97), "t": (0.5, 0.9)}.items()
    for n, c in zip((30, 100), cs, strict=True)
]
DRAWN = {
    "distance": lambda ax: figures.distance_per_layer(STATISTICS, ax=ax),
    "distance of runs": lambda ax: figures.distance_per_layer({"a": STATISTICS, "b": REPORT}, ax=ax),
    "proximity": lambda ax: figures.proximity_per_layer(REPORT, ax=ax),
    "extremes": lambda ax: figures.extremes_per_layer(STATISTICS, ax=ax),
    "centred": lambda ax: figures.centred_distance_per_layer(REPORT, ax=ax),
    "norm": lambda ax: figures.norm_per_layer(STATISTICS, ax=ax),
    "attention": lambda ax: figures.attention_per_layer(REPORT, ax=ax),
    "depth": lambda ax: figures.depth_distances(STATISTICS, ax=ax),
    "depth of a report": lambda ax: figures.depth_distances(REPORT, ax=ax),
    "accuracy": lambda ax: figures.accuracy_per_layer(REPORT, ax=ax),
    "accuracy of rows": lambda ax: figures.accuracy_per_layer(VALIDATION, ax=ax),
    "speed-up": lambda ax: figures.speedup_per_layer(REPORT, ax=ax),
    "speed and accuracy": lambda ax: figures.speed_accuracy(REPORT, ax=ax),
    "risk": lambda ax: figures.risk_of_plans(REPORT, ax=ax),
    "certificates": lambda ax: figures.certificate_intervals(CERTIFICATE, ax=ax),
    "tightness": lambda ax: figures.bound_tightness(RECORDS, unit="bits", ax=ax),
    "coverage": lambda ax: figures.interval_coverage(COVERAGE, ax=ax),
    "atoms": lambda ax: figures.pid_bars(broja(COPY), ax=ax),
}


def line(ax: Any, gid: str) -> tuple[list[float], list[float]]:
    found = [artist for artist in ax.get_lines() if artist.get_gid() == f"hover-{gid}"]
    assert len(found) == 1, [artist.get_gid() for artist in ax.get_lines()]
    return list(found[0].get_xdata()), list(found[0].get_ydata())


def verticals(ax: Any) -> list[tuple[float, float, float]]:
    """Place and ends of every interval: lines of two points one above the other."""
    lines = [(list(a.get_xdata()), list(a.get_ydata())) for a in ax.get_lines()]
    return [(x[0], *y) for x, y in lines if len(x) == 2 and x[0] == x[1]]


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_labelled_returned_and_of_exact_width(name: str) -> None:
    before = dict(mpl.rcParams)
    given = Figure().add_subplot()
    assert DRAWN[name](given) is given
    ax = DRAWN[name](None)
    assert ax.get_xlabel() or name == "atoms"
    assert ax.get_ylabel()
    assert ax.figure.get_size_inches()[0] == 3.3
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in vars(figures)
    width, height = struct.unpack(">II", render(ax.figure, "png")[16:24])
    assert (width, height) == tuple(round(200 * inches) for inches in ax.figure.get_size_inches())


FONTS = ["DejaVu Sans", "DejaVu Sans Mono", "Liberation Sans"]  # those of matplotlib, and that of most machines
