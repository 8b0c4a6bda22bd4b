"""One record of options for every way to harvest: what it checks, and that nothing is lost on the way."""

import dataclasses
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

from extraction import default_model, harvest, harvest_encoder
from extraction.harvesting.options import DEFAULTS, HarvestChanges, HarvestOptions
from extraction.harvesting.stream import make_harvester
from extraction.models.adapters import adapt
from extraction.run import harvest_to
from extraction.run.job import HarvestJob
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, StoreError


def test_the_keywords_are_the_fields():
    fields = {f.name: f.type for f in dataclasses.fields(HarvestOptions)}
    keywords = HarvestChanges.__annotations__
    assert {name: getattr(hint, "__forward_arg__", hint) for name, hint in keywords.items()} == fields
    assert keywords.keys() == DEFAULTS.keys()


@pytest.mark.parametrize("function", [harvest, harvest_encoder, harvest_to, HarvestJob, make_harvester])
def test_no_function_declares_an_option_again(function):
    declared = inspect.signature(function).parameters
    assert not set(declared) & DEFAULTS.keys()
    assert "options" in declared


def test_options_and_keywords_say_the_same():
    model = tiny_llava(n_layers=2)
    batch = tiny_batch(model, 2, [2, 4])
    options = HarvestOptions(name="m", thresholds=(0.01, 0.5), matrix=False, answer="generated")
    ways = (
        harvest(model, [batch], options),
        harvest(model, [batch], name="m", thresholds=(0.01, 0.5), matrix=False, answer="generated"),
        harvest(model, [batch], HarvestOptions(name="other", matrix=False), **{
            "name": "m", "thresholds": [0.01, 0.5], "answer": "generated",
        }),
    )  # fmt: skip
    assert ways[0].spec == ways[1].spec == ways[2].spec
    assert ways[0].spec.answer_position == "generated"
    for name, array in ways[0].arrays().items():
        for other in ways[1:]:
            np.testing.assert_array_equal(array, other.arrays()[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"pairing": "both"}, "need a pairing out of"),
        ({"answer": "first"}, "need an answer position out of"),
        ({"shift": "mean"}, "need shift as"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(change, words):
    for function in (HarvestOptions, HarvestOptions().change):
        with pytest.raises(InvalidInputError, match=words):
            function(**change)
    with pytest.raises(InvalidInputError, match=words):
        harvest(None, [], **change)
    with pytest.raises(TypeError, match="batchsize"):
        HarvestOptions(batchsize=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        HarvestOptions().batch_size = 3


@pytest.mark.parametrize("name", ["prompt", "pairing", "answer", "special_ids", "vision_ids"])
def test_an_encoder_has_no_options_of_text(name):
    value = {"prompt": "{question}", "pairing": "hf", "answer": "generated"}.get(name, (1,))
    with pytest.raises(InvalidInputError, match=f"got {name}"):
        harvest_encoder(None, [], **{name: value})


def test_a_folder_is_harvested_with_every_option(tmp_path):
    """Also those that a folder did not take before: where layers are, special ids, the generated answer."""
    model, processor = default_model.load_model(), default_model.load_processor()
    samples = default_model.load_samples(4)
    path = adapt(model).layers_path
    ids = adapt(model).vision_ids
    options = HarvestOptions(
        batch_size=2, name="m", revision="r", answer="generated", layers_path=path, vision_ids=ids,
        special_ids=(1, 2), self_check=False, matrix=False,
    )  # fmt: skip
    run = harvest_to(model, samples, tmp_path / "run", options, processor=processor, progress=False)
    plain = harvest(model, samples, options, processor=processor, progress=False)
    assert run.statistics.spec == plain.spec
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(run.statistics.arrays()[name], array, err_msg=name)
    header = json.loads((tmp_path / "run" / "run.json").read_text())
    found = header.get("run", header)
    assert (found["answer"], found["layers_path"], found["vision_ids"]) == ("generated", path, list(ids))
    with pytest.raises(StoreError, match="differs in special_ids"):
        harvest_to(model, samples, tmp_path / "run", options, processor=processor, resume=True, special_ids=(1,))
    again = harvest_to(model, samples, tmp_path / "run", options, processor=processor, resume=True, progress=False)
    assert again.statistics.sample_ids == run.statistics.sample_ids


def test_the_defaults_of_the_command_are_those_of_the_record():
    """Read without torch or numpy, for which a help page need not wait."""
    code = """
import inspect, sys
from extraction.commands.harvest import harvest
from extraction.harvesting.options import DEFAULTS
assert not {"torch", "numpy"} & set(sys.modules), "loaded too early"
flags = {name: p.default for name, p in inspect.signature(harvest).parameters.items()}
assert flags["batch_size"] == DEFAULTS["batch_size"]
assert flags["matrix"] is DEFAULTS["matrix"] and flags["attention"] is DEFAULTS["attention"]
assert tuple(flags["threshold"]) == DEFAULTS["thresholds"]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
