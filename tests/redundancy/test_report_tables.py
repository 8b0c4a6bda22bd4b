"""Tables and findings of a report: the numbers are the report's, the conclusions follow from them alone."""

from __future__ import annotations

import copy
import re

import pytest

from redundancy.errors import InvalidInputError
from redundancy.report import (
    distance_findings,
    late_entry_table,
    profile_table,
    validation_table,
    vision_exit_table,
)
from redundancy.report.tables import DASH, format_table
from redundancy.report.wording import bound_text, percent, points, theorem_name
from support import reports as FACTORY


def cells(table: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()]


def test_profile_table_holds_the_rows_of_the_report() -> None:
    lines = cells(profile_table(FACTORY.make_report()))
    assert lines[0][:2] == ["layer", "D vision"]
    first = lines[2]
    assert first[:5] == ["1", "0.005", "≤ 0.010", "1.000", "284"]
    assert first[-2:] == ["0.120", "0.860"]
    assert [line[0] for line in lines[2:]] == [str(layer) for layer in range(1, 11)]


def test_undefined_values_are_dashes_and_small_distances_are_not_zero() -> None:
    report = FACTORY.make_hostile_report()
    report["profile"][0]["mean_distance"] = 1.3e-6
    lines = cells(profile_table(report))
    assert lines[2][1] == "1.3e-06"
    assert lines[4][-2:] == [DASH, DASH]
    assert "certified" in profile_table(FACTORY.make_bare_report())


def test_paper_tables_have_a_column_per_layer() -> None:
    report = FACTORY.make_report()
    table = cells(late_entry_table(report, layers=[0, 1, 4]))
    assert table[0] == ["metric", "0", "1", "4"]
    assert [row[1:] for row in table[2:]] == [
        [DASH, "0.005", "0.004"],
        [DASH, "1.000", "1.000"],
        ["0.965", "0.787", "0.438"],
    ]
    rows = [row[0] for row in cells(vision_exit_table(report, layers=[6, 9]))[2:]]
    assert len(rows) == 5
    assert rows[-1] == "accuracy"
    with pytest.raises(InvalidInputError, match=r"need layers measured in late_entry, got \[77\]"):
        late_entry_table(report, layers=[77])


def test_validation_table_shows_changes_in_points() -> None:
    report = FACTORY.make_report()
    row = cells(validation_table(report, section="late_entry"))[3]
    assert row[:2] == ["1", "0.787"]
    assert "-17.8 pp" in row
    assert "random drop of half the vision tokens" in validation_table(report, section="other_plans")
    with pytest.raises(InvalidInputError, match="need section"):
        validation_table(report, section="late")


def test_markdown_is_aligned_and_pipes_are_escaped() -> None:
    table = format_table(["plan", "x"], [["a|b\nc", "1"]], style="markdown")
    assert table.splitlines() == ["| plan   |   x |", "| ------ | --: |", "| a\\|b c |   1 |"]
    with pytest.raises(InvalidInputError, match="need a style"):
        format_table(["a"], [], style="html")
    with pytest.raises(InvalidInputError, match="need 2 cells"):
        format_table(["a", "b"], [["1"]])


def test_findings_name_the_layers_that_distance_and_attention_get_wrong() -> None:
    found = distance_findings(FACTORY.make_report())
    assert found.small_distance == found.misses_of_distance == tuple(range(1, 10))
    assert found.misses_of_both == (1,)  # from layer 2 on, the answer token's attention is not low
    assert found.free_exits == (7, 8, 9)


def test_findings_follow_the_data() -> None:
    report = FACTORY.make_report()
    unharmed = copy.deepcopy(report)
    for row in unharmed["late_entry"]:
        row["accuracy_change_interval"] = [-0.3, 0.001]
    assert distance_findings(unharmed).misses_of_distance == ()

    far = copy.deepcopy(report)
    for row in far["profile"]:
        if row["group"] == "vision" and row["layer"] == 3:
            row["mean_distance"] = 0.2
    assert distance_findings(far).misses_of_distance == (1, 2)

    attentive = copy.deepcopy(report)
    for row in attentive["profile"]:
        row["var_mean"] = 0.5
    assert distance_findings(attentive).misses_of_both == ()

    quiet = copy.deepcopy(report)
    for row in quiet["profile"]:
        if row["layer"] == 10:
            row["var_mean"] = 0.01
    assert distance_findings(quiet).free_exits == (7, 8)  # after layer 9 attention is low
    assert distance_findings(report, tolerance=0.5).free_exits == tuple(range(2, 10))

    unmeasured = FACTORY.make_bare_report()
    assert distance_findings(unmeasured).checked == ()


def test_words_for_numbers_and_theorems() -> None:
    assert percent(0.9653) == "96.5\u202f%"
    assert points(-0.178) == "\u221217.8\u202fpp"
    assert theorem_name("lipschitz.printed_upper") == "Theorem 1 as printed"
    assert theorem_name("lipschitz.minkowski_upper") == "Theorem 1, Minkowski form"
    assert theorem_name("tail.sandwich_upper") == "Proposition 1, sandwich, upper side"
    assert theorem_name("something.else") == "something, else"
    assert bound_text({"lower": 0.0, "upper": 1.5, "base": 2.0}) == "≤ 1.5 bits"
    assert bound_text({"lower": 0.25, "upper": None}) == "≥ 0.25"
    assert bound_text({"lower": 0.25, "upper": 0.5, "base": None}) == "0.25 to 0.5"


def test_a_small_distance_keeps_its_digits_up_to_a_thousandth_and_zero_stays_zero():
    from redundancy.report.wording import small

    texts = ["0.000", "0.00012", "0.0009", "0.001", "0.023"]
    assert [small(value) for value in (0.0, 0.00012, 0.0009, 0.001, 0.0234)] == texts
