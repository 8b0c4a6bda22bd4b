"""Sweeps and timings against straightforward loops over the same model."""

import copy
import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from extraction.skip import Plan, apply, late_entry, measure_prefill, skip_layers, vision_exit
from extraction.skip.cost.timing import PrefillTiming, median_interval
from extraction.study import evaluate, sweep
from extraction.study.evaluation import PlanEvaluation, proportion_interval
from extraction.study.validate import answer_positions
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError

N = 4
PLANS = [Plan(), late_entry(2), vision_exit(1), late_entry(N), skip_layers(1)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=N)


def labelled(model, padding="left", n_batches=4):
    """Batches whose answers are the plain model's own on every second row, and a wrong token elsewhere."""
    for b in range(n_batches):
        batch = tiny_batch(model, 6, [2, 5, 3, 4, 2, 6], padding=padding, seed=b)
        with torch.no_grad():
            logits = model(**batch).logits
        best = torch.stack([logits[i, p] for i, p in enumerate(answer_positions(batch))]).argmax(-1)
        answers = torch.where(torch.arange(6) % 2 == 0, best, (best + 1) % 61)
        yield {**batch, "sample_ids": [f"{b}-{i}" for i in range(6)], "answers": answers, "families": ["x"] * 6}


@pytest.mark.parametrize("padding", ["left", "right"])
@pytest.mark.parametrize("share", [True, False])
def test_sweep_equals_a_plain_loop(model, padding, share):
    batches = list(labelled(model, padding))
    found = sweep(model, iter(batches), PLANS, share_image_features=share)
    assert [e.plan for e in found] == PLANS
    for evaluation in found:
        rows = []
        for batch in batches:
            inputs = {k: batch[k] for k in ("input_ids", "attention_mask", "pixel_values")}
            with torch.no_grad():
                plain = model(**inputs).logits.double()
                with apply(model, evaluation.plan):
                    logits = model(**inputs).logits.double()
            for i in range(6):
                last = int(batch["attention_mask"][i].nonzero().max())
                p, q = (x[i, last].softmax(-1).numpy() for x in (plain, logits))
                rows.append(
                    (int(p.argmax()), int(q.argmax()), int(batch["answers"][i]), float(np.sum(p * np.log(p / q))))
                )
        plain_tokens, tokens, answers, kl = zip(*rows, strict=True)
        assert evaluation.sample_ids == tuple(f"{b}-{i}" for b in range(4) for i in range(6))
        assert (evaluation.plain_tokens, evaluation.plan_tokens) == (plain_tokens, tokens)
        assert evaluation.answers == answers
        np.testing.assert_allclose(evaluation.kl, kl, atol=1e-5)  # fp32 logits, other kernels for the last row alone
        assert evaluation.plain_accuracy == 0.5
        assert evaluation.agreement == np.mean([a == b for a, b in zip(plain_tokens, tokens, strict=True)])
    assert found[0].agreement == 1.0
    assert found[0].kl == (0.0,) * 24
    assert found[3].agreement < 1.0


def test_shared_image_features_give_the_logits_of_the_real_path_bit_by_bit(model):
    """And are dropped, not trusted, where a model computes something else from them."""
    batches = list(labelled(model))
    calls = []
    tower = model.model.vision_tower.register_forward_hook(lambda *a: calls.append(1))
    real = sweep(model, batches, PLANS, share_image_features=False, share_layers=False)
    n_real = len(calls)
    calls.clear()
    shared = sweep(model, batches, PLANS, share_layers=False)
    assert shared == real
    assert (n_real, len(calls)) == (4 * (1 + len(PLANS)), 4 * 2)
    calls.clear()
    original = model.get_image_features

    @functools.wraps(original)
    def distorted(*args, **kwargs):
        out = original(*args, **kwargs)
        out.pooler_output = [f * 1.001 for f in out.pooler_output]
        return out

    model.get_image_features = distorted
    try:
        assert sweep(model, batches, PLANS, share_layers=False) == real
    finally:
        del model.get_image_features
        tower.remove()
    assert len(calls) == n_real + 1  # one try, then the real path throughout


def test_candidates_restrict_answers_and_divergence(model):
    batches, letters = list(labelled(model)), [7, 30, 12]
    found = evaluate(model, batches, late_entry(1), candidates=letters)
    assert set(found.plain_tokens + found.plan_tokens) <= set(letters)
    assert set(evaluate(model, batches, late_entry(1)).plain_tokens) - set(letters)


def test_intervals_are_exact_and_paired():
    plain, plan, answers = [1] * 50, [1] * 41 + [2] * 5 + [3] * 4, [1] * 46 + [3] * 4
    e = PlanEvaluation(
        plan=late_entry(1),
        sample_ids=tuple(map(str, range(50))),
        plain_tokens=tuple(plain),
        plan_tokens=tuple(plan),
        kl=(0.0,) * 50,
        answers=tuple(answers),
    )
    assert e.plain_accuracy == pytest.approx(46 / 50)
    assert e.accuracy == pytest.approx(45 / 50)
    assert e.accuracy_change == pytest.approx(-1 / 50)
    assert e.losses("accuracy").tolist() == [False] * 41 + [True] * 5 + [False] * 4
    assert e.losses("answer").tolist() == [False] * 41 + [True] * 9
    assert e.accuracy_interval() == pytest.approx(tuple(binomtest(45, 50).proportion_ci(0.95)))
    assert e.agreement_interval(0.9) == pytest.approx(tuple(binomtest(41, 50).proportion_ci(0.9)))
    gained, lost = (binomtest(k, 50).proportion_ci(0.975) for k in (4, 5))
    assert e.accuracy_change_interval() == pytest.approx((gained.low - lost.high, gained.high - lost.low))
    record = e.to_record()
    assert record["plan"] == "late_entry(1)"
    assert record["accuracy_change"] == pytest.approx(-0.02)
    assert proportion_interval(0, 10)[0] == 0.0
    assert proportion_interval(10, 10)[1] == 1.0


def test_without_answers_only_agreement_is_known(model):
    batches = [{k: v for k, v in b.items() if k != "answers"} for b in labelled(model)]
    found = evaluate(model, batches, late_entry(2))
    assert 0 <= found.agreement <= 1
    assert found.to_record()["accuracy"] is None
    with pytest.raises(InvalidInputError, match="only agreement"):
        _ = found.accuracy
    with pytest.raises(InvalidInputError, match="only agreement"):
        found.losses("accuracy")
    assert found.losses("answer").mean() == pytest.approx(1 - found.agreement)


def test_ties_go_to_the_lowest_id_with_and_without_a_plan(model):
    tied = copy.deepcopy(model)
    torch.nn.init.zeros_(tied.lm_head.weight)
    found = evaluate(tied, labelled(tied), late_entry(2))
    assert set(found.plain_tokens) == set(found.plan_tokens) == {0}
    assert found.agreement == 1.0
    among = evaluate(tied, labelled(tied), late_entry(2), candidates=[30, 7])
    assert set(among.plan_tokens) == {30}  # the first candidate


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.pop("sample_ids"), "one of `sample_ids` for each of the 6 rows of a batch, got 0"),
        (lambda b: b.update(sample_ids=["a"] * 6), "unique sample ids"),
        (lambda b: b.update(answers=torch.ones(5, dtype=torch.long)), "6 integer tokens"),
        (lambda b: b.update(answers=torch.ones(6)), "torch.float32"),
    ],
)
def test_bad_batches_are_refused(model, change, words):
    batch = next(labelled(model))
    change(batch)
    with pytest.raises(InvalidInputError, match=words):
        evaluate(model, [batch], late_entry(1))


def test_bad_runs_are_refused(model):
    first, second = itertools.islice(labelled(model), 2)
    del second["answers"]
    with pytest.raises(InvalidInputError, match="in every batch or in none, got them in 1 of 2 batches"):
        evaluate(model, [first, second], late_entry(1))
    with pytest.raises(InvalidInputError, match="at least one batch"):
        evaluate(model, [], late_entry(1))
    with pytest.raises(InvalidInputError, match='"accuracy" and "answer"'):
        evaluate(model, [first], late_entry(1)).losses("kl")
    model.train()
    try:
        for call in (lambda: evaluate(model, [first], late_entry(1)), lambda: measure_prefill(model, first, [])):
            with pytest.raises(InvalidInputError, match="eval"):
                call()
    finally:
        model.eval()


def test_timing_sees_where_the_time_goes(model, monkeypatch):
    """On a clock that only layers (4 ms each) and the tower (8 ms) move, every figure is known."""
    batch = next(labelled(model))
    now = [0.0]
    monkeypatch.setattr("extraction.skip.cost.timing.time", SimpleNamespace(perf_counter=lambda: now[0]))

    def wait(seconds):
        now[0] += seconds

    undo = []
    for layer in model.model.language_model.layers:
        stock = layer.forward

        def slow(*args, stock=stock, **kwargs):
            wait(0.004)
            return stock(*args, **kwargs)

        layer.forward = slow
        undo.append(lambda layer=layer: delattr(layer, "forward"))
    undo.append(model.model.vision_tower.register_forward_pre_hook(lambda *a: wait(0.008)).remove)
    try:
        half, same = measure_prefill(model, batch, [skip_layers(1, 3), Plan()], rounds=7)
    finally:
        for back in undo:
            back()
    assert half.n_rounds == 7
    assert len(half.total) == len(half.plain_decoder) == 7
    assert half.plain_decoder == pytest.approx([16.0] * 7)
    assert half.decoder == pytest.approx([8.0] * 7)
    assert half.vision == half.plain_vision == pytest.approx([8.0] * 7)
    assert half.total == pytest.approx([16.0] * 7)
    assert half.decoder_speedup == pytest.approx(2.0)
    assert half.speedup == pytest.approx(1.5)
    assert same.decoder_speedup == pytest.approx(1.0)
    lower, upper = half.speedup_interval()
    assert lower <= half.speedup <= upper
    record = half.to_record()
    assert record["prefill_speedup"] == half.speedup
    assert record["device"] == "cpu (1 thread)"


def test_ratios_are_paired_by_round():
    """A machine that slows down five times over: unpaired medians would be far off, paired ratios are exact."""
    drift = np.array([1.0, 5.0, 1.0, 5.0, 1.0, 5.0, 3.0])
    timing = PrefillTiming(
        plan=late_entry(1),
        total=tuple(10 * drift),
        decoder=tuple(5 * drift),
        vision=tuple(drift),
        plain_total=tuple(15 * drift),
        plain_decoder=tuple(10 * drift),
        plain_vision=tuple(drift),
        device="cpu (1 thread)",
    )
    assert timing.speedup == pytest.approx(1.5)
    assert timing.decoder_speedup == pytest.approx(2.0)
    assert timing.speedup_interval() == pytest.approx((1.5, 1.5))


@pytest.mark.parametrize("n", [6, 9, 15, 40])
def test_median_interval_has_its_level_and_no_shorter_one_has(n):
    """Coverage of order statistics by counting coin flips, not by the library's quantile function."""
    flips = [0.0] * (n + 1)
    for ones in range(n + 1):
        flips[ones] = np.prod([(n - j) / (j + 1) for j in range(ones)]) / 2.0**n
    lower, upper = median_interval([float(i) for i in range(1, n + 1)])
    rank = int(lower)
    assert upper == n + 1 - rank
    assert sum(flips[rank : n - rank + 1]) >= 0.95
    assert rank + 1 > n - rank or sum(flips[rank + 1 : n - rank]) < 0.95


def test_median_interval_needs_enough_values(model):
    with pytest.raises(InvalidInputError, match="more than 5 values"):
        median_interval([1.0] * 5)
    with pytest.raises(InvalidInputError, match="rounds"):
        measure_prefill(model, next(labelled(model)), [late_entry(1)], rounds=5)
