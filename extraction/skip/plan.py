"""Skipping plans: which tokens each decoder layer computes, as small frozen values that compose.

Layers are numbered 0..n-1 by position, a depth d lies after d layers. Absent tokens keep their state:
``h[i+1][absent] = h[i][absent]``, and a layer stores keys and values only for its present tokens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

from extraction.skip.terms.base import LAYER, Cut, Term
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError
from redundancy.files.reading import parse_json, reading

__all__ = ["GRAMMAR", "IDENTITY", "Plan", "Presence"]

GRAMMAR = 2  # version of the text that `str` of a plan writes; 1 was the field-by-field tree of release 0.1.0
IDENTITY = "identity"

# The cuts at work in one layer, in the order in which they began; layers with equal presence compute equal tokens.
Presence = tuple[Cut, ...]
_T = TypeVar("_T", bound=Term)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to leave out of a decoder's computation: a tuple of terms. The default is the unmodified model.

    Build plans from the functions of `extraction.skip.terms` and join them with ``+``, or read them with
    `extraction.skip.parse_plan`. ``str(plan)`` is the one text of a plan, and what files store.

    Parameters
    ----------
    terms : iterable of Term, default=()
        Brought to normal form: one term per name (two are joined), in the order of their ranks, without those that
        change no model. Plans with equal terms are equal.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or terms contradict each other.

    Examples
    --------
    >>> from extraction.skip import late_entry, parse_plan, vision_exit
    >>> plan = late_entry(4) + vision_exit(24)
    >>> str(plan)
    'late_entry(4) + vision_exit(24)'
    >>> parse_plan(str(plan)) == plan
    True
    >>> plan.vision_layers(32)
    range(4, 24)
    """

    terms: tuple[Term, ...] = ()

    def __post_init__(self) -> None:
        joined: dict[str, Term] = {}
        for term in self.terms:
            if not isinstance(term, Term):
                raise InvalidInputError(f"need terms in a plan, got {term!r}; read a text with parse_plan")
            joined[term.name] = joined[term.name].join(term) if term.name in joined else term
        kept = sorted((t for t in joined.values() if not t.is_nothing), key=lambda t: (t.rank, t.name))
        object.__setattr__(self, "terms", tuple(kept))
        for term in kept:
            term.check_beside(self)

    def __add__(self, other: object) -> Plan:
        """Both plans at once; refused where they disagree."""
        return Plan((*self.terms, *other.terms)) if isinstance(other, Plan) else NotImplemented

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms)) or IDENTITY

    def __repr__(self) -> str:
        return f"Plan({self})"

    def to_json(self) -> str:
        """The text and the version of its grammar: how files of results hold a plan."""
        return json.dumps({"plan": str(self), "grammar": GRAMMAR})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Inverse of `to_json`; of later grammars, which a later release reads, it raises StoreError."""
        from extraction.skip.terms import parse_plan

        with reading("a plan"):
            body = parse_json(text, "the text", "a plan")
            return parse_plan(body["plan"], grammar=body["grammar"])

    def term(self, kind: type[_T]) -> _T | None:
        """The term of this kind, if the plan has one."""
        return next((term for term in self.terms if isinstance(term, kind)), None)

    def without(self, kind: type[Term]) -> Plan:
        """The plan without its term of this kind."""
        return Plan(tuple(term for term in self.terms if not isinstance(term, kind)))

    def check(self, n_layers: int) -> Plan:
        """Return the plan if a decoder of `n_layers` layers can run it.

        Raises
        ------
        InvalidInputError
            If the plan names a layer that the decoder has not.
        """
        check_count(n_layers, "n_layers", lower=1)
        for term in self.terms:
            term.check(n_layers)
        return self

    def is_identity(self, n_layers: int) -> bool:
        """Whether the plan leaves a decoder of `n_layers` layers as it is."""
        return self.check(n_layers).n_untouched(n_layers) == n_layers and not self.has_own_prompt

    @property
    def has_own_prompt(self) -> bool:
        """Whether prompts must be made for the plan, with smaller images: see `extraction.skip.plan_batch`."""
        return self.image_share != 1.0

    @property
    def image_share(self) -> float:
        """Share of the vision tokens that the plan's own images bring; 1 without such."""
        return math.prod(term.image_share for term in self.terms)

    def n_untouched(self, n_layers: int) -> int:
        """How many of the first layers run as in the unmodified model, on the same states."""
        if self.has_own_prompt:
            return 0
        return next((i for i in range(n_layers) if self._changes(i, n_layers)), n_layers)

    def _changes(self, layer: int, n_layers: int) -> bool:
        return any(
            t.cut(layer, n_layers) is not None or t.left_out(layer) or t.hides(layer) or t.looks(layer)
            for t in self.terms
        )

    def presence(self, layer: int, n_layers: int) -> Presence:
        """Cuts that say which tokens `layer` computes; empty if it computes all."""
        starts: dict[Cut, int] = {}
        for term in self.terms:
            cut = term.cut(layer, n_layers)
            if cut is not None:
                start = next(i for i in range(layer + 1) if term.cut(i, n_layers) == cut)
                starts[cut] = min(start, starts.get(cut, start))
        return tuple(sorted(starts, key=starts.__getitem__))

    def vision_layers(self, n_layers: int) -> range:
        """Layers in which some vision tokens take part, from the first to the last, layer skips aside."""
        seen = [i for i in range(n_layers) if _count(self.presence(i, n_layers), 1 << 20, 1)[0]]
        return range(seen[0], seen[-1] + 1) if seen else range(0)

    def left_out(self, layer: int) -> frozenset[str]:
        """Parts of `layer` that do not run: see `extraction.skip.terms.base`."""
        return reduce(frozenset.union, (term.left_out(layer) for term in self.terms), frozenset[str]())

    def hides(self, layer: int) -> bool:
        """Whether text queries of `layer` do not see its vision keys."""
        return any(term.hides(layer) for term in self.terms)

    def count(self, layer: int, n_layers: int, n_vision: int, n_text: int) -> int:
        """Tokens of one prompt that `layer` computes; 0 if it is left out."""
        if LAYER in self.left_out(layer):
            return 0
        return sum(_count(self.presence(layer, n_layers), self.n_given(n_vision), n_text))

    def n_given(self, n_vision: int) -> int:
        """Vision tokens in the plan's prompt, of `n_vision` in the common one."""
        for term in self.terms:
            n_vision = term.n_given(n_vision)
        return n_vision


def _count(cuts: Iterable[Cut], n_vision: int, n_text: int) -> tuple[int, int]:
    for cut in cuts:
        if not cut.is_frozen:
            n_vision, n_text = cut.count(n_vision, n_text)
    return n_vision, n_text
