"""Printed numbers never say more than was computed: upper ends end up, lower ends and levels down."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError
from redundancy.interval import Interval, text_down, text_up
from redundancy.report.tables import profile_table, validation_table
from redundancy.report.wording import bound_text, change_interval, level, percent_up, percents, up

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
SHARES = st.floats(0.0, 1.0)


@given(x=NUMBERS, digits=st.integers(1, 15))
def test_text_lies_on_the_safe_side_and_close_by(x, digits):
    high, low = float(text_up(x, digits)), float(text_down(x, digits))
    assert low <= x <= high
    if math.isfinite(high) and math.isfinite(low) and 1e-300 < abs(x) < 1e300:
        assert high - low <= 10.0 ** (1 - digits) * abs(x) * 1.000001


@given(x=st.floats(-1e6, 1e6), decimals=st.integers(0, 9))
def test_so_does_text_with_fixed_decimals(x, decimals):
    high, low = (Decimal(text(x, decimals=decimals)) for text in (text_up, text_down))
    assert low <= Decimal(repr(x)) <= high
    assert high - low <= Decimal(1).scaleb(-decimals)
    assert text_up(x, decimals=0) != "-0"


def test_short_numbers_stay_as_they_are():
    assert [text_up(x) for x in (0.05, 0.1, 2.0, 0.0, 1e-7)] == ["0.05", "0.1", "2", "0", "1e-07"]
    assert [text_down(x) for x in (0.95, 0.99, math.inf, -math.inf)] == ["0.95", "0.99", "inf", "-inf"]
    assert text_up(0.02, decimals=1, sign=True) == "+0.1"
    assert text_up(-0.02, decimals=1, sign=True) == "+0.0"
    with pytest.raises(InvalidInputError, match="NaN"):
        text_up(math.nan)


@given(ends=st.tuples(NUMBERS, NUMBERS).map(sorted))
def test_intervals_print_outward(ends):
    low, high = (float(end) for end in str(Interval(*ends)).strip("[]").split(","))
    assert low <= ends[0]
    assert high >= ends[1]


def numbers(text):
    return [float(part) for part in text.replace("\u2212", "-").replace("\u202f%", "").split(" to ")]


@given(ends=st.tuples(SHARES, SHARES).map(sorted))
def test_so_do_words_and_tables_of_a_report(ends):
    low, high = ends
    for shown in (percents(ends), change_interval(ends)):
        below, above = (Decimal(str(number)) for number in numbers(shown))
        assert below <= 100 * Decimal(repr(low))
        assert above >= 100 * Decimal(repr(high))
    assert Decimal(str(numbers(percent_up(high))[0])) >= 100 * Decimal(repr(high))
    assert float(up(high)) >= high
    assert float(level(low)) <= low
    assert float(bound_text({"lower": 0, "upper": high}).split()[1]) >= high
    assert float(bound_text({"lower": low, "upper": None}).split()[1]) <= low
    row = {"layer": 1, "accuracy": low, "accuracy_interval": ends}
    cell = validation_table({"late_entry": [row]}).splitlines()[-1].split("[")[1].split("]")[0]
    below, above = map(float, cell.split(","))
    assert below <= low
    assert above >= high
    profile = [{"layer": 1, "group": "vision", "mean_distance": low, "distance_upper": high}]
    assert float(profile_table({"profile": profile}).splitlines()[-1].split("\u2264")[1].split()[0]) >= high
