"""The identity of a run sees every change that could change an answer, and says in words what changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from extraction import default_model
from extraction.data import as_sample
from extraction.models.identity import RunIdentity, file_digest, processor_digest, template_digest, weights_digest
from redundancy.errors import InvalidInputError, StoreError


@pytest.fixture(scope="module")
def samples():
    return [as_sample(s, i) for i, s in enumerate(default_model.load_samples(3))]


@pytest.fixture
def loaded():
    return default_model.load_model(), default_model.load_processor()


def identity(loaded, samples, **changes):
    return RunIdentity.of(*loaded, samples, **{"name": "m", **changes})


def test_two_loads_are_one_run_whatever_was_computed_between(loaded, samples):
    model, processor = loaded
    before = identity(loaded, samples)
    processor(text=["USER: what"], padding=True, truncation=True, max_length=2)
    assert identity((model, processor), samples) == before
    assert identity((default_model.load_model(), default_model.load_processor()), samples) == before
    assert before.difference(before) is None
    assert before.changed_versions(before) is None


def test_one_bit_in_the_middle_of_a_weight_is_seen(loaded, samples):
    before = identity(loaded, samples)
    weight = dict(loaded[0].named_parameters())["model.language_model.layers.3.mlp.down_proj.weight"]
    with torch.no_grad():
        weight[40, 40] = torch.nextafter(weight[40, 40], torch.tensor(9.0))
    assert before.difference(identity(loaded, samples)) == "the weights"


def test_each_part_that_decides_an_answer_is_told_apart(loaded, samples):
    model, processor = loaded
    before = identity(loaded, samples)
    first = samples[0]
    dark = np.asarray(first.load_image()).copy()
    dark[0, 0, 0] ^= 1
    for changed in (
        [replace(first, image=dark), *samples[1:]],
        [replace(first, question=first.question + " "), *samples[1:]],
        [replace(first, answer="zebra", answers=()), *samples[1:]],
        [replace(first, group="g"), *samples[1:]],
        samples[::-1],
    ):
        assert before.difference(identity(loaded, changed)) == "the samples (ids, pixels, questions or answers)"
    assert "number of samples (3, now 2)" in before.difference(identity(loaded, samples[:2]))
    assert before.difference(identity(loaded, samples, name="n")) == "the model's name (m, now n)"
    assert before.difference(identity(loaded, samples, prompt="{image}{question}")) == (
        "the prompt (none, now {image}{question})"
    )
    processor.chat_template += " "
    assert before.difference(identity(loaded, samples)) == "the chat template"
    processor.image_processor.image_mean = [0.4, 0.5, 0.5]
    processor.tokenizer.padding_side = "right"
    assert before.difference(identity(loaded, samples)) == "the processor and the chat template"
    assert before.difference(identity((model.to(torch.bfloat16), processor), samples)) == (
        "the weights, the dtype (float32, now bfloat16), the processor and the chat template"
    )
    assert before.difference(identity(loaded, samples), but=("weights", "dtype", "processor", "template")) is None


def test_a_settings_change_of_the_processor_is_seen(loaded):
    _, processor = loaded
    before = processor_digest(processor)
    processor.patch_size = 16
    assert processor_digest(processor) != before
    processor.patch_size = 8
    processor.tokenizer.add_tokens(["zebra"])
    assert processor_digest(processor) != before
    assert template_digest(object()) == template_digest(None)


def test_it_goes_through_json_and_hostile_json_is_refused(loaded, samples):
    one = identity(loaded, samples)
    assert RunIdentity.from_dict(one.to_dict() | {"later": 1}) == one
    other = replace(one, versions=one.versions | {"torch": "0"})
    assert one.difference(other) is None
    assert one.changed_versions(other) == f"torch ({one.versions['torch']}, now 0)"
    for body in (None, [], {}, one.to_dict() | {"n_samples": True}, one.to_dict() | {"weights": 3}):
        with pytest.raises(StoreError, match="identity of a run in x"):
            RunIdentity.from_dict(body, where="x")


def test_files_are_read_again_when_they_change(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"a" * 9)
    first = file_digest(file)
    assert file_digest(file) == first
    file.write_bytes(b"b" * 9)
    assert file_digest(file) != first
    with pytest.raises(StoreError, match="No such file"):
        file_digest(tmp_path / "none")


def test_buffers_count_and_unsettled_samples_are_refused(samples):
    from extraction.models.identity import sample_digest

    module = torch.nn.BatchNorm1d(3)
    before = weights_digest(module)
    module.running_mean[1] += 1
    assert weights_digest(module) != before
    with pytest.raises(InvalidInputError, match="settle_units"):
        sample_digest(samples[0])
