"""What the Visual7W task calls, and the conversion of the official file to lines that it reads.

python visual7w_functions.py dataset_v7w_telling.json IMAGES visual7w/test.jsonl
"""

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

__all__ = ["convert", "images", "letter", "question"]

LETTERS = "ABCD"


def images(doc: dict[str, Any]) -> list[Any]:
    """The one image of a question."""
    from PIL import Image

    with Image.open(doc["image"]) as image:
        return [image.convert("RGB")]


def question(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """Question and lettered choices, as the paper asks for one letter."""
    del lmms_eval_specific_kwargs  # the harness passes it; this prompt has no variants
    choices = "\n".join(f"{name}. {text}" for name, text in zip(LETTERS, doc["choices"], strict=True))
    return f"{doc['question']}\n{choices}\nAnswer with the option's letter from the given choices directly."


def letter(doc: dict[str, Any]) -> str:
    """Letter of the right choice."""
    return LETTERS[doc["choices"].index(doc["answer"])]


def convert(official: dict[str, Any], folder: Path, split: str = "test") -> list[dict[str, Any]]:
    """Lines of the official telling set; the place of the right choice is drawn from the question's id.

    A question without four different choices is refused, not dropped.
    """
    lines = []
    for image in official["images"]:
        if image["split"] != split:
            continue
        for pair in image["qa_pairs"]:
            choices = [pair["answer"], *pair["multiple_choices"]]
            if len(set(choices)) != len(LETTERS):
                raise ValueError(f"need {len(LETTERS)} different choices, question {pair['qa_id']} has {choices}")
            seed = hashlib.sha256(str(pair["qa_id"]).encode()).hexdigest()
            random.Random(seed).shuffle(choices)
            lines.append(
                {
                    "image": str((folder / image["filename"]).resolve()),
                    "question": pair["question"],
                    "choices": choices,
                    "answer": pair["answer"],
                }
            )
    return lines


if __name__ == "__main__":
    source, image_folder, target = map(Path, sys.argv[1:4])
    rows = convert(json.loads(source.read_text()), image_folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows))
