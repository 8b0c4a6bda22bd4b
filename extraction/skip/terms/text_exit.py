"""`text_exit`: from a layer on, the prompt is computed at its last token only (state drop)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from extraction.skip.plan import Plan
from extraction.skip.terms.base import Cut, Term, check_depth
from redundancy.checks import check_count

if TYPE_CHECKING:
    import torch

    from extraction.skip.engine.chunk import Chunk

__all__ = ["TextExit", "text_exit"]


@dataclass(frozen=True, slots=True)
class _LastOfPrompt(Cut):
    """Of the prompt only its last token is left; what is generated after it stays whole."""

    is_of_vision = False

    def count(self, n_vision: int, n_text: int) -> tuple[int, int]:
        """One token."""
        return 0, 1

    def present(self, chunk: Chunk) -> torch.Tensor | None:
        """The last prompt token, if it is in this chunk, and all that follow it."""
        return chunk.from_last_prompt_token


@dataclass(frozen=True, slots=True)
class TextExit(Term):
    """From `layer` on the prompt is computed at its last token alone, so later tokens see no other of it there.

    Parameters
    ----------
    layer : int
        First layer that computes the last prompt token alone, counted from 0.
    """

    name = "text_exit"
    form = "text_exit(30)"
    rank = 20
    knows = "end"

    layer: int

    def __post_init__(self) -> None:
        check_count(self.layer, self.name)

    def check(self, n_layers: int) -> None:
        """The depth exists."""
        check_depth(self, self.layer, n_layers)

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """The last prompt token from the exit on."""
        return _LastOfPrompt() if layer >= self.layer else None


def text_exit(layer: int) -> Plan:
    """From `layer` on, the prompt is computed at its last token only (state drop).

    Parameters
    ----------
    layer : int
        From 0.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((TextExit(layer),))
