"""The embedded default model: a small trained LLaVA with its held-out questions, loaded without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extraction.default_model.scenes import Scene, render
from redundancy.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NAME", "PATH", "HeldOutSample", "load_model", "load_processor", "load_samples"]

NAME = "skip-it-default"
PATH = Path(__file__).parent / "weights"
QUESTIONS = Path(__file__).parent / "questions.jsonl"


@dataclass(frozen=True)
class HeldOutSample:
    """One held-out question about one scene that no other question shares.

    Parameters
    ----------
    sample_id : str
        Unique.
    family : str
        Kind of question.
    question : str
        With its possible answers.
    answer : str
        One token.
    scene : Scene
        What the image shows.
    """

    sample_id: str
    family: str
    question: str
    answer: str
    scene: Scene

    @cached_property
    def image(self) -> Image:
        """The rendered scene, 96 x 96 RGB."""
        from PIL import Image

        return Image.fromarray(render(self.scene))


def load_model(*, dtype: Any = None, attn_implementation: str | None = None) -> Any:
    """Return the model in eval mode.

    Parameters
    ----------
    dtype : torch.dtype or str, optional
        Float32 by default; the weights are stored as float16.
    attn_implementation : str, optional
        As transformers names it; its own choice by default.

    Returns
    -------
    LlavaForConditionalGeneration
        3.3 million parameters, on the CPU.
    """
    import torch
    from transformers import LlavaForConditionalGeneration

    model: Any = LlavaForConditionalGeneration.from_pretrained(
        PATH, local_files_only=True, dtype=dtype or torch.float32, attn_implementation=attn_implementation
    )
    return model.eval()


def load_processor() -> Any:
    """Return its processor: a 63-word tokenizer and the PIL image processor (no torchvision).

    Returns
    -------
    LlavaProcessor
        Works offline.
    """
    from transformers import LlavaProcessor

    return LlavaProcessor.from_pretrained(PATH, local_files_only=True)


def load_samples(n: int | None = None) -> list[HeldOutSample]:
    """Return the first `n` held-out samples (all by default); families take turns, one image each.

    Parameters
    ----------
    n : int, optional
        How many.

    Returns
    -------
    list of HeldOutSample
        In a fixed order.

    Raises
    ------
    InvalidInputError
        If more samples are asked for than are shipped.
    """
    rows = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    if n is not None and not 1 <= n <= len(rows):
        raise InvalidInputError(f"need 1..{len(rows)} questions, the shipped held-out set has no more, got {n}")
    return [
        HeldOutSample(
            sample_id=row["id"],
            family=row["family"],
            question=row["question"],
            answer=row["answer"],
            scene=Scene.from_dict(row["scene"]),
        )
        for row in rows[:n]
    ]
