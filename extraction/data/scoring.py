"""Is an answer right, and how right: tokens after the very prompt, texts by exact match, ten gold answers softly."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from extraction.harvesting.tokens import last_valid
from redundancy.errors import InvalidInputError

__all__ = [
    "SOFT_FROM",
    "Scorer",
    "answer_token_ids",
    "continuation_ids",
    "exact_match",
    "last_prompt_logits",
    "normalise_answer",
    "soft_score",
]

SOFT_FROM = 10  # gold answers from which their number counts, as VQA's ten

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


def continuation_ids(tokenizer: Any, prompt: str, answer: str) -> list[int]:
    """Tokens of an answer as they follow the very prompt that the model sees.

    Many tokenizers write a word after a blank as another token than at the start of a text. A prompt that ends in a
    blank, a line break or a special token is followed by the answer itself, any other by a blank and the answer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    prompt : str
        Whole text of the prompt; "" for an answer that stands alone.
    answer : str

    Returns
    -------
    list of int
    """
    special = getattr(tokenizer, "all_special_tokens", ())
    is_apart = not prompt or prompt[-1].isspace() or any(prompt.endswith(token) for token in special if token)
    start = _ids(tokenizer, prompt)
    whole = _ids(tokenizer, f"{prompt}{'' if is_apart else ' '}{answer}")
    # Where the end of the prompt and the answer merge into one token, the model still sees the prompt as it is.
    return whole[len(start) :] if whole[: len(start)] == start else _ids(tokenizer, answer)


def answer_token_ids(tokenizer: Any, answers: Sequence[str], *, prompts: Sequence[str] | None = None) -> torch.Tensor:
    """Token id of each single-token answer as it follows its prompt, shape (n,).

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    answers : sequence of str
    prompts : sequence of str, optional
        Text of the prompt of each answer; none by default.

    Raises
    ------
    InvalidInputError
        If an answer takes more than one token, or is unknown to the vocabulary.
    """
    ids = []
    for prompt, answer in zip(prompts or [""] * len(answers), answers, strict=True):
        own = continuation_ids(tokenizer, prompt, answer)
        if len(own) != 1 or own[0] == tokenizer.unk_token_id:
            raise InvalidInputError(
                f"need answers of one known token, {answer!r} gives {own}; score it by exact_match of generated text"
            )
        ids.append(own[0])
    return torch.tensor(ids)


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores of answers against the gold answers of some samples: a function from one answer per sample to scores.

    An answer is a token, or a tuple of tokens. It is right if its tokens are those of a gold answer after the prompt,
    or of one after a blank or at the start of a text, or if its text agrees by `exact_match`; so no habit of a
    tokenizer makes right answers wrong.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
    prompts : tuple of str
        Text of the prompt of each sample.
    answers : tuple of tuple of str
        Gold answers of each sample; none where no answer is known, whose score is None.
    """

    tokenizer: Any
    prompts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]

    @property
    def is_soft(self) -> bool:
        """Whether scores may be fractions: some sample has `SOFT_FROM` gold answers or more."""
        return any(len(golds) >= SOFT_FROM for golds in self.answers)

    def __call__(self, tokens: Sequence[int | tuple[int, ...]]) -> list[float | None]:
        """Scores in [0, 1] of one answer per sample; None where no gold answer is known."""
        rows = zip(tokens, self.prompts, self.answers, strict=True)
        return [self._score(answer, prompt, golds) for answer, prompt, golds in rows]

    def _score(self, answer: int | tuple[int, ...], prompt: str, golds: tuple[str, ...]) -> float | None:
        if not golds:
            return None
        end = self.tokenizer.eos_token_id
        own = [t for t in (answer if isinstance(answer, tuple) else (answer,)) if t != end]
        if any(t < 0 for t in own):  # no answer: its logits are not finite
            return 0.0
        text = self.tokenizer.decode(own, skip_special_tokens=True)
        is_known = self.tokenizer.unk_token_id not in own  # two unknown words are not one answer
        n_equal = sum(exact_match(text, gold) or (is_known and own in self._spellings(prompt, gold)) for gold in golds)
        return soft_score(n_equal, len(golds))

    def _spellings(self, prompt: str, gold: str) -> tuple[list[int], ...]:
        after = continuation_ids(self.tokenizer, prompt, gold)
        return after, _ids(self.tokenizer, gold), _ids(self.tokenizer, f" {gold}")


def soft_score(n_equal: int, n_answers: int) -> float:
    """Score of an answer that `n_equal` of `n_answers` gold answers agree with.

    With at least `SOFT_FROM`, as VQA has, the mean over all ways to leave one out of min(1, equal / 3); with fewer they
    are a set, of which each is right.

    Examples
    --------
    >>> soft_score(1, 1), soft_score(1, 3), soft_score(0, 10), round(soft_score(2, 10), 2), soft_score(4, 10)
    (1.0, 1.0, 0.0, 0.6, 1.0)

    References
    ----------
    VQA v2 evaluation, https://visualqa.org/evaluation.html
    """
    if n_answers < SOFT_FROM:
        return float(n_equal > 0)
    with_one_less = n_equal * min(1.0, (n_equal - 1) / 3) + (n_answers - n_equal) * min(1.0, n_equal / 3)
    return with_one_less / n_answers


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


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
