"""Input-dependent plans: a rule that is asked before every layer which tokens it computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from redundancy.checks import check_count, check_real

__all__ = ["LayerInput", "Router", "StillVisionExit"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LayerInput:
    """What a router sees before a layer runs, and a term that chooses tokens.

    Attributes
    ----------
    layer, n_layers : int
        The layer about to run, counted from 0, and how many there are.
    states : Tensor of shape (batch, chunk, d)
        Every token's state before the layer; a token that was absent so far still has its older one.
    vision, valid, last : BoolTensor of shape (batch, chunk)
        Vision tokens; tokens that are not padding; the last valid token of each row.
    is_prompt : bool
        Whether the chunk is (a part of) a prompt; False for new tokens after it.
    present : BoolTensor of shape (batch, chunk)
        Tokens that the plan leaves in the layer.
    attention : Tensor of shape (batch, chunk), optional
        Attention of the last prompt token on every token in the layer, for terms that look at it.
    memory : dict
        Lives as long as the forward, for whatever a router or a term wants to remember between layers.
    """

    layer: int
    n_layers: int
    states: torch.Tensor
    vision: torch.Tensor
    valid: torch.Tensor
    last: torch.Tensor
    is_prompt: bool
    present: torch.Tensor
    attention: torch.Tensor | None = None
    memory: dict[Any, Any] = field(default_factory=dict)


class Router(Protocol):
    """Anything that maps a `LayerInput` to a BoolTensor (batch, chunk), True where the layer computes; None is all.

    A token left out of one layer keeps its state and leaves no key and value there. What a router remembers between
    layers belongs into `LayerInput.memory`, since several threads may ask it at once. A cache belongs to the router
    that filled it. One that judges a whole prompt says so by an attribute ``knows``, as terms do
    (`extraction.skip.terms.Term`): it is then never asked about parts of one.
    """

    def __call__(self, view: LayerInput, /) -> torch.Tensor | None:
        """Tokens that the layer computes."""
        ...


class StillVisionExit:
    """Vision tokens of an image leave once they have come to rest, each image at a depth of its own.

    An image leaves before layer i >= `earliest` when the mean cosine distance of its vision tokens between the
    inputs of the two layers before, i-1 and i, is below `threshold`. Small distances do not make this safe: measure
    it (`extraction.skip.sweep`) and choose the threshold under risk control like any other plan.

    Parameters
    ----------
    threshold : float
        In [0, 2].
    earliest : int, default=1
        First layer that an image may miss, at least 1.

    Attributes
    ----------
    depths : list of int
        Exit depth of each row of the latest prompt; n_layers where the image stayed.

    Notes
    -----
    Rows of a batch that leave earlier than others are filled up with dummies, so time is saved only where all
    rows have left: run such a rule at batch size 1, or sort by depth.

    Examples
    --------
    >>> from extraction.skip import Plan, apply
    >>> from extraction.tiny import tiny_batch, tiny_llava
    >>> model, rule = tiny_llava(n_layers=4), StillVisionExit(2.0, earliest=3)
    >>> with apply(model, Plan(), router=rule):
    ...     _ = model(**tiny_batch(model, 2, 5))
    >>> rule.depths
    [3, 3]
    """

    knows = "whole"  # as of `extraction.skip.terms.Term`: a part of an image may rest before the whole does

    def __init__(self, threshold: float, *, earliest: int = 1) -> None:
        self.threshold = check_real(threshold, "threshold", lower=0.0, upper=2.0)
        self.earliest = check_count(earliest, "earliest", lower=1)
        self.depths: list[int] = []

    def __repr__(self) -> str:
        return f"StillVisionExit({self.threshold!r}, earliest={self.earliest})"

    def __call__(self, view: LayerInput, /) -> torch.Tensor | None:
        """Keep all but the vision tokens of images at rest."""
        if not view.is_prompt:
            return None
        batch, device = len(view.vision), view.vision.device
        gone, depth, before = view.memory.get(self) or (
            torch.zeros(batch, dtype=torch.bool, device=device),
            torch.full((batch,), view.n_layers, device=device),
            None,
        )
        if before is not None and view.layer >= self.earliest:
            cosine = torch.cosine_similarity(before.float(), view.states.float(), dim=-1)
            mean = ((1.0 - cosine) * view.vision).sum(dim=1) / view.vision.sum(dim=1)
            # A row without an image has nothing that could leave: 0/0 compares false.
            leaves = ~gone & (mean < self.threshold)
            depth = torch.where(leaves, view.layer, depth)
            gone = gone | leaves
        view.memory[self] = (gone, depth, view.states)
        if view.layer == view.n_layers - 1:
            self.depths = depth.tolist()
        return ~(view.vision & gone[:, None])
