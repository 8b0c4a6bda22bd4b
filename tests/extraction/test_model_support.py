"""The page on families is in step with the code: its rows, its columns, and a quick part of its verdicts."""

import re
from pathlib import Path

import pytest
import torch

from extraction.skip import late_entry
from extraction.skip.engine.capabilities import MEASURED_RELEASES
from extraction.tiny import TINY_FAMILIES, plans, tiny_family
from extraction.tiny.invariants import INVARIANTS
from extraction.tiny.plans import PLANS, check_plan
from extraction.tiny.video import VIDEO_FAMILIES
from support import load_script

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "model_support.md").read_text(encoding="utf-8")
QUICK = [("qwen3_vl", late_entry(2)), ("blip2", PLANS[1]), ("mllama", PLANS[0]), ("gemma3", PLANS[3])]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def script():
    return load_script("examples/families/make_table.py")


def tables():
    """The three tables as {family: {column: cell}}."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, flags=re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()]
        found.append({line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]})
    return found


def test_page_has_every_family_and_every_check():
    harvest, video, skip = tables()
    assert tuple(video) == VIDEO_FAMILIES
    assert list(video["qwen2_vl"])[1:] == [invariant.name for invariant in INVARIANTS]
    assert list(harvest) == list(skip) == list(TINY_FAMILIES)
    assert list(harvest["llava"])[3:] == [invariant.name for invariant in INVARIANTS]
    assert list(skip["llava"])[1:] == [f"`{plan}`" for plan in PLANS]
    assert all(invariant.meaning in PAGE for invariant in INVARIANTS)


def test_page_says_when_and_on_what():
    date, major, minor = re.search(r"on (\d{4}-\d\d-\d\d) with transformers (\d+)\.(\d+)", PAGE).groups()
    assert date >= "2026-11-21"
    assert MEASURED_RELEASES[0] <= (int(major), int(minor)) <= MEASURED_RELEASES[1]


def test_page_holds_no_failure():
    assert "**inf**" not in PAGE
    assert "NO:" not in PAGE
    errors = [
        (float(row[i.name].strip("*")), i.tolerance) for t in tables()[:2] for row in t.values() for i in INVARIANTS
    ]
    assert all(error <= tolerance for error, tolerance in errors)


@pytest.mark.parametrize(("name", "plan"), QUICK, ids=str)
def test_verdicts_are_those_of_the_page(script, name, plan):
    assert script.judge(plan, name) == tables()[2][name][f"`{plan}`"]
    assert script.describe(name) == tuple(tables()[0][name][column] for column in ("adapter", "vision tokens"))


def test_cells_mark_what_is_over_the_tolerance(script):
    invariant = INVARIANTS[0]
    assert not script.measure(invariant, tiny_family("llava")).startswith("*")
    strict = type(invariant)(invariant.name, invariant.meaning, 1e-12, invariant.measure)
    assert script.measure(strict, tiny_family("llava")).startswith("**")


def test_a_wrong_plan_is_seen(monkeypatch):
    """Late entry at 2 against the model masked as for late entry at 1."""
    stock = plans.masked_logits
    monkeypatch.setattr(plans, "masked_logits", lambda family, plan: stock(family, late_entry(1)))
    family = tiny_family("llava", dtype=torch.float64)
    assert check_plan(family, late_entry(2)) == "NO: differs from the masked model"
