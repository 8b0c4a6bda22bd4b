"""Is the answer right: single-token answers by the logits of the last prompt position, texts by exact match."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

import torch

from extraction.harvesting.tokens import last_valid
from redundancy.errors import InvalidInputError

__all__ = ["answer_token_ids", "exact_match", "last_prompt_logits", "normalise_answer", "predict_answers"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def last_prompt_logits(logits: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
    """Logits (B, S, N) at the last valid position of each row, shape (B, N), under either padding."""
    if attention_mask is None:
        return logits[:, -1]
    if attention_mask.shape != logits.shape[:2]:
        raise InvalidInputError(
            f"need logits of all positions {tuple(attention_mask.shape)}, got {tuple(logits.shape[:2])}; "
            "run the model without logits_to_keep"
        )
    position = last_valid(attention_mask.bool())
    return logits[torch.arange(len(logits), device=logits.device), position]


def answer_token_ids(tokenizer: Any, answers: Sequence[str], *, prefix: str = "") -> torch.Tensor:
    """Token id of each single-token answer as it follows a prompt that ends in `prefix`, shape (n,).

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    answers : sequence of str
    prefix : str
        Last word of the prompt, such as "ASSISTANT:", for tokenizers that write a word differently after
        another than at the start of a text.

    Raises
    ------
    InvalidInputError
        If an answer takes more than one token, or is unknown to the vocabulary.
    """
    start = tokenizer(prefix, add_special_tokens=False)["input_ids"] if prefix else []
    ids = []
    for answer in answers:
        text = f"{prefix} {answer}" if prefix else answer
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        own = tokens[len(start) :]
        if tokens[: len(start)] != start or len(own) != 1 or own[0] == tokenizer.unk_token_id:
            raise InvalidInputError(
                f"need answers of one known token, {answer!r} gives {own}; score it by exact_match of generated text"
            )
        ids.append(own[0])
    return torch.tensor(ids)


def predict_answers(logits: torch.Tensor, candidates: torch.Tensor | None = None) -> torch.Tensor:
    """Token id of the highest logit of each row of (B, N), among `candidates` (C,) if given; ties: the first."""
    if candidates is None:
        return logits.argmax(dim=-1)
    candidates = candidates.to(logits.device)
    return candidates[logits[:, candidates].argmax(dim=-1)]


def normalise_answer(text: str) -> str:
    """Lower case, without punctuation, articles and surplus blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> bool:
    """Whether both texts agree after `normalise_answer`.

    Articles are kept where nothing else would be left, so that option "A" is no empty answer.

    Parameters
    ----------
    prediction, answer : str
        Any texts.

    Returns
    -------
    bool

    Examples
    --------
    >>> exact_match("The cat.", "cat"), exact_match("A", "B"), exact_match("A.", "a")
    (True, False, True)
    """
    pairs = [
        (normalise_answer(text), " ".join(text.lower().translate(_PUNCTUATION).split()))
        for text in (prediction, answer)
    ]
    (mine, mine_full), (theirs, theirs_full) = pairs
    return mine == theirs if mine and theirs else mine_full == theirs_full
