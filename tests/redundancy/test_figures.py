"""Public figures: what is drawn equals what came in, on every kind of input; nothing else is touched."""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from redundancy import figures
from redundancy.certificates.profile import ProfileCertificate
from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.saving import render
from redundancy.figures.sources import as_report, profile_records
from redundancy.pid.solve import broja
from support import harvests as HARVESTS
from support import run_python
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


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_clipped_at_either_width(name: str) -> None:
    """Every text of the figure, legends included, lies inside the canvas."""
    for width in (3.3, 6.9):
        ax = DRAWN[name](None)
        figure = ax.figure
        figure.set_size_inches(width, figure.get_size_inches()[1])
        with style.style_context():
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            box = figure.get_tightbbox(canvas.get_renderer())
        size = figure.get_size_inches()
        assert box.x0 >= -0.01, (width, box)
        assert box.y0 >= -0.01, (width, box)
        assert box.x1 <= size[0] + 0.01, (width, box)
        assert box.y1 <= size[1] + 0.01, (width, box)


def test_a_harvest_its_records_and_a_report_of_it_draw_the_same() -> None:
    sources = (STATISTICS, profile_records(STATISTICS), as_report(STATISTICS))
    drawn = [line(figures.distance_per_layer(source), "vision") for source in sources]
    assert drawn[0] == drawn[1] == drawn[2] == ([1, 2, 3], list(STATISTICS.mean_distance("vision")))
    ax = figures.norm_per_layer(STATISTICS, groups=["text"])
    assert line(ax, "text")[1] == list(STATISTICS.mean_norm("text")[1:])


def test_several_runs_get_a_line_each_and_groups_differ_in_their_markers() -> None:
    other = HARVESTS.harvest(seed=3)
    ax = figures.proximity_per_layer({"GQA": STATISTICS, "VQA": other})
    for name, run in (("GQA", STATISTICS), ("VQA", other)):
        for group in ("vision", "text"):
            assert line(ax, f"{name}-{group}")[1] == list(run.fraction_below(group, 0.05))
    filled = {a.get_gid(): a.get_markerfacecolor() for a in ax.get_lines()}
    assert filled["hover-GQA-text"] == style.PAPER
    assert filled["hover-GQA-vision"] != style.PAPER
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["GQA", "VQA", "vision", "text"]


def test_rows_of_a_validation_are_placed_by_their_plans() -> None:
    ax = figures.accuracy_per_layer(VALIDATION)
    assert line(ax, "late-entry") == ([1, 2, 3], [row["accuracy"] for row in VALIDATION[:3]])
    assert sorted(verticals(ax)) == [(k + 1.0, *row["accuracy_interval"]) for k, row in enumerate(VALIDATION[:3])]
    runs = figures.accuracy_per_layer({"a": VALIDATION, "b": VALIDATION[:2]}, families=["late_entry"])
    assert line(runs, "b")[0] == [1, 2]
    assert runs.get_xlabel() == "depth of late entry (layers)"
    fast = figures.speed_accuracy(VALIDATION)
    assert line(fast, "other_plans") == ([1.4], [0.85])
    assert "from FLOPs" in fast.get_xlabel()


def test_the_frontier_joins_certified_plans_that_none_beats() -> None:
    points = [(1.1, 0.9, True), (1.3, 0.8, True), (1.2, 0.7, True), (2.0, 0.95, False), (1.0, 0.85, True)]
    rows = [
        {"plan": f"vision_exit({k})", "prefill_speedup": x, "accuracy": y, "is_certified": sure}
        for k, (x, y, sure) in enumerate(points)
    ]
    ax = figures.speed_accuracy(rows)
    frontier = next(a for a in ax.get_lines() if a.get_label() == "certified frontier")
    assert list(zip(frontier.get_xdata(), frontier.get_ydata(), strict=True)) == [(1.1, 0.9), (1.3, 0.8)]
    assert line(ax, "vision_exit-open") == ([2.0], [0.95])
    risk = figures.risk_of_plans(REPORT)
    certified = [r for r in REPORT["vision_exit"] if r["is_certified"]]
    assert line(risk, "vision_exit")[1] == [r["loss_share"] for r in certified]
    rows = REPORT["late_entry"] + REPORT["vision_exit"] + REPORT["other_plans"]
    ends = {(r["flop_speedup"], r["loss_share"], r["loss_upper"]) for r in rows if r["is_tested"]}
    assert ends == set(verticals(risk))  # a plan that was not tested has no bound


def test_certificate_bars_are_the_best_bounds_and_vacuous_ones_are_left_out() -> None:
    ax = figures.certificate_intervals(CERTIFICATE, groups=["vision"])
    uppers = [CERTIFICATE.find(layer, "vision").distance_upper for layer in (1, 2, 3)]
    assert line(ax, "vision-certified")[1] == uppers
    lowers = [
        max(s.interval.lower for s in pair.statements if s.quantity == "mean_distance" and s.evidence in "PC")
        for pair in (CERTIFICATE.find(k, "vision") for k in (1, 2, 3))
    ]
    assert [(lower, upper) for _, lower, upper in verticals(ax)] == list(zip(lowers, uppers, strict=True))
    vacuous = {"theorem": "x", "quantity": "q", "lower": 0.0, "upper": 2.0, "evidence": "C(0.05)", "vacuous": True}
    report = {"certificates": [{"layer": 1, "group": "vision", "statements": [vacuous]}]}
    with pytest.raises(InvalidInputError, match=r"need a certificate of q that is not vacuous .*certify it first"):
        figures.certificate_intervals(report, quantity="q")


def test_bounds_on_the_wrong_side_are_crossed_and_counted() -> None:
    ax = figures.bound_tightness([*RECORDS, {"truth": 0.5, "bound": 0.4}], unit="bits")
    assert line(ax, "a") == ([0.0, pytest.approx(0.3)], [0.2, pytest.approx(0.5)])
    assert line(ax, "broken") == ([0.5], [0.4])
    assert "broken (1)" in [t.get_text() for t in ax.get_legend().get_texts()]
    assert ax.get_xlabel() == "exact value (bits)"
    lower = figures.bound_tightness([{"truth": 0.5, "bound": 0.4}], side="lower")
    assert line(lower, "bound") == ([0.5], [0.4])


def test_coverage_shows_the_worst_row_with_its_error() -> None:
    better = [{**row, "coverage": 1.0} for row in COVERAGE]
    ax = figures.interval_coverage({"rows": better + COVERAGE})
    assert line(ax, "betting")[1] == [0.99, 0.97]
    assert line(ax, "t")[1] == [0.5, 0.9]
    assert [round(b - a, 9) for _, a, b in verticals(ax)] == [0.012] * 4
    assert [t.get_text() for t in ax.get_xticklabels()] == ["30", "100"]
    with pytest.raises(InvalidInputError, match="need rows of one nominal level"):
        figures.interval_coverage([*COVERAGE, {**COVERAGE[0], "nominal": 0.9}])


def test_bars_of_a_decomposition_are_its_intervals() -> None:
    result = broja(COPY)
    flat, tree = result.to_record(), json.loads(json.dumps(result.to_dict()))
    for source in (result, flat, {**tree, "base": 2.0}):
        ax = figures.pid_bars(source, names=("next", "previous"))
        intervals = [result.unique_x, result.unique_y, result.redundant, result.synergistic]
        heights = [bar.get_height() for bar in ax.patches]
        assert heights == pytest.approx([0.5 * (i.lower + i.upper) for i in intervals], abs=1e-15)
        assert [(a, b) for _, a, b in verticals(ax)] == [(i.lower, i.upper) for i in intervals]
        assert ax.get_ylabel() == "information (bits)"
        assert next(t.get_text() for t in ax.get_xticklabels()) == "unique\nnext"
    two = figures.pid_bars({"a": result, "b": flat})
    assert len(two.patches) == 8
    assert len({bar.get_hatch() for bar in two.patches}) == 2
    estimate = SimpleNamespace(
        atoms={"unique_next": 0.3, "redundant": 0.1},
        intervals={
            "unique_next": SimpleNamespace(lower=0.1, upper=0.4),
            "redundant": SimpleNamespace(lower=-0.1, upper=0.2),
        },
        base=math.e,
    )
    ax = figures.pid_bars(estimate)
    assert [bar.get_height() for bar in ax.patches] == [0.3, 0.1]
    assert ax.get_ylabel() == "information (nats)"


def test_panels_of_the_paper_hold_every_model_and_run() -> None:
    results = {"7B": {"GQA": STATISTICS, "VQA": HARVESTS.harvest(seed=1)}, "13B": {"GQA": REPORT, "VQA": REPORT}}
    figure = figures.redundancy_panels(results)
    assert figure.get_size_inches()[0] == 6.9
    assert len(figure.axes) == 4
    assert line(figure.axes[0], "GQA-vision")[1] == list(STATISTICS.mean_distance("vision"))
    assert line(figure.axes[3], "VQA-text")[1] == [
        r["fraction_below_0.05"] for r in REPORT["profile"] if r["group"] == "text"
    ]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["GQA", "VQA", "vision", "text"]
    assert len(figures.accuracy_panels({"13B": results["13B"]}).axes) == 1
    assert len(figures.attention_panels({"13B": results["13B"]}).axes) == 1
    with pytest.raises(InvalidInputError, match="need 1 to 4 models"):
        figures.redundancy_panels({})


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: figures.distance_per_layer([1, 2]), "need a report, a HarvestStatistics.* got a list"),
        (lambda: figures.distance_per_layer([{"a": 1}]), r"got 1 records with \['a'\]"),
        (lambda: figures.distance_per_layer(3.0), "got float"),
        (lambda: figures.distance_per_layer(CERTIFICATE), "need profile rows with mean_distance"),
        (lambda: figures.attention_per_layer(VALIDATION), "need profile rows with var"),
        (lambda: figures.accuracy_per_layer(STATISTICS), "need late_entry or vision_exit rows"),
        (lambda: figures.accuracy_per_layer(REPORT, families=["x"]), r"need families among .*got \['x'\]"),
        (lambda: figures.depth_distances(STATISTICS, group="x"), r"need distance_matrix\.x"),
        (lambda: figures.bound_tightness([]), "need records with truth and bound, got none"),
        (lambda: figures.bound_tightness([{"truth": 0.1}]), r"need a finite number for records\[0\]\.bound"),
        (lambda: figures.bound_tightness(RECORDS, side="left"), "need side upper or lower"),
        (lambda: figures.interval_coverage([]), "need rows with n, coverage and nominal"),
        (lambda: figures.pid_bars({"a": 1}), "need a decomposition with some of"),
        (lambda: figures.pid_bars({"redundant": {"lower": 1.0, "upper": 0.0}}), "need finite ends of redundant"),
        (lambda: figures.axes("wide"), r"need a width among \('column', 'page'\)"),
        (lambda: figures.save_figure(figures.axes(), "x", formats=["bmp"]), "need formats among .*got 'bmp'"),
        (lambda: style.run_series(7), "need at most 7 runs"),
    ],
)
def test_wrong_input_gets_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_files_have_exact_widths_embedded_fonts_and_text(tmp_path: Path) -> None:
    for width, inches in (("column", 3.3), ("page", 6.9)):
        pdf, svg, png = figures.save_figure(figures.norm_per_layer(STATISTICS), tmp_path / f"norm.{width}", width=width)
        assert [p.name for p in (pdf, svg, png)] == [f"norm.{width}.{kind}" for kind in ("pdf", "svg", "png")]
        body = pdf.read_bytes()
        box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", body)
        assert box is not None
        assert float(box[1]) == pytest.approx(72 * inches, abs=0.01)
        assert b"/FontFile2" in body  # TrueType, embedded
        assert b"/Type3" not in body
        assert f'width="{72 * inches:g}pt"' in svg.read_text()
        assert ">layer</text>" in svg.read_text()
        header = png.read_bytes()
        assert struct.unpack(">I", header[16:20])[0] == round(200 * inches)
        assert zlib.crc32(header) != 0
    (only,) = figures.save_figure(figures.axes("page"), tmp_path / "one.svg")
    assert only == tmp_path / "one.svg"
    assert sorted(p.name for p in tmp_path.glob("one*")) == ["one.svg"]


def test_every_format_is_the_same_each_time() -> None:
    code = (
        "import hashlib\n"
        "from support.reports import make_report\n"
        "from redundancy import figures\n"
        "from redundancy.figures.saving import render\n"
        "ax = figures.speed_accuracy(make_report())\n"
        "print([hashlib.sha256(render(ax.figure, kind)).hexdigest() for kind in ('pdf', 'svg', 'png')])\n"
    )
    runs = {run_python(code) for _ in range(2)}
    assert len(runs) == 1


def test_names_with_dollars_and_underscores_are_plain_text() -> None:
    ax = figures.distance_per_layer({"$x_1$ & <b>": STATISTICS, "b": STATISTICS})
    svg = render(ax.figure, "svg").decode()
    assert ">$x_1$ &amp; &lt;b&gt;</text>" in svg


def luminance(color: str) -> float:
    r, g, b = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (r, g, b)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def as_seen_without_green(color: str) -> np.ndarray:
    """CIELAB of a colour as a deuteranope sees it (matrix of Machado, Oliveira and Fernandes 2009, severity 1)."""
    rgb = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    seen = np.clip(np.array(matrix) @ linear, 0.0, 1.0)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_series_are_told_apart_without_green_and_in_grey() -> None:
    """Markers differ within every set (so they do in grey); colours keep a distance in CIELAB for a deuteranope."""
    from redundancy.figures.plans import PLAN_SERIES
    from redundancy.figures.profile import GROUP_SERIES

    sets = [list(GROUP_SERIES.values()), list(PLAN_SERIES.values()), [style.run_series(k) for k in range(7)]]
    for series in sets:
        assert len({one.marker for one in series}) == len(series)
        assert len({one.color for one in series}) == len(series)
        for k, one in enumerate(series):
            assert luminance(one.color) < 0.55  # visible on white paper
            for other in series[:k]:
                distance = np.linalg.norm(as_seen_without_green(one.color) - as_seen_without_green(other.color))
                assert distance > 9, (one.color, other.color, distance)
    for first, second in (("blue", "vermillion"), ("blue", "orange"), ("green", "orange")):
        pair = [as_seen_without_green(style.OKABE_ITO[name]) for name in (first, second)]
        assert np.linalg.norm(pair[0] - pair[1]) > 20
