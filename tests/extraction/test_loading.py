"""The one loader of models: what does not fit is refused by name, what is missing and at hand is mended and said."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from extraction import harvest
from extraction.commands.doctor import examine_model
from extraction.data import as_sample, make_batch
from extraction.default_model import PATH, load_samples
from extraction.models.adapters import adapt
from extraction.models.loading import load_model_and_processor
from extraction.study.validate import last_logits
from redundancy.errors import InvalidInputError, MissingExtraError, UnsupportedModelError


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(PATH, tmp_path / "model")
    return tmp_path / "model"


def refit(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


def settings(folder, name, **changes):
    file = folder / name
    body = json.loads(file.read_text())
    body.update(changes)
    file.write_text(json.dumps({k: v for k, v in body.items() if v is not None}))


def test_a_sound_folder_loads(folder):
    model, processor = load_model_and_processor(str(folder))
    assert not model.training
    assert processor.tokenizer.pad_token == "<pad>"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda w: {k: v for k, v in w.items() if ".layers.7." not in k or "vision" in k},
            r"9 missing in the files \(.*layers\.7\..*, \.\.\.\)",
        ),
        (
            lambda w: {f"module.{k}": v for k, v in w.items()},
            r"missing in the files .*; 185 unknown to the model \(module\.",
        ),
        (
            lambda w: w | {"head.extra": torch.ones(2)},
            r"got some that do not fit: 1 unknown to the model \(head\.extra\)",
        ),
        (lambda w: {k: v[:, :5].clone() if "linear_1.weight" in k else v for k, v in w.items()}, "1 of another shape"),
    ],
)
def test_weights_that_do_not_fit_are_counted_and_named(folder, change, words):
    refit(folder, change)
    with pytest.raises(InvalidInputError, match=words):
        load_model_and_processor(str(folder))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "readable weights"),
        ("model.safetensors", b"", "readable weights"),
        ("model.safetensors", None, "readable weights"),
        ("config.json", b"{", "readable model configuration|model type"),
        ("config.json", b'{"model_type": "' + b"[" * 5000, "readable model configuration|model type"),
        ("processor_config.json", None, "processor"),
        ("processor_config.json", b"[]", "processor"),
        ("tokenizer.json", b"{}", "processor"),
        ("adapter_config.json", b"{}", "give --merge-adapter"),
    ],
)
def test_damaged_folders_are_one_sentence(folder, name, content, words):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=words) as caught:
        load_model_and_processor(str(folder))
    assert str(caught.value).isprintable()


def test_a_missing_padding_token_is_mended_and_said(folder, caplog):
    settings(folder, "tokenizer_config.json", pad_token=None)
    with caplog.at_level(logging.WARNING, "skip_it.models"):
        _, processor = load_model_and_processor(str(folder))
    assert processor.tokenizer.pad_token == "</s>"
    assert "no padding token: '</s>' is used" in caplog.text


def test_the_template_of_the_tokenizer_is_taken(folder, caplog):
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    settings(folder, "tokenizer_config.json", chat_template=template)
    _, processor = load_model_and_processor(str(folder))
    assert processor.chat_template == template
    assert "with its tokenizer only" in caplog.text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}USER:", "template that writes one question.*endfor"),
        ("{{ raise_exception('the first turn\nmust be of the system') }}", "the first turn must be of the system"),
        ("{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}", "can only concatenate"),
        ("nothing of it", "template that writes the question"),
        ("{{ messages[0]['content'][1]['text'] }} ASSISTANT:", "number of <image> tokens"),
    ],
)
def test_templates_that_write_no_prompt_are_one_sentence_and_a_prompt_helps(folder, template, words):
    (folder / "chat_template.jinja").write_text(template)
    model, processor = load_model_and_processor(str(folder))
    vision_ids = adapt(model).vision_ids
    samples = [as_sample(s, i) for i, s in enumerate(load_samples(1))]
    with pytest.raises(InvalidInputError, match=words) as caught:
        make_batch(processor, samples, vision_ids=vision_ids)
    assert "(--prompt)" in str(caught.value)
    make_batch(processor, samples, vision_ids=vision_ids, prompt="USER: {image} {question} ASSISTANT:")


def test_a_folder_without_an_adapter_has_nothing_to_merge(folder):
    with pytest.raises(InvalidInputError, match="to merge an adapter"):
        load_model_and_processor(str(folder), merge_adapter=True)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises((MissingExtraError, InvalidInputError), match=r"peft|readable adapter"):
        load_model_and_processor(str(folder), merge_adapter=True)


def test_a_processor_of_another_model_is_one_sentence(folder):
    settings(folder, "processor_config.json", num_additional_image_tokens=0)
    with pytest.raises(UnsupportedModelError, match=r"what its processor makes.*do not match") as caught:
        examine_model(str(folder))
    assert str(caught.value).isprintable()
    model, processor = load_model_and_processor(str(folder))
    samples = load_samples(2)
    with pytest.raises(UnsupportedModelError, match="what its processor makes"):
        harvest(model, samples, processor=processor)
    with pytest.raises(UnsupportedModelError, match="what its processor makes"):
        last_logits(
            model,
            processor(images=[s.image for s in samples], text=["<image> a"] * 2, return_tensors="pt"),
            use_cache=False,
        )


def test_doctor_runs_a_model_once_and_once_under_a_plan(folder):
    (lines,) = examine_model(str(folder)).values()
    text = "\n".join(lines)
    assert "12 layers" in text
    assert "144 of them vision" in text
    assert "one pass under vision_exit(6)" in text
    refit(folder, lambda w: {k: v * float("nan") if "layers.5.mlp.down" in k else v for k, v in w.items()})
    with pytest.raises(InvalidInputError, match="need finite logits"):
        examine_model(str(folder))
