"""The simulation behind docs/coverage.md, smaller: every interval holds, and intervals over tokens do not."""

import json
from pathlib import Path

import pytest

from support import load_script

HERE = Path(__file__).resolve().parents[2]
MISTAKE = 1e-4  # a row fails only if its coverage is below nominal at this level


@pytest.fixture(scope="module")
def coverage():
    return load_script("examples/simulations/coverage.py")


def check(rows):
    low = [row for row in rows if row.offered and row.p_value < MISTAKE]
    assert not low, [(row.law, row.quantity, row.bound, row.side, row.n, row.coverage) for row in low]
    # What the package does not offer fails where the tokens of an image are alike (M31).
    for row in rows:
        if row.law in ("ICC 0.3", "ICC 1") or (row.bound == "Bonferroni bounds, jointly" and "ICC 0," not in row.law):
            assert row.token_level < 0.85, row


def test_a_small_run(coverage):
    plan = (("icc1", "tail", "image_average"), ("bad", "mean", "image_average"), ("skewed", "tail", "token_pooled"))
    rows = coverage.simulate(150, (30, 100), seed=7, plan=plan)
    check(rows)
    names = {row.bound.split(",")[0].split(":")[0].split(" (")[0] for row in rows}
    assert names == {
        "betting",
        "Hoeffding",
        "Maurer-Pontil",
        "Clopper-Pearson on images",
        "DKW on images",
        "Bonferroni bounds",
        "Holm",
        "t over images",
    }
    text = coverage.page(rows, runs=150, seed=7, seconds=1.0)
    assert text.count("\n## ") == len({(row.law, row.quantity) for row in rows})
    # One coin more often wrong than it says is seen by the check itself.
    with pytest.raises(AssertionError):
        check([coverage.Row("ICC 1", "x", "betting", "upper", 30, 2000, 150, 0.0, 0.5)])


@pytest.mark.slow
def test_all_laws_and_sizes(coverage):
    check(coverage.simulate(1000, seed=11))


def test_the_committed_table_is_whole_and_passes(coverage):
    stored = json.loads((HERE / "docs/coverage.json").read_text(encoding="utf-8"))
    assert stored["runs"] >= 1000
    extra = ("coverage", "error", "offered")
    rows = []
    for record in stored["rows"]:
        known = {key: value for key, value in record.items() if key not in extra}
        rows.append(coverage.Row(**{**known, "excess": float("nan") if known["excess"] is None else known["excess"]}))
        assert record["coverage"] == rows[-1].coverage
        assert record["offered"] == rows[-1].offered
    check(rows)
    assert {row.n for row in rows} == {30, 100, 420}
    fresh = coverage.simulate(50, (30,), plan=coverage.PLAN[:1])
    assert {(r.law, r.quantity, r.side) for r in fresh} <= {(r.law, r.quantity, r.side) for r in rows}
    page = (HERE / "docs/coverage.md").read_text(encoding="utf-8")
    assert f"seed {stored['seed']}" in page
    assert stored["date"] in page
    assert all(f"{row.coverage:.3f} ± {row.error:.3f}" in page for row in rows)
