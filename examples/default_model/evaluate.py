"""Measure the default model on its held-out questions with plain transformers, and write its card.

    python examples/default_model/evaluate.py --log runs/default_model/log.jsonl

Writes MODEL_CARD.md and card.json beside the weights. Nothing of the skipping engine is used here.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from tqdm.auto import tqdm

from extraction.default_model import PATH, HeldOutSample, load_model, load_processor, load_samples
from extraction.default_model.scenes import GENERATOR_VERSION


@torch.no_grad()
def answers(model: Any, processor: Any, samples: list[HeldOutSample], images: list[Image] | None) -> list[str]:
    """The model's answer to every question; `images=None` leaves the image out of the prompt."""
    words = processor.tokenizer.convert_ids_to_tokens(range(len(processor.tokenizer)))
    found: list[str] = []
    for start in tqdm(range(0, len(samples), 32), leave=False, disable=None):
        chunk = samples[start : start + 32]
        if images is None:
            text = [f"USER: {s.question} ASSISTANT:" for s in chunk]
            inputs = processor.tokenizer(text, padding=True, return_tensors="pt", return_token_type_ids=False)
        else:
            text = [f"USER: <image> {s.question} ASSISTANT:" for s in chunk]
            inputs = processor(text=text, images=images[start : start + 32], padding=True, return_tensors="pt")
        logits = model(**inputs).logits[:, -1]
        found += [words[i] for i in logits.argmax(-1).tolist()]
    return found


def accuracy_by_family(samples: list[HeldOutSample], guesses: list[str]) -> dict[str, float]:
    right: dict[str, list[bool]] = defaultdict(list)
    for sample, guess in zip(samples, guesses, strict=True):
        right[sample.family].append(guess == sample.answer)
        right["overall"].append(guess == sample.answer)
    return {family: float(np.mean(hits)) for family, hits in right.items()}


def majority_prior(samples: list[HeldOutSample]) -> dict[str, float]:
    """Accuracy of the best constant answer per family: an upper bound for a reader of the family alone."""
    by_family: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        by_family[sample.family][sample.answer] += 1
    prior = {f: c.most_common(1)[0][1] / c.total() for f, c in by_family.items()}
    return {**prior, "overall": sum(c.most_common(1)[0][1] for c in by_family.values()) / len(samples)}


def training_record(logs: list[Path]) -> dict[str, Any]:
    """What the training logs tell, in the order of the runs: seed, and steps and minutes of each stage."""
    stages: list[dict[str, Any]] = []
    for log in logs:
        header, *entries = (json.loads(line) for line in log.read_text().splitlines())
        last = {entry["stage"]: entry for entry in entries}
        for stage, entry in last.items():
            first = header["arguments"]["first_step"] if stage == "instruct" else 0
            minutes = round(entry["seconds"] / 60, 1)
            stages.append({"stage": stage, "first_step": first, "last_step": entry["step"], "minutes": minutes})
    return {
        "seed": header["arguments"]["seed"],
        "parameters": header["parameters"],
        "stages": stages,
        "minutes": round(sum(s["minutes"] for s in stages), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, nargs="+", required=True, help="log.jsonl of each training run, in order")
    args = parser.parse_args()
    model, processor, samples = load_model(), load_processor(), load_samples()
    images = [s.image for s in samples]
    # A fixed rotation is a permutation without fixed points: every question sees another's image, and as
    # families take turns, a shift that is no multiple of their number pairs different families.
    shuffled = images[17:] + images[:17]
    table = {
        "held-out": accuracy_by_family(samples, answers(model, processor, samples, images)),
        "image shuffled": accuracy_by_family(samples, answers(model, processor, samples, shuffled)),
        "image removed": accuracy_by_family(samples, answers(model, processor, samples, None)),
        "majority answer of the family": majority_prior(samples),
    }
    config = model.config
    card = {
        "accuracy": table,
        "n_questions": len(samples),
        "generator_version": GENERATOR_VERSION,
        "vision_tokens": config.image_seq_length,
        "decoder_layers": config.text_config.num_hidden_layers,
        "weights_bytes": (PATH / "model.safetensors").stat().st_size,
        "training": training_record(args.log),
    }
    (PATH / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    (PATH / "MODEL_CARD.md").write_text(render(card))
    print(render(card))


def render(card: dict[str, Any]) -> str:
    training, table = card["training"], card["accuracy"]
    stages = ", then ".join(
        f"{s['stage']} steps {s['first_step']} to {s['last_step']} ({s['minutes']} min)" for s in training["stages"]
    )
    families = [f for f in table["held-out"] if f != "overall"]
    rows = [
        "| condition | overall | " + " | ".join(families) + " |",
        "|---" * (len(families) + 2) + "|",
        *(
            f"| {name} | {100 * row['overall']:.1f} | " + " | ".join(f"{100 * row[f]:.0f}" for f in families) + " |"
            for name, row in table.items()
        ),
    ]
    return f"""# The default model

A small vision-language model in the LLaVA architecture (transformers `LlavaForConditionalGeneration`): CLIP
vision tower (4 layers), two-layer projector, Llama decoder of {card["decoder_layers"]} layers, width 128,
{training["parameters"] / 1e6:.2f} million parameters, {card["weights_bytes"] / 1e6:.2f} MB in float16.
An image gives {card["vision_tokens"]} vision tokens. Its purpose is to show Skip-It at work on a genuinely
trained model without a network; it is of no other use.

## Accuracy on {card["n_questions"]} held-out questions (percent)

{chr(10).join(rows)}

Every question has an image of its own, with handwritten digits that no training image contains. *Image
shuffled* gives each question the image of another; *image removed* leaves it out of the prompt. Measured
with plain transformers in float32 by `examples/default_model/evaluate.py`.

## Training

`examples/default_model/train.py`, seed {training["seed"]}, scene generator version {card["generator_version"]},
on freshly generated scenes: {stages}. In all {training["minutes"]} minutes on 2 CPU cores that other work shared.
Where a later run starts above the last step of the one before, it resumes the schedule further on its decay.
Ordinary training: all tokens are in all layers at every step, nothing is aware of skipping.

## Data

Scenes of coloured shapes and handwritten digits (see `scenes.py`, `questions.py`). The digits are from the UCI
"Optical Recognition of Handwritten Digits" data set (Alpaydin and Kaynak, CC BY 4.0) through scikit-learn, and are
not shipped. The question set is written by `examples/default_model/make_questions.py`.
"""


if __name__ == "__main__":
    main()
