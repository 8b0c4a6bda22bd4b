"""The embedded model: it is what its card says, and its questions are true of their images."""

import json
import subprocess
import sys

import numpy as np
import pytest

from extraction.default_model import NAME, PATH, load_model, load_processor, load_samples
from extraction.default_model.questions import FAMILIES, VOCABULARY
from extraction.default_model.scenes import COLORS, COLUMNS, ROWS, SHAPES, Scene, render
from redundancy.errors import InvalidInputError


@pytest.fixture(scope="module")
def samples():
    return load_samples()


def read_answer(scene, text):
    """Answer a question by reading its words; shares nothing with the generator's code."""
    words = text.replace("?", "").split()
    objects = [(o.kind, o.color, o.digit, *divmod(o.cell, 3)) for o in scene.objects]
    singular = {"circles": "circle", "squares": "square", "triangles": "triangle", "crosses": "cross"}

    def called(kind=None, color=None):
        return [o for o in objects if kind in (None, o[0]) and color in (None, o[1])]

    def at_place():
        row, column = ROWS.index(words[-2]), COLUMNS.index(words[-1])
        return [o for o in objects if o[3:] == (row, column)]

    def lone(found):
        (only,) = found
        return only

    if words[-1] in COLUMNS:
        found = at_place()
        if words[1] == "color":
            return lone(found)[1]
        if words[1] == "digit":
            return str(lone(found)[2])
        return lone(found)[0] if found else "nothing"
    if words[:2] == ["is", "there"]:
        return "yes" if called(words[4], words[3]) else "no"
    if words[0] == "how":
        what = words[2]
        return str(len(called(kind=singular[what]) if what in singular else called(color=what)))
    if words[0] == "is":
        relation = next(w for w in words if w in ("left-of", "right-of", "above", "below"))
        left, right = (
            lone(called(color=p[1]) if "object" in p else called(kind=p[1]))
            for p in (words[1 : words.index(relation)], words[words.index(relation) + 1 :])
        )
        axis = 4 if relation in ("left-of", "right-of") else 3
        return "yes" if (left[axis] < right[axis]) == (relation in ("left-of", "above")) else "no"
    options = dict(zip(words[-8::2], words[-7::2], strict=True)) if words[-2] == "D" else None
    head = words[:-8] if options else words
    if head[:2] == ["what", "color"]:
        answer = lone(called(kind=head[4]))[1]
    elif head[-1] == "digit":
        digits = called("digit", head[3] if head[3] in COLORS else None)
        answer = str(lone(digits)[2])
    else:
        answer = lone(called(color=next(w for w in head if w in COLORS)))[0]
    return next(k for k, v in options.items() if v == answer) if options else answer


def test_every_answer_is_true_of_its_scene(samples):
    assert {s.family for s in samples} == set(FAMILIES)
    for sample in samples:
        assert read_answer(sample.scene, sample.question) == sample.answer, sample


def test_questions_use_known_words_and_images_of_their_own(samples):
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert all(w in VOCABULARY for s in samples for w in (*s.question.split(), s.answer))
    assert len({s.scene for s in samples}) == len(samples) >= 500
    assert len({s.sample_id for s in samples}) == len(samples)


def test_render_is_deterministic_and_draws_what_it_says(samples):
    scene = samples[0].scene
    assert np.array_equal(render(scene), render(Scene.from_dict(json.loads(json.dumps(scene.to_dict())))))
    for sample in samples[:40]:
        image = render(sample.scene).astype(float)
        for item in sample.scene.objects:
            if item.kind in SHAPES:  # the centre of each shape is filled with its colour
                row = item.row * 32 + 16 + item.shift[0]
                column = item.column * 32 + 16 + item.shift[1]
                assert np.abs(image[row, column] - np.add(COLORS[item.color], item.tint)).max() <= 30


def test_weights_fit_and_card_is_measured():
    card = json.loads((PATH / "card.json").read_text())
    weights = PATH / "model.safetensors"
    assert weights.stat().st_size == card["weights_bytes"] <= 8_000_000
    overall = {k: v["overall"] for k, v in card["accuracy"].items()}
    assert overall["held-out"] >= 0.90
    assert max(overall["image shuffled"], overall["image removed"]) <= overall["held-out"] - 0.35
    assert card["vision_tokens"] >= 100
    assert (PATH / "MODEL_CARD.md").read_text().count(f"{100 * overall['held-out']:.1f}") >= 1


def test_model_answers_as_the_card_says(samples):
    """On a tenth of the questions, with plain transformers; 4 standard errors around the card's figure."""
    import torch

    model, processor = load_model(), load_processor()
    chunk = samples[:112]
    text = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": s.question}]}],
            add_generation_prompt=True,
        )
        for s in chunk
    ]

    def accuracy(images):
        inputs = processor(text=text, images=images, padding=True, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            guesses = model(**inputs).logits[:, -1].argmax(-1).tolist()
        return np.mean([VOCABULARY[g] == s.answer for g, s in zip(guesses, chunk, strict=True)])

    images = [s.image for s in chunk]
    claimed = json.loads((PATH / "card.json").read_text())["accuracy"]["held-out"]["overall"]
    assert abs(accuracy(images) - claimed) <= 4 * np.sqrt(claimed * (1 - claimed) / len(chunk))
    assert accuracy(images[17:] + images[:17]) <= claimed - 0.35


def test_weights_have_the_names_that_every_reader_knows_and_the_template_writes_its_bos(samples):
    """vLLM reads CLIP's classic names only, and adds no special tokens to a chat."""
    from safetensors import safe_open

    from extraction.data import as_sample, make_batch

    with safe_open(PATH / "model.safetensors", "pt") as file:
        vision = [name for name in file.keys() if name.startswith("vision_tower.")]  # noqa: SIM118
    assert vision
    assert all(name.startswith("vision_tower.vision_model.") for name in vision)
    processor = load_processor()
    ids = make_batch(processor, [as_sample(samples[0], 0)])["input_ids"][0].tolist()
    assert ids.count(processor.tokenizer.bos_token_id) == 1
    assert ids[0] == processor.tokenizer.bos_token_id
    chat = [{"role": "user", "content": [{"type": "text", "text": "what ?"}]}]
    assert processor.apply_chat_template(chat, add_generation_prompt=True).startswith(processor.tokenizer.bos_token)


def test_too_many_questions_is_one_sentence(samples):
    with pytest.raises(InvalidInputError, match=f"need 1..{len(samples)} questions"):
        load_samples(len(samples) + 1)


def test_loads_without_torchvision_or_network():
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise OSError('the network was asked for')\n"
        "socket.socket.connect = refuse\n"
        "sys.modules['torchvision'] = None\n"
        "from extraction.default_model import load_model, load_processor\n"
        "load_processor(); print(type(load_model()).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "LlavaForConditionalGeneration"
    assert NAME == "skip-it-default"
