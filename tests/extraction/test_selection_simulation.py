"""The promise of the choice on the real outcomes of the embedded model, drawn again; and that the test can fail."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from extraction.skip.terms import LateEntry
from support import load_script

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    return load_script("examples/simulations/selection.py")


@pytest.fixture(scope="module")
def stored():
    return json.loads((ROOT / "docs" / "selection.json").read_text())


@pytest.fixture(scope="module")
def losses(script, stored):
    """Real losses, plans by questions, in the order of the script's plans."""
    found = np.array([[int(bit) for bit in stored["losses"][str(plan)]] for plan in script.PLANS])
    assert found.shape == (len(script.PLANS), stored["n_questions"])
    assert stored["risks"] == {str(p): pytest.approx(r) for p, r in zip(script.PLANS, found.mean(axis=1), strict=True)}
    return found


def setting(script, losses, **changes):
    costs = [1.0 - 0.01 * i for i in range(len(script.PLANS))][::-1]
    chains = ["late entry" if plan.term(LateEntry) else "vision exit" for plan in script.PLANS]
    options = {"method": "graph", "n": losses.shape[1] // 2, "repeats": 150, "replace": True, "chains": chains}
    return script.simulate(losses, costs, **{**options, **changes})


@pytest.mark.parametrize("method", ["fixed_sequence", "graph", "holm"])
def test_no_more_is_broken_than_promised_where_it_is_hardest(script, losses, stored, method):
    """The tolerated risk lies just below that of a plan."""
    for hard in stored["hard"][:2]:
        row = setting(script, losses, risk=hard, method=method)
        broken = round(row["violations"] * row["repeats"])
        assert binomtest(broken, row["repeats"], 1 - script.CONFIDENCE, alternative="greater").pvalue > 0.01


def test_choosing_by_looking_breaks_it(script, losses, stored, monkeypatch):
    """The same simulation, with the tests of the choice replaced by a look at the share of losses."""
    honest = script.choose_plan

    def looks(plans, drawn, *, risk, **options):
        seen = [np.mean(row) <= risk for row in drawn]
        generous = [np.zeros(len(row), dtype=int) if ok else row for ok, row in zip(seen, drawn, strict=True)]
        return honest(plans, generous, risk=risk, **options)

    monkeypatch.setattr(script, "choose_plan", looks)
    row = setting(script, losses, risk=stored["hard"][0])
    assert row["violations"] > 2 * (1 - script.CONFIDENCE)


def test_the_page_tells_the_stored_numbers(script, stored):
    assert (ROOT / "docs" / "selection.md").read_text() == script.page(stored)
    assert max(row["violations"] for row in stored["rows"]) <= 1 - stored["confidence_level"]
