"""The simulation behind docs/borders.md: no certificate is false more often than it says, whatever comes in."""

import json
from pathlib import Path

import numpy as np

from support import load_script

ROOT = Path(__file__).resolve().parents[2]


def limit(repeats):
    return 0.05 + 2 * np.sqrt(0.05 * 0.95 / repeats)


def test_a_small_run_holds_and_the_old_reading_of_units_does_not():
    borders = load_script("examples/simulations/borders.py")
    now = {row["row"]: row for row in borders.simulate(20, units=True)}
    assert len(now) == 7
    assert all(row["false"] <= limit(20) for row in now.values())
    assert now["units: 1 image x 60"]["refused"] == 1.0
    assert now["order: a file sorted by value"]["warned"] == 1.0
    assert now["order: a stream that drifts"]["warned"] == 1.0
    names_as_units = {row["row"]: row for row in borders.simulate(20, units=False)}
    assert names_as_units["units: 5 images x 60 questions"]["false"] > limit(20)


def test_the_committed_page_is_that_of_its_numbers_and_holds():
    borders = load_script("examples/simulations/borders.py")
    record = json.loads((ROOT / "docs/borders.json").read_text(encoding="utf-8"))
    assert record["repeats"] >= 200
    assert all(row["false"] <= limit(record["repeats"]) for row in record["rows"])
    assert sum(row["false"] > limit(record["repeats"]) for row in record["before"]) >= 4
    assert borders.page(record) == (ROOT / "docs/borders.md").read_text(encoding="utf-8")


def test_guarantees_on_risk_hold_in_every_row_and_the_page_has_them_all():
    guarantees = load_script("examples/simulations/guarantees.py")
    repeats = 30
    now = guarantees.rates(guarantees.Now(), repeats)
    error = 1.0 - guarantees.LEVEL
    assert all(rate <= error + 3 * np.sqrt(error * (1.0 - error) / repeats) for rate in now.values()), now
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    rows = dict(line.strip("| ").split(" | ", 1) for line in page.splitlines() if ": " in line and line[:2] == "| ")
    assert list(rows) == list(guarantees.CASES)
    assert {"units: 5 images x 60 questions", "order: names that begin with the category"} <= set(rows)
