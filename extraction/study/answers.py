"""What a model answers: its most likely first token, or its whole greedy answer; and that it is an answer at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from extraction.models.selfcheck import fitting
from extraction.study.evaluation import Answer
from redundancy.errors import InvalidInputError

__all__ = ["NO_ANSWER", "first_tokens", "greedy_answers", "refuse_unfinite"]

NO_ANSWER = -1  # no token: the plan's logits are not finite


def first_tokens(logits: torch.Tensor, candidates: Sequence[int] | None = None) -> tuple[int, ...]:
    """Most likely token of each row of (batch, vocabulary or candidates); `NO_ANSWER` where a logit is not finite."""
    best = logits.argmax(dim=-1).tolist()
    tokens = best if candidates is None else [int(candidates[i]) for i in best]
    return tuple(t if ok else NO_ANSWER for t, ok in zip(tokens, _finite(logits).tolist(), strict=True))


def refuse_unfinite(tokens: Sequence[Answer], sample_ids: Sequence[str]) -> None:
    """Raise if the unmodified model gives some sample no finite logits: then it has no answer that could change.

    Raises
    ------
    InvalidInputError
        Naming the first such sample.
    """
    for token, name in zip(tokens, sample_ids, strict=True):
        if token == NO_ANSWER or token == (NO_ANSWER,):
            raise InvalidInputError(
                f"need finite logits of the unmodified model, those of sample {name!r} are NaN or infinite; load it in "
                "float32 or bfloat16, or mend its weights"
            )


def greedy_answers(model: Any, inputs: dict[str, Any], length: int) -> tuple[tuple[int, ...], ...]:
    """Greedy answers of at most `length` tokens, the end token included and what follows it cut off.

    Parameters
    ----------
    model : PreTrainedModel
        Perhaps under a plan.
    inputs : dict
        Model inputs, padded on the left.
    length : int
        Tokens at most.

    Returns
    -------
    tuple of tuple of int
        One per row; (`NO_ANSWER`,) where some logit on the way was not finite.

    Raises
    ------
    InvalidInputError
        If a prompt is padded on the right, where generation would go on behind the padding.
    """
    mask = inputs.get("attention_mask")
    if mask is not None and not bool(mask[:, -1].all()):
        raise InvalidInputError("need prompts padded on the left to generate answers, got padding behind a prompt")
    with fitting(model):
        found = model.generate(
            **inputs,
            max_new_tokens=length,
            do_sample=False,
            num_beams=1,
            return_dict_in_generate=True,
            output_logits=True,
        )
    steps = found.logits
    tokens = found.sequences[:, -len(steps) :]
    ends = _end_tokens(model)
    answers = []
    for row, own in enumerate(tokens.tolist()):
        last = next((k for k, token in enumerate(own) if token in ends), len(own) - 1)
        finite = all(bool(_finite(steps[k][row])) for k in range(last + 1))
        answers.append(tuple(own[: last + 1]) if finite else (NO_ANSWER,))
    return tuple(answers)


def _finite(logits: torch.Tensor) -> torch.Tensor:
    return torch.isfinite(logits).all(dim=-1)


def _end_tokens(model: Any) -> frozenset[int]:
    ends = getattr(model.generation_config, "eos_token_id", None)
    if ends is None:
        return frozenset()
    return frozenset(int(e) for e in (ends if isinstance(ends, (list, tuple)) else [ends]))
