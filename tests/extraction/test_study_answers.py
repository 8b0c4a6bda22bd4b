"""What counts as an answer and as a loss: whole answers, what is not finite, missing and soft answers, looks."""

import json

import numpy as np
import pytest
import torch

from extraction.skip import Plan, fastv, late_entry, random_keep, skip_layers, vision_exit
from extraction.study import PlanEvaluation, choose_plan, select_plan, sweep
from extraction.study.answers import NO_ANSWER, greedy_answers
from extraction.study.evaluation import plan_records
from extraction.study.looks import record_look
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError
from redundancy.report import gather_report, render_html


def batch_of(model, n=6, seed=0):
    return {**tiny_batch(model, n, [3] * n, seed=seed), "sample_ids": [f"{seed}-{k}" for k in range(n)]}


def test_an_unmodified_model_without_finite_logits_is_refused():
    model = tiny_llava(n_layers=2)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(InvalidInputError, match="need finite logits of the unmodified model, those of sample '0-0'"):
        sweep(model, [batch_of(model)], [vision_exit(1)], progress=False)


def test_a_plan_without_finite_logits_loses():
    model = tiny_llava(n_layers=2)
    head = model.lm_head.forward

    def forward(states):
        logits = head(states)
        # Poison what the plan computes: without the image of layer 1 the states differ from the plain ones.
        return logits if torch.equal(logits, forward.plain) else logits * float("nan")

    batch = batch_of(model)
    inputs = {k: v for k, v in batch.items() if k != "sample_ids"}
    with torch.inference_mode():
        plain = model(**inputs, logits_to_keep=1).logits
    forward.plain = plain
    model.lm_head.forward = forward
    answers = plain[:, -1].argmax(-1)
    options = {"share_layers": False, "share_image_features": False, "progress": False}
    (found,) = sweep(model, [{**batch, "answers": answers}], [late_entry(2)], **options)
    assert found.plan_tokens == (NO_ANSWER,) * 6
    assert found.agreement == 0.0
    assert found.accuracy == 0.0
    assert found.losses("accuracy").all()
    assert found.mean_kl == np.inf
    record = found.to_record()
    assert record["mean_kl"] is None
    json.dumps(record, allow_nan=False)


def test_whole_answers_are_those_of_generate():
    model = tiny_llava(n_layers=2)
    batch = batch_of(model)
    inputs = {k: v for k, v in batch.items() if k != "sample_ids"}
    (found,) = sweep(model, [batch], [vision_exit(1)], answer_length=4, progress=False)
    (first,) = sweep(model, [batch], [vision_exit(1)], progress=False)
    with torch.inference_mode():
        plain = model.generate(**inputs, max_new_tokens=4, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    for tokens, row in zip(found.plain_tokens, plain.tolist(), strict=True):
        assert list(tokens) == row[: len(tokens)]
    assert tuple(t[0] for t in found.plain_tokens) == first.plain_tokens
    assert found.agreement <= first.agreement
    right = {**inputs, "attention_mask": inputs["attention_mask"].clone()}
    right["attention_mask"][0, -1] = 0
    with pytest.raises(InvalidInputError, match="padded on the left"):
        greedy_answers(model, right, 3)


def evaluation(plan, plain, scores, **options):
    n = len(plain)
    return PlanEvaluation(
        plan=plan,
        sample_ids=tuple(map(str, range(n))),
        plain_tokens=(1,) * n,
        plan_tokens=(1,) * n,
        kl=(0.0,) * n,
        plain_scores=tuple(plain),
        plan_scores=tuple(scores),
        **options,
    )


def test_one_sample_without_an_answer_is_named_and_silences_no_other():
    plain = [None, *[1.0] * 99]
    e = evaluation(late_entry(1), plain, plain)
    assert (e.accuracy, e.n_samples, int(e.answered.sum())) == (1.0, 100, 99)
    choice = select_plan([e], costs=[0.9], risk=0.05)
    assert choice.n_samples == 99
    assert "Left out for want of an answer: 1 ('0')." in choice.summary
    assert choice.chosen == late_entry(1)


def test_soft_scores_are_losses_in_parts_and_tested_by_betting():
    n = 400
    scores = [0.9 if k % 10 else 0.6 for k in range(n)]
    e = evaluation(late_entry(1), [0.9] * n, scores, is_soft=True)
    assert e.losses("accuracy").mean() == pytest.approx(0.03)
    choice = select_plan([e], costs=[0.9], risk=0.06)
    assert choice.control.kind == "betting"
    assert choice.chosen == late_entry(1)
    assert "at most 0.06 of the unmodified model's score, on average" in choice.guarantee
    assert choice.recheck().ok


def test_a_choice_says_how_good_the_model_is_and_when_it_says_nothing():
    wrong = evaluation(late_entry(1), [0.0] * 200, [0.0] * 200)
    choice = select_plan([wrong], costs=[0.9], risk=0.05)
    assert choice.chosen == Plan()
    assert choice.guarantee.startswith("Vacuous (V)")
    assert "is right on 0 of them" in choice.summary
    assert choice.from_json(choice.to_json()) == choice


@pytest.mark.parametrize(("length", "words"), [(1, "the first token of the answer"), (6, "compared up to 6 tokens")])
def test_the_sentence_says_which_answers_are_compared(length, words):
    e = evaluation(late_entry(1), [1.0] * 200, [1.0] * 200, answer_length=length)
    assert words in select_plan([e], costs=[0.9], loss="answer").guarantee


def test_intervals_of_a_table_hold_jointly():
    rng = np.random.default_rng(0)
    misses = 0
    for _ in range(60):
        plain = rng.random(150) < 0.8
        family = []
        for k in range(8):
            scores = np.where(rng.random(150) < 0.1, rng.random(150) < 0.5, plain)
            family.append(evaluation(vision_exit(k), plain.astype(float), scores.astype(float)))
        rows = plan_records(family, 0.9)
        misses += not all(
            row["accuracy_interval"][0] <= 0.77 <= row["accuracy_interval"][1]
            and row["accuracy_change_interval"][0] <= -0.03 <= row["accuracy_change_interval"][1]
            for row in rows
        )
    assert misses <= 12  # 10 % of 60 and three standard errors


def test_a_report_keeps_every_plan_and_the_row_of_the_chosen_one(tmp_path):
    plan = skip_layers(3, 7, 8) + fastv(2, 0.5)
    plans = [random_keep(0.25, seed=0), random_keep(0.25, seed=1), plan]
    losses = [[1] + [0] * 299, [0] * 300, [0] * 300]
    options = {"costs": [0.9, 0.8, 0.5], "sample_ids": list(map(str, range(300))), "method": "bonferroni"}
    choice = choose_plan(plans, losses, **options)
    row = {"plan": str(plan), "n_samples": 300, "plain_accuracy": 0.92, "accuracy": 0.9, "prefill_speedup": 1.5}
    (tmp_path / "choice.json").write_text(choice.to_json())
    (tmp_path / "validation.json").write_text(json.dumps([row]))
    report = gather_report([tmp_path], n_layers=12)
    assert {r["plan"] for r in report["other_plans"]} == {str(p) for p in plans}
    assert report["chosen_plan"]["plan"] == str(plan)
    assert report["chosen_plan"]["accuracy"] == 0.9
    assert all(r["risk_upper"] < 0.03 for r in report["other_plans"])
    assert "random_keep(0.25, seed=1)" in render_html(report, figures={})


def test_the_ledger_tells_earlier_looks_of_other_runs(tmp_path):
    look = {"data": "d", "entry": {"risk": 0.02}}
    assert record_look(tmp_path, run="one", **look) == []
    assert record_look(tmp_path, run="one", **look) == [], "the same run, resumed"
    (earlier,) = record_look(tmp_path, run="two", **look)
    assert earlier["risk"] == 0.02
    assert record_look(tmp_path, run="one", **look) == []
    assert record_look(tmp_path, run="three", data="other", entry={}) == []
    (file,) = [f for f in tmp_path.iterdir() if len(f.read_text().splitlines()) == 2]
    file.write_text(file.read_text() + '{"run": "cut sho')
    assert len(record_look(tmp_path, run="four", **look)) == 2
