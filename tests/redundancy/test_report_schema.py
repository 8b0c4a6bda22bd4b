"""The report schema: sound reports pass, each kind of fault is named in a sentence, docs and code agree."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError, StoreError
from redundancy.figures.sources import layer_values, profile_rows
from redundancy.report import load_report, render_html, report_problems, validate_report
from redundancy.report.schema import RULES
from support import reports as FACTORY

DOCS = Path(__file__).parents[2] / "docs" / "report_schema.md"


@pytest.mark.parametrize("make", ["make_report", "make_bare_report", "make_hostile_report"])
def test_sound_reports_pass_and_survive_a_file(make: str, tmp_path: Path) -> None:
    report = getattr(FACTORY, make)()
    assert report_problems(report) == ()
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report, allow_nan=False), encoding="utf-8")
    assert load_report(path) == report


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("schema",), "skip-it/report/0", r"need a report of schema 'skip-it/report/1', got 'skip-it/report/0'"),
        (("n_samples",), None, r"need n_samples as an integer >= 0, got null"),
        (("n_samples",), True, r"need n_samples as an integer >= 0, got True"),
        (("model", "n_layers"), 0, r"need model\.n_layers as an integer >= 1, got 0"),
        (("profile", 3, "mean_distance"), 2.5, r"need profile\[3\]\.mean_distance as a cosine distance in \[0, 2\]"),
        (("profile", 0, "var"), math.nan, r"need profile\[0\]\.var .*got nan; write null"),
        (("profile", 0, "layer"), 11, r"need profile\[0\]\.layer at most 10"),
        (("profile", 2, "layer"), 1, r"need every layer once in profile, \(1, 'vision'\) comes again at profile\[2\]"),
        (("late_entry", 1, "accuracy"), 96.5, r"need late_entry\[1\]\.accuracy as a number in \[0, 1\], got 96\.5"),
        (("late_entry", 1, "accuracy_interval"), [0.9, 0.8], r"need .*accuracy_interval as \[lower, upper\]"),
        (("vision_exit", 0, "accuracy_interval"), [0.9, 0.95], r"need vision_exit\[0\]\.accuracy_interval to hold"),
        (("vision_exit", 0, "prefill_speedup"), 0, r"need vision_exit\[0\]\.prefill_speedup as a number > 0"),
        (("distance_matrix", "vision"), [[0.0]], r"need distance_matrix\.vision with 11 rows"),
        (("distance_matrix", "vision"), [[0.0, 1.0]], r"need distance_matrix as an object of square matrices"),
        (("chosen_plan", "accuracy_change"), -18, r"need chosen_plan\.accuracy_change as a number in \[-1, 1\]"),
        (("certificates", 0, "statements", 1, "vacuous"), "no", r"need certificates\[0\]\.statements\[1\]\.vacuous"),
        (("certificates", 0, "statements", 0, "upper"), math.inf, r"need .*upper as a number, or null for no bound"),
        (("not_claimed",), "a sentence", r"need not_claimed as a list of sentences"),
    ],
)
def test_each_fault_is_named(path: tuple[Any, ...], value: Any, sentence: str) -> None:
    report = FACTORY.make_report()
    holder = report
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(InvalidInputError, match=sentence):
        validate_report(report)


@pytest.mark.parametrize("name", [name for name, rule in RULES["report"].items() if rule.required])
def test_required_fields_cannot_be_left_out(name: str) -> None:
    report = FACTORY.make_report()
    del report[name]
    with pytest.raises(InvalidInputError, match=name):
        validate_report(report)


def test_the_first_problem_comes_with_the_number_of_others() -> None:
    report = FACTORY.make_report()
    report["n_samples"], report["seconds"], report["created"] = -1, -1.0, 3
    assert len(report_problems(report)) == 3
    with pytest.raises(InvalidInputError, match=r"\(and 2 more\)$"):
        validate_report(report)


@pytest.mark.parametrize("text", ["", "{", '{"schema": "skip-it/report/1", "seconds": NaN}'])
def test_files_that_are_not_json_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="does not parse"):
        load_report(path)
    with pytest.raises(StoreError, match="gives: No such file"):
        load_report(tmp_path / "absent.json")


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in items for path in [(*prefix, key), *_paths(item, (*prefix, key))]]


# Two layers keep one example quick; every kind of object is still there.
SMALL = FACTORY.make_report()
SMALL.update(profile=SMALL["profile"][:4], late_entry=SMALL["late_entry"][:2], vision_exit=SMALL["vision_exit"][:2])
SMALL.update(certificates=SMALL["certificates"][:2], distance_matrix={})
PATHS = _paths(SMALL)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.floats(-3, 3),
    st.sampled_from([math.nan, math.inf, 1e300, -0.0]),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[None]]),
    st.just({"text": 3}),
)


@settings(deadline=None, max_examples=150)
@given(path=st.sampled_from(PATHS), value=VALUES, remove=st.booleans())
def test_whatever_passes_renders_and_whatever_does_not_is_explained(
    path: tuple[Any, ...], value: Any, remove: bool
) -> None:
    report = copy.deepcopy(SMALL)
    holder = report
    for key in path[:-1]:
        holder = holder[key]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    problems = report_problems(report)
    assert all(problem.startswith("need ") for problem in problems)
    if not problems:
        assert render_html(report, figures={}).startswith("<!DOCTYPE html>")


def test_the_document_describes_every_field_and_no_other() -> None:
    sections = re.split(r"^## ", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    written = {section.split("\n")[0].strip(): section for section in sections}
    plans = {"late_entry", "vision_exit", "other_plans"}
    for kind, rules in RULES.items():
        section = written["plans" if kind in plans else kind]
        rows = dict(re.findall(r"^\| `([^`]+)` \| ([!?]?) ?\|", section, flags=re.MULTILINE))
        assert rows.keys() == rules.keys(), kind
        if kind not in plans - {"late_entry"}:
            marks = {name: ("" if not r.required else "?" if r.nullable else "!") for name, r in rules.items()}
            assert rows == marks, kind


def test_layer_values_take_the_first_value_that_is_given() -> None:
    report = FACTORY.make_hostile_report()
    assert 3 not in layer_values(report, "var_mean")
    assert layer_values(report, "var_mean")[1] == 0.12
    profile_rows(report, "text")[2]["var_mean"] = 0.4  # only the text row of layer 3 has it
    assert layer_values(report, "var_mean")[3] == 0.4
