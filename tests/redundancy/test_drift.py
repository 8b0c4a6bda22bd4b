"""The drift alarm: seldom false however long one looks, soon right after a change, and exact through its file."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError, StoreError
from redundancy.risk.drift import BLOCK, DriftAlarm, _stakes


@pytest.mark.parametrize("loss", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("risk", [0.01, 0.05, 0.4, 0.9])
def test_a_bet_never_gains_on_average_while_the_risk_is_kept(risk, loss):
    stakes = _stakes(risk)
    assert (stakes > 0.0).all()
    assert (1.0 + stakes * (loss - risk) > 0.0).all()  # no loss can ruin it
    mean = risk * (1.0 + stakes * (1.0 - risk)) + (1.0 - risk) * (1.0 - stakes * risk)
    np.testing.assert_allclose(mean, 1.0, rtol=1e-12)


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0]), min_size=1, max_size=120), st.floats(0.01, 0.5))
def test_the_evidence_is_the_weighted_sum_of_bets_written_out(losses, risk):
    alarm = DriftAlarm(risk)
    alarm.update(losses)
    evidence, n_starts = 0.0, math.ceil(len(losses) / BLOCK)
    for start in range(n_starts):
        capitals = [math.prod(1.0 + s * (x - risk) for x in losses[start * BLOCK :]) for s in _stakes(risk)]
        evidence += sum(capitals) / len(capitals) / ((start + 1) * (start + 2))
    assert alarm.evidence == pytest.approx(evidence + 1.0 / (n_starts + 1), rel=1e-9)
    assert alarm.mean_loss == pytest.approx(sum(losses) / len(losses))


def test_false_alarms_are_as_rare_as_promised_and_a_doubled_risk_is_found_soon():
    rng, false, delays = np.random.default_rng(7), 0, []
    for _ in range(100):
        alarm = DriftAlarm(0.05)
        false += alarm.update(rng.random(1000) < 0.05)
        changed = DriftAlarm(0.05)
        changed.update(rng.random(200) < 0.05)
        changed.update(rng.random(1500) < 0.10)
        delays.append((changed.alarm_at or 10_000) - 200)
    assert false <= 5 + 2 * math.sqrt(100 * 0.05 * 0.95)
    assert 0 < np.median(delays) <= 500


def test_the_file_goes_on_where_it_was_left_and_is_refused_when_altered():
    rng = np.random.default_rng(8)
    losses = (rng.random(140) < 0.2).astype(float)
    whole, part = DriftAlarm(0.05, alpha=0.01), DriftAlarm(0.05, alpha=0.01)
    whole.update(losses)
    part.update(losses[:77])
    part = DriftAlarm.from_json(part.to_json())
    part.update(losses[77:])
    assert part.to_json() == whole.to_json()
    assert part.is_raised
    assert "Alarm after" in part.sentence
    with pytest.raises(StoreError, match="altered"):
        DriftAlarm.from_json(whole.to_json().replace('"risk": 0.05', '"risk": 0.5'))


@pytest.mark.parametrize("bad", [[1.5], [-0.1], [float("nan")], [[0.0]], ["x"], [None]])
def test_what_is_no_loss_is_refused_and_leaves_the_alarm_as_it_was(bad):
    alarm = DriftAlarm(0.05)
    alarm.update([0.0, 1.0])
    before = alarm.to_json()
    with pytest.raises(InvalidInputError):
        alarm.update(bad)
    assert alarm.to_json() == before
    assert alarm.sentence.startswith("No alarm: 2 audited inputs, mean loss 0.5000")
