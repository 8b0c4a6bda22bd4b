"""Scores of free-form answers that benchmarks use: VQA soft accuracy and ANLS; exact match is in extraction.data."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from extraction.data.scoring import exact_match
from redundancy.errors import InvalidInputError

__all__ = ["anls", "edit_distance", "exact_match", "normalise_vqa_answer", "vqa_soft_accuracy"]

# Punctuation that the public VQA evaluation removes or turns into a blank.
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_PERIOD = re.compile(r"(?<!\d)\.|\.(?!\d)")
_COMMA = re.compile(r"\d,\d")
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}
_NEGATED = "are could did does do had has have is might must should was were would ca wo need"
_SUBJECTS = "i you he she it we they that there what where who why how"
# Forms that are words of their own without the apostrophe ("were", "its", "ill", "hell") stay as they are.
_CONTRACTIONS = (
    {word + "nt": f"{word}n't" for word in _NEGATED.split()}
    | {
        f"{subject}{end}": f"{subject}'{end}"
        for subject in _SUBJECTS.split()
        for end in ("ve", "re", "d", "ll")
        if f"{subject}{end}" not in {"were", "ill", "hell", "shell", "well", "id", "shed", "wed", "whore", "howd"}
    }
    | {"im": "i'm", "lets": "let's", "thats": "that's", "whats": "what's", "wheres": "where's", "oclock": "o'clock"}
)


def normalise_vqa_answer(text: str) -> str:
    """Lower case; digits for number words; no articles; punctuation and apostrophes as the VQA evaluation has them.

    Examples
    --------
    >>> normalise_vqa_answer("The two dogs."), normalise_vqa_answer("dont"), normalise_vqa_answer("1,000.5")
    ('2 dogs', "don't", '1000.5')
    """
    text = text.replace("\n", " ").replace("\t", " ").strip()
    has_number_comma = _COMMA.search(text) is not None
    for mark in _PUNCTUATION:
        joined = f"{mark} " in text or f" {mark}" in text or has_number_comma
        text = text.replace(mark, "" if joined else " ")
    words = _PERIOD.sub("", text).lower().split()
    words = [_NUMBERS.get(word, word) for word in words]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_soft_accuracy(prediction: str, answers: Sequence[str]) -> float:
    r"""Agreement with several people's answers, in [0, 1].

    .. math:: \frac1n \sum_{i=1}^n \min\Bigl(1, \tfrac13 \#\{j \ne i : a_j = \hat a\}\Bigr)

    Parameters
    ----------
    prediction : str
        The model's answer.
    answers : sequence of str
        One answer per person, usually ten. A single answer is compared with as it is: then 0 or 1.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If there are no answers.

    Notes
    -----
    Both sides pass `normalise_vqa_answer`. The public evaluation normalises punctuation only where people disagree
    and spells out a longer, irregular list of contractions; ours is its regular part, so a rare pair such as
    "couldntve" may differ.

    References
    ----------
    .. [1] Antol et al. (2015), arXiv:1505.00468, section 3; leave-one-out form of Goyal et al. (2017),
           arXiv:1612.00837, and of the public evaluation code (visualqa.org/evaluation).

    Examples
    --------
    >>> vqa_soft_accuracy("yes", ["yes"] * 2 + ["no"] * 8)
    0.6
    """
    if isinstance(answers, str) or not answers:
        raise InvalidInputError(f"need a list of at least one answer, got {answers!r}; give one text per person")
    mine = normalise_vqa_answer(prediction)
    hits = [normalise_vqa_answer(answer) == mine for answer in answers]
    if len(hits) == 1:
        return float(hits[0])
    total = sum(hits)
    return math.fsum(min(1.0, (total - hit) / 3.0) for hit in hits) / len(hits)


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance: fewest insertions, deletions and substitutions of one character.

    Examples
    --------
    >>> edit_distance("kitten", "sitting")
    3
    """
    if len(first) < len(second):
        first, second = second, first
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        last, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def anls(prediction: str, answers: Sequence[str], *, threshold: float = 0.5) -> float:
    r"""Normalised Levenshtein similarity to the nearest answer, in [0, 1]; its mean over questions is ANLS.

    .. math:: \max_j s_j, \quad s_j = 1 - NL_j \text{ if } NL_j < \tau \text{ else } 0, \quad
              NL_j = \frac{d(\hat a, a_j)}{\max(|\hat a|, |a_j|)}

    Parameters
    ----------
    prediction : str
        The model's answer.
    answers : sequence of str
        Accepted answers.
    threshold : float, default=0.5
        tau in (0, 1].

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If there are no answers, or the threshold is outside (0, 1].

    Notes
    -----
    Texts are compared in lower case with blanks collapsed, as in the public evaluation. Two empty texts agree.

    References
    ----------
    .. [1] Biten et al. (2019), arXiv:1905.13648, equation 1.

    Examples
    --------
    >>> anls("Coca Coal", ["coca cola", "pepsi"])
    0.7777777777777778
    """
    if isinstance(answers, str) or not answers:
        raise InvalidInputError(f"need a list of at least one answer, got {answers!r}; give one text per variant")
    if not 0.0 < threshold <= 1.0:
        raise InvalidInputError(f"need a threshold in (0, 1], got {threshold!r}")
    mine = " ".join(prediction.lower().split())
    best = 0.0
    for answer in answers:
        theirs = " ".join(answer.lower().split())
        longest = max(len(mine), len(theirs))
        distance = edit_distance(mine, theirs) / longest if longest else 0.0
        if distance < threshold:
            best = max(best, 1.0 - distance)
    return best
