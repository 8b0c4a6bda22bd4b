"""The lmms-eval wrapper's contract without lmms-eval.

lmms-eval needs torchvision, of which there is no build beside the CPU torch of these tests. `Request` stands in for its
`Instance` (an object with `args`), and the module given to the class factory for its base class; the model, the
processor, the plan and the engine are real. What is not shown here: lmms-eval's own loop around the wrapper.
"""

import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from extraction.data import as_sample
from extraction.default_model import PATH, load_model, load_processor, load_samples
from extraction.harness import lmms
from extraction.skip import parse_plan
from extraction.study import evaluate
from extraction.study.validating import labelled_batch
from redundancy.errors import InvalidInputError, MissingExtraError, UnsupportedModelError
from support import load_script

SAMPLES = load_samples(14)
PLAN = "late_entry(1) + vision_exit(5)"


@dataclass
class Request:
    args: tuple


def request(i, task="held_out", **settings):
    return Request((SAMPLES[i].question, {"max_new_tokens": 1, **settings}, lambda d: [d.image], i, task, "test"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def wrapper():
    made = lmms.SkippingResponder(str(PATH), plan=PLAN, dtype="float32", batch_size=4, max_batch_size=None)
    made.task_dict = {"held_out": {"test": SAMPLES}}
    return made


@pytest.fixture(scope="module")
def sweep():
    model, processor = load_model(), load_processor()
    samples = [as_sample(s, i) for i, s in enumerate(SAMPLES)]
    result = evaluate(model, [labelled_batch(model, processor, samples)], parse_plan(PLAN), progress=False)
    return [processor.tokenizer.decode([token]).strip() for token in result.plan_tokens], result


def test_answers_are_those_of_the_sweep_in_the_order_of_the_requests(wrapper, sweep):
    order = [5, 0, 13, 2, 1, 3, 4, 12, 11, 10, 9, 8, 7, 6]
    assert wrapper.generate_until([request(i) for i in order]) == [sweep[0][i] for i in order]
    assert not sweep[1].agrees.all()  # the plan is felt, so agreement here shows that it was applied


def test_settings_of_different_tasks_are_not_mixed(wrapper, sweep):
    mixed = [request(0, until=["\n"], temperature=0), request(1, max_new_tokens=2), request(2)]
    answers = wrapper.generate_until(mixed)
    assert [a.split()[0] for a in answers] == sweep[0][:3]
    stop = sweep[0][0][1:]
    assert wrapper.generate_until([request(0, until=stop)]) == [sweep[0][0][0]]


def test_loglikelihood_is_that_of_the_next_token(wrapper, sweep):
    words = ["red", sweep[0][0]]
    asked = [
        Request((SAMPLES[0].question, lambda d, w=w: w, lambda d: [d.image], 0, "held_out", "test")) for w in words
    ]
    (other, greedy_other), (own, greedy_own) = wrapper.loglikelihood(asked)
    assert other <= own < 0.0
    assert greedy_own
    assert greedy_other == (words[0] == words[1])


def test_the_model_is_free_after_each_call(wrapper):
    before = wrapper.model.model.language_model.layers[0].forward
    wrapper.generate_until([request(0)])
    assert wrapper.model.model.language_model.layers[0].forward == before


def test_what_cannot_be_done_is_said(wrapper):
    two = Request((SAMPLES[0].question, {}, lambda d: [d.image] * 2, 0, "held_out", "test"))
    with pytest.raises(InvalidInputError, match="one image per question, got 2"):
        wrapper.generate_until([two])
    with pytest.raises(UnsupportedModelError, match="several rounds"):
        wrapper.generate_until_multi_round([])
    with pytest.raises(InvalidInputError, match="unknown_option"):
        lmms.SkippingResponder(str(PATH), unknown_option=1)
    with pytest.raises(InvalidInputError):
        lmms.SkippingResponder(str(PATH), plan="late_entry(99)")


def test_the_class_is_made_late_on_the_harness_base(monkeypatch):
    if "lmms_eval" in sys.modules or lmms.find_spec("lmms_eval") is not None:
        pytest.skip("lmms-eval is installed here")
    with pytest.raises(MissingExtraError, match="pip install lmms-eval"):
        _ = lmms.SkipIt
    base = types.ModuleType("lmms_eval.api.model")

    class StandIn:
        is_simple = True

        def __init__(self):
            self.task_dict = {}

    base.lmms = StandIn
    for name in ("lmms_eval", "lmms_eval.api"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "lmms_eval.api.model", base)
    monkeypatch.setattr(lmms, "find_spec", lambda name: object())
    made = lmms.SkipIt(str(PATH), plan="fastv(2;0.5)", dtype="float32")
    lmms._harness_class.cache_clear()
    assert isinstance(made, StandIn)
    assert made.is_simple
    made.task_dict = {"held_out": {"test": SAMPLES}}  # as the harness does
    assert len(made.generate_until([request(0)])) == 1


def test_visual7w_lines_keep_the_answer_and_move_its_letter():
    task = load_script("examples/harness/lmms_eval_task/visual7w_functions.py")
    pairs = [
        {"qa_id": i, "question": "What ?", "answer": "right", "multiple_choices": ["x", "y", "z"]} for i in range(40)
    ]
    official = {
        "images": [
            {"split": "test", "filename": "1.jpg", "qa_pairs": pairs},
            {"split": "train", "filename": "2.jpg", "qa_pairs": pairs},
        ]
    }
    rows = task.convert(official, Path("images"))
    assert len(rows) == 40
    assert {task.letter(row) for row in rows} == set("ABCD")
    assert all(f"{task.letter(row)}. right" in task.question(row) for row in rows)
    pairs[0]["multiple_choices"] = ["right", "y", "z"]
    with pytest.raises(ValueError, match="need 4 different choices"):
        task.convert(official, Path("images"))
