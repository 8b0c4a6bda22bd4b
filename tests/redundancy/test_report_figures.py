"""Figures: the artists carry the report's numbers, the bytes are the same each time, text stays text."""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redundancy import figures as drawing
from redundancy.errors import InvalidInputError
from redundancy.figures.saving import render
from redundancy.report import figures
from redundancy.report.svg import inline_svg, point_titles
from support import reports as FACTORY
from support import run_python

LAYERS = list(range(1, 11))
CURVES = np.array(FACTORY.CURVES)  # columns: layer, D vision, P vision, D text, VAR, late entry, vision exit


def svg_text(figure: Any) -> str:
    return render(figure, "svg").decode()


def line(ax: Any, gid: str) -> tuple[list[float], list[float]]:
    found = [artist for artist in ax.get_lines() if artist.get_gid() == f"hover-{gid}"]
    assert len(found) == 1, [artist.get_gid() for artist in ax.get_lines()]
    return list(found[0].get_xdata()), list(found[0].get_ydata())


def test_distance_and_its_certified_bound() -> None:
    ax = drawing.distance_per_layer(FACTORY.make_report())
    assert line(ax, "vision") == (LAYERS, list(CURVES[:, 1]))
    assert line(ax, "text") == (LAYERS, list(CURVES[:, 3]))
    upper = [row["distance_upper"] for row in FACTORY.make_report()["profile"] if row["group"] == "text"]
    assert line(ax, "text-certified") == (LAYERS, upper)
    assert ax.get_yscale() == "log"  # 0.001 to 0.944


def test_proximity_shows_the_lower_bound_of_the_share() -> None:
    ax = drawing.proximity_per_layer(FACTORY.make_report())
    assert line(ax, "vision") == (LAYERS, list(CURVES[:, 2]))
    tails = [row["tail_upper"] for row in FACTORY.make_report()["profile"] if row["group"] == "vision"]
    assert line(ax, "vision-certified")[1] == pytest.approx([1.0 - t for t in tails])
    assert ax.get_yscale() == "linear"


def test_attention_leaves_a_gap_at_layers_where_it_is_undefined() -> None:
    ax = drawing.attention_per_layer(FACTORY.make_hostile_report())
    layers, values = line(ax, "answer-token")
    expected = CURVES[:, 4].copy()
    expected[2] = np.nan  # a gap, not a line across it
    assert layers == LAYERS
    np.testing.assert_array_equal(values, expected)
    assert line(ax, "text-maximum")[1][0] == 0.86
    bare = drawing.attention_per_layer(FACTORY.make_bare_report())  # only the sum over heads is known
    assert line(bare, "answer-token-sum-over-heads")[1] == pytest.approx(4 * CURVES[:, 4])


def test_accuracy_has_intervals_and_reference_lines() -> None:
    report = FACTORY.make_report()
    ax = drawing.accuracy_per_layer(report)
    assert line(ax, "late-entry") == (list(range(11)), [0.965, *CURVES[:, 5]])
    assert line(ax, "vision-exit") == (LAYERS, list(CURVES[:, 6]))
    segments = [list(artist.get_ydata()) for artist in ax.get_lines()]
    for row in report["late_entry"] + report["vision_exit"]:
        assert row["accuracy_interval"] in segments
    levels = {artist.get_label(): artist.get_ydata()[0] for artist in ax.get_lines()}
    assert levels["unmodified"] == 0.965
    assert (levels["no image"], levels["shuffled image"], levels["majority"]) == (0.284, 0.281, 0.29)


def test_speedup_measured_and_predicted() -> None:
    report = FACTORY.make_report()
    ax = drawing.speedup_per_layer(report)
    assert line(ax, "vision-exit-measured")[1] == [row["prefill_speedup"] for row in report["vision_exit"]]
    assert line(ax, "late-entry-from-FLOPs")[1] == [row["flop_speedup"] for row in report["late_entry"]]


def test_speed_against_accuracy_rings_the_chosen_plan() -> None:
    report = FACTORY.make_report()
    ax = drawing.speed_accuracy(report)
    ring = next(artist for artist in ax.get_lines() if artist.get_label() == "chosen plan")
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (report["chosen_plan"]["prefill_speedup"], 0.949)
    assert line(ax, "other_plans-open")[1] == [0.771, 0.702]


def test_heat_map_holds_the_matrix_without_its_diagonal() -> None:
    report = FACTORY.make_report()
    ax = drawing.depth_distances(report, group="vision")
    mesh = next(artist for artist in ax.collections if artist.get_gid() == "hover-vision")
    shown = np.ma.filled(mesh.get_array().reshape(11, 11).astype(float), np.nan)
    expected = np.array(report["distance_matrix"]["vision"])
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_array_equal(shown, expected)


def test_zero_distances_stay_on_the_axis() -> None:
    report = FACTORY.make_report()
    report["profile"][0]["mean_distance"] = 0.0
    ax = drawing.distance_per_layer(report)
    assert ax.get_yscale() == "symlog"
    assert line(ax, "vision")[1][0] == 0.0


def test_axes_of_the_caller_are_used_and_returned() -> None:
    from matplotlib.figure import Figure

    for draw in figures.FIGURES.values():
        ax = Figure().add_subplot()
        assert draw(FACTORY.make_report(), ax=ax) is ax


@pytest.mark.parametrize("name", [n for n in figures.FIGURES if n not in ("distance", "proximity", "attention")])
def test_absent_data_is_an_error_that_says_what_to_do(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^need .*; (harvest|validate|time|certify|run)"):
        figures.FIGURES[name](FACTORY.make_bare_report())


def test_available_figures_are_those_with_data() -> None:
    assert list(figures.available_figures(FACTORY.make_bare_report())) == ["distance", "proximity", "attention"]
    assert list(figures.available_figures(FACTORY.make_report())) == list(figures.FIGURES)


def test_saved_figures_have_the_widths_of_a_journal(tmp_path: Path) -> None:
    report = FACTORY.make_report()
    written = figures.save_figures(report, tmp_path / "figures")
    assert set(written) == set(figures.FIGURES) | set(figures.PANELS)
    for name, (svg, png) in written.items():
        inches = 6.9 if name in figures.PANELS else 3.3
        root = ET.parse(svg).getroot()
        assert float(root.get("width", "").removesuffix("pt")) == pytest.approx(72 * inches)
        assert root.findall(".//{http://www.w3.org/2000/svg}text"), "text must stay text"
        header = png.read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">I", header[16:20])[0] == round(200 * inches)


def test_svg_is_deterministic_across_processes() -> None:
    """Another process has another hash seed and another clock."""
    code = (
        "import hashlib\n"
        "from support.reports import make_report\n"
        "report = make_report()\n"
        "from redundancy.figures.saving import render\n"
        "from redundancy.report import figures\n"
        "names = ('distance', 'depth_vision')\n"
        "print([hashlib.sha256(render(figures.FIGURES[n](report).figure, 'svg')).hexdigest() for n in names])"
    )
    runs = {run_python(code) for _ in "ab"}
    assert len(runs) == 1
    assert "<dc:date>" not in svg_text(figures.FIGURES["norm"](FACTORY.make_report()).figure)


def test_every_point_gets_its_own_title() -> None:
    for name, figure in figures.available_figures(FACTORY.make_report()).items():
        titles = point_titles(figure)
        text = inline_svg(svg_text(figure), prefix=f"fig-{name}", label=name, titles=titles)
        shown = re.findall(r"<title>([^<]*)</title>", text)
        expected = [title.replace("<", "&lt;").replace(">", "&gt;") for marks in titles.values() for title in marks]
        assert sorted(shown) == sorted(expected), name
        assert len(shown) >= 10 or name.startswith("depth")


def test_titles_name_the_value_they_sit_on() -> None:
    titles = point_titles(figures.FIGURES["accuracy"](FACTORY.make_report()).figure)
    assert titles["hover-late-entry"][1] == "late entry: depth 1, 0.787"


def test_cells_of_a_heat_map_become_a_path_per_colour_and_none_is_lost() -> None:
    figure = figures.FIGURES["depth_vision"](FACTORY.make_report()).figure
    raw = svg_text(figure)
    text = inline_svg(raw, prefix="p", label="map")
    cells = re.search(r'<g id="p-hover-vision">(.*?)</g>', text, flags=re.DOTALL)
    before = re.search(r'<g id="hover-vision">(.*?)</g>', raw, flags=re.DOTALL)
    assert cells is not None
    assert before is not None
    assert len(re.findall("<path", cells[1])) < 64 < len(re.findall("<path", before[1])) == 121

    def corners(source: str) -> list[tuple[str, str]]:
        found = re.findall(r'd="([^"]*)"[^>]*?style="([^"]*)"', source)
        starts = [(start, look) for d, look in found for start in re.findall(r"M ([-\d.]+ [-\d.]+)", d)]
        return sorted((" ".join(f"{float(x):.2f}" for x in start.split()), look) for start, look in starts)

    assert corners(cells[1]) == corners(before[1])


def test_inlined_svg_drops_what_could_run_or_call_out() -> None:
    hostile = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()">'
        "<script>x()</script><style>* {fill: red}</style><foreignObject><b/></foreignObject>"
        '<a xlink:href="https://example.org"><use xlink:href="#m" onclick="x()"/></a>'
        '<image xlink:href="https://example.org/a.png"/><g id="m" clip-path="url(#c)"/></svg>'
    )
    text = inline_svg(hostile, prefix="p", label='a "label"')
    assert not re.search(r"script|style|foreign|onload|onclick|http", text)
    assert 'href="#p-m"' in text
    assert 'clip-path="url(#p-c)"' in text
    for wrong in ("not xml", "<html></html>"):
        with pytest.raises(InvalidInputError, match="need an SVG document"):
            inline_svg(wrong, prefix="p", label="")
