"""What the YAML task calls: the data set of a folder, and the images of a question."""

from pathlib import Path
from typing import Any

__all__ = ["images", "load"]


def load(folder: str, **_: Any) -> Any:
    """Read questions.jsonl of `folder`, given as ``metadata={"folder": ...}``; images become whole paths."""
    from datasets import Dataset, DatasetDict

    from extraction.data import read_jsonl

    rows = [
        {
            "id": s.sample_id,
            "image": str(Path(s.image).resolve()),
            "question": s.question,
            "answer": s.answer,
            "family": s.family,
        }
        for s in read_jsonl(Path(folder) / "questions.jsonl")
    ]
    return DatasetDict({"test": Dataset.from_list(rows)})


def images(doc: dict[str, Any]) -> list[Any]:
    """The one image of a question, from disk."""
    from PIL import Image

    with Image.open(doc["image"]) as image:
        return [image.convert("RGB")]
