"""The engine is tried on a model of a family or release that is not measured: what passes, what is said, what fails."""

import warnings

import pytest
import torch
import transformers

from extraction.skip import Plan, apply, late_entry, vision_exit
from extraction.skip.engine import capabilities
from extraction.tiny import TINY_FAMILIES, tiny_batch, tiny_family, tiny_llava
from redundancy.errors import UnsupportedModelError


@pytest.fixture(autouse=True)
def nothing_passed_yet(monkeypatch):
    monkeypatch.setattr(capabilities, "_PASSED", set())


@pytest.fixture
def unmeasured(monkeypatch):
    monkeypatch.setattr(capabilities, "MEASURED", frozenset())


def test_measured_are_the_families_of_the_table():
    crossed = {"mllama", "idefics"}  # harvested, not skipped in
    kinds = {tiny_family(name).model.config.model_type for name in TINY_FAMILIES if name not in crossed}
    assert kinds == capabilities.MEASURED


def test_a_measured_family_under_a_measured_release_is_not_tried(monkeypatch):
    monkeypatch.setattr(transformers, "__version__", "5.23.0")
    model, calls = tiny_llava(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    with apply(model, vision_exit(1)):
        assert calls == []


@pytest.mark.parametrize("version", ["5.16.1", "5.19.0", "5.24.0", "5.24.1.dev0"])
def test_another_release_is_tried_once_and_in_silence(monkeypatch, version):
    monkeypatch.setattr(transformers, "__version__", version)
    model, calls = tiny_llava(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with apply(model, vision_exit(1)):
            n = len(calls)
        with apply(model, late_entry(1)):
            pass
    assert n > 0
    assert len(calls) == n


def test_a_release_beyond_the_newest_known_runs_and_says_so(monkeypatch):
    monkeypatch.setattr(transformers, "__version__", "5.25.0")
    model = tiny_llava()
    with pytest.warns(UserWarning, match=r"newer than 5\.24.*passed"), apply(model, vision_exit(1)):
        logits = model(**tiny_batch(model, 2)).logits
    monkeypatch.setattr(transformers, "__version__", "5.23.0")
    with apply(model, vision_exit(1)):
        assert torch.equal(model(**tiny_batch(model, 2)).logits, logits)


@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen2_5_vl", "kimi_k25", "molmo2", "blip2", "paligemma"])
def test_families_pass_the_check_and_are_called_not_measured(unmeasured, name):
    family = tiny_family(name)
    with pytest.warns(UserWarning, match="not measured"), apply(family.model, vision_exit(1)):
        pass


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_5"])
def test_the_check_forgets_and_restores_what_a_prompt_before_left_in_the_model(monkeypatch, name):
    """Offsets of positions of an earlier batch of another size."""
    monkeypatch.setattr(transformers, "__version__", "5.24.0")
    family = tiny_family(name)
    with torch.no_grad():
        family.model(**family.batch())
        kept = family.model.model.rope_deltas
        with apply(family.model, vision_exit(1)):
            assert family.model.model.rope_deltas is kept


def test_a_plan_that_changes_nothing_asks_for_no_check(unmeasured):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with apply(tiny_llava(), Plan()):
            pass


def broken(model, change):
    """The model with another forward in its second layer."""
    layer = model.get_decoder().layers[1]
    stock = layer.forward
    layer.forward = lambda states, *args, **kwargs: change(stock(states, *args, **kwargs))
    return model


def test_a_layer_that_goes_by_columns_is_refused(unmeasured):
    """It adds to each token by its column, which moves when tokens are left out."""
    model = broken(tiny_llava(), lambda out: out + torch.arange(out.shape[1])[:, None])
    with pytest.raises(UnsupportedModelError, match="without the padding differ"), apply(model, vision_exit(1)):
        pass


def test_a_model_that_answers_otherwise_each_time_is_refused(unmeasured):
    calls = []

    def drift(out):
        calls.append(1)
        return out + 0.01 * len(calls)

    model = broken(tiny_llava(), drift)
    with pytest.raises(UnsupportedModelError, match="nothing left out differ"), apply(model, vision_exit(1)):
        pass


def test_a_model_that_does_not_run_is_refused_with_its_own_words(unmeasured):
    def fail(out):
        raise RuntimeError("no kernel for this device")

    model = broken(tiny_llava(), fail)
    with pytest.raises(UnsupportedModelError, match=r"text alone.*no kernel"), apply(model, vision_exit(1)):
        pass
