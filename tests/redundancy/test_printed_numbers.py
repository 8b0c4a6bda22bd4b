"""Printed numbers never say more than was computed: upper ends end up, lower ends and levels down."""

import json
import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy import LayerPairCertificate
from redundancy.certificates.pair import _nearest_claim
from redundancy.comparison import compare
from redundancy.comparison.logs import RunLog
from redundancy.concentration import betting_lower, betting_upper
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.digested import seal
from redundancy.files.tabular import _shown
from redundancy.interval import Interval, text_down, text_error, text_level, text_up
from redundancy.notions.verdict import decide
from redundancy.report.tables import profile_table, validation_table
from redundancy.report.wording import bound_text, change_interval, level, percent_up, percents, up
from redundancy.risk import DriftAlarm

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


@given(error=st.floats(1e-11, 0.5), digits=st.integers(2, 6))
def test_levels_go_down_and_errors_up(error, digits):
    level = 1.0 - error
    assert Decimal(text_level(level, digits)) <= Decimal(repr(level)) + Decimal("1e-12")
    assert Decimal(text_error(level, digits)) >= 1 - Decimal(repr(level)) - Decimal("1e-12")
    assert text_level(1.0 - 1e-14) != "1"  # what is not certain never reads as certain


def pair_of(seed, n=40):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = x + rng.uniform(0.1, 1.0) * rng.normal(size=(n, 3))
    return LayerPairCertificate.from_arrays(x, y, np.arange(n), target=rng.integers(2, size=n), confidence_level=0.83)


@pytest.mark.parametrize("seed", range(5))
def test_words_of_certificates_say_no_more_than_their_statements(seed):
    pair = pair_of(seed)
    words = pair.sentence()
    for statement in pair.statements:
        ends = statement.interval
        said = re.search(r"lies in (\S+) to (\S+) .*confidence at least (\S+) over", statement.sentence())
        assert float(said[1]) <= ends.lower
        assert float(said[2]) >= ends.upper
        assert float(said[3]) <= statement.confidence_level + 1e-12
        if statement.label.startswith("C"):
            assert float(statement.label[2:-1]) >= 1.0 - statement.confidence_level - 1e-12
    shown = [(sign, float(x), name) for sign, x, name in re.findall(r"([<>]=) (\S+) \[C\S+ (\S+?)\]", words)]
    assert len(shown) >= 8
    for sign, x, theorem in shown:
        own = [s.interval for s in pair.statements if s.theorem == theorem and not s.is_vacuous]
        assert min(abs((x - s.upper) if sign == "<=" else (s.lower - x)) for s in own) < 1e-3
        assert any(0.0 <= (x - s.upper if sign == "<=" else s.lower - x) < 1e-2 for s in own), (sign, x, theorem)


def test_a_certificate_whose_words_were_rounded_to_the_nearest_is_still_read():
    pair = pair_of(0)
    body = {k: v for k, v in json.loads(pair.to_json()).items() if k != "digest"}
    upper = pair.distance_upper
    assert f"mean distance <= {text_up(upper, 4)} " in body["sentence"]
    body["sentence"] = pair._sentence(_nearest_claim, "{:.6g}".format)
    assert LayerPairCertificate.from_json(seal(body)).distance_upper == upper
    body["sentence"] = body["sentence"].replace("40 i.i.d.", "41 i.i.d.")
    with pytest.raises(StoreError, match="altered"):
        LayerPairCertificate.from_json(seal(body))


def test_comparisons_alarms_and_verdicts_round_away_from_what_they_claim():
    n = 4000
    empty = ("",) * n
    log = {"source": "a", "metric": "m", "tasks": empty, "keys": tuple(map(str, range(n))), "units": None}
    log |= {"inputs": empty, "targets": empty}
    right, wrong = RunLog(**log, scores=(1.0,) * n), RunLog(**log, scores=(0.0,) * n)
    level = 0.99999996
    kept = compare(right, right, risk=0.0200000004, confidence_level=level).sentence
    assert "at least 0.999999 over" in kept
    assert "at most 2.00001 %" in kept
    assert "more than 1.99999 %" in compare(right, wrong, risk=0.01999999, confidence_level=level).sentence
    assert "at most 3 %" in compare(right, right, risk=0.03).sentence
    alarm = DriftAlarm(0.0500000004, alpha=0.0100000004)
    alarm.update([1.0] * 60)
    assert "credibly at most 0.05 (" in alarm.sentence
    assert "probability at most 0.0100001, ever" in alarm.sentence
    assert "0.0500001-redundancy is holds" in decide("n", "q", Interval(0.0, 0.0500000001), 0.0500000002).sentence()
    assert "0.05-redundancy is refuted" in decide("n", "q", Interval(0.0500000003, 1.0), 0.0500000002).sentence()


@given(value=st.floats(0.01, 0.99))
def test_tables_round_p_values_up_and_levels_down(value):
    assert float(_shown("p_value", value)) >= value
    assert float(_shown("confidence_level", value)) <= value + 1e-12
    for end, bound in (("upper", betting_upper), ("lower", betting_lower)):
        certified = getattr(bound(values=[value] * 30).interval, end)
        assert (float(_shown(end, certified)) - certified) * (1 if end == "upper" else -1) >= 0.0
