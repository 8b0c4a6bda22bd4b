"""The figures that the page on choosing quotes are those of the files that it names."""

import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is not part of the source distribution", allow_module_level=True)
PAGE = (DOCS / "choosing.md").read_text(encoding="utf-8")


def test_distances_of_upper_bounds_are_those_of_the_simulation():
    rows = json.loads((DOCS / "coverage.json").read_text(encoding="utf-8"))["rows"]
    found = {
        (row["bound"], row["n"]): row["excess"]
        for row in rows
        if (row["law"], row["quantity"], row["side"]) == ("ICC 1", "P(rho > 0.05)", "upper")
    }
    bounds = ("betting", "Clopper-Pearson on images", "Maurer-Pontil", "Hoeffding")
    for n in (30, 420):
        cells = " | ".join(f"{found[bound, n]:.3f}" for bound in bounds)
        assert f"| {n} | {cells} |" in PAGE


def test_losses_of_plans_are_those_of_the_population():
    losses = json.loads((DOCS / "selection.json").read_text(encoding="utf-8"))["losses"]
    quoted = re.findall(r"`(\w+\(\d+\))` (?:loses the right answer )?on (\d+\.\d+) %", " ".join(PAGE.split()))
    assert [name for name, _ in quoted] == ["late_entry(1)", "vision_exit(9)"]
    for name, percent in quoted:
        assert percent == f"{100 * losses[name].count('1') / len(losses[name]):.2f}"


def test_coverage_of_the_functional_interval_is_that_of_the_table():
    """Rows with 200 repeats, a gap above 0 and no warning."""
    text = (DOCS / "functional_coverage.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    shares = [float(row[11]) for row in rows if len(row) == 16 and row[5] == "200" and row[15] == "within 3 points"]
    assert f"between {min(shares):g} and {max(shares):g} at a nominal" in PAGE


def test_point_estimates_of_entropy_err_as_the_page_says():
    text = (DOCS / "benchmarks" / "entropies.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    rows = [row for row in rows if row[0] in ("flat", "uneven")]
    uneven = {(row[1], row[2]): [abs(float(cell)) for cell in row[5:]] for row in rows if row[0] == "uneven"}
    assert min(uneven["1024", "100,000"]) == uneven["1024", "100,000"][5]  # James-Stein
    scarce = [min(map(abs, map(float, row[5:]))) for row in rows if row[0] == "uneven" and float(row[3]) < 1]
    assert scarce
    assert min(scarce) > 0.1
    flat = [(abs(float(row[9])), abs(float(row[10]))) for row in rows if row[0] == "flat"]
    assert all(jackknife < 0.03 and james_stein > 0.25 for jackknife, james_stein in flat)
