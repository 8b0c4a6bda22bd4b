"""Sweeps: one kind of plan at every layer, as the paper's figures 10 to 12 and tables 1 and 2 have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from extraction.skip.plan import Plan
from extraction.skip.terms import (
    LateEntry,
    SkipLayers,
    TextExit,
    VisionExit,
    late_entry,
    logit_exit,
    text_exit,
    vision_exit,
)
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["SWEEPS", "depth_in_sweep", "sweep_plans"]

_MAKERS: dict[str, Callable[[int, int], Plan]] = {
    "late_entry": lambda layer, n: late_entry(layer) if layer else Plan(),
    "vision_exit": lambda layer, n: vision_exit(layer) if layer < n else Plan(),
    # The paper's early exit stops vision and text tokens and does not say how: these are the two readings of it.
    "text_exit": lambda layer, n: vision_exit(layer) + text_exit(layer) if layer < n else Plan(),
    "logit_exit": lambda layer, n: logit_exit(layer, n_layers=n) if layer < n else Plan(),
}
SWEEPS = (*_MAKERS, "both")


def sweep_plans(name: str, n_layers: int, layers: Iterable[int] | None = None) -> list[Plan]:
    """Plans of a sweep, by layer; the unmodified model among them, at layer 0 of late entry and at n of an exit.

    Parameters
    ----------
    name : {"late_entry", "vision_exit", "text_exit", "logit_exit", "both"}
        "text_exit": from the layer on only the last token of the prompt is computed. "logit_exit": the model stops
        after so many layers. "both": late entry and vision exit.
    n_layers : int
        Decoder layers.
    layers : iterable of int, optional
        Among 0..n_layers; all by default.

    Returns
    -------
    list of Plan
        In the order of the layers.

    Raises
    ------
    InvalidInputError
        For an unknown name, or a layer outside 0..n_layers.

    Examples
    --------
    >>> sweep_plans("late_entry", 12, [0, 4])
    [Plan(identity), Plan(late_entry(4))]
    """
    check_count(n_layers, "n_layers", lower=1)
    if name not in SWEEPS:
        raise InvalidInputError(f"need a sweep among {SWEEPS}, got {name!r}")
    depths = range(n_layers + 1) if layers is None else sorted({check_count(d, "each layer") for d in layers})
    beyond = [d for d in depths if d > n_layers]
    if beyond:
        raise InvalidInputError(f"need layers in 0..{n_layers} for a decoder of {n_layers} layers, got {beyond}")
    names = ("late_entry", "vision_exit") if name == "both" else (name,)
    return list(dict.fromkeys(_MAKERS[part](depth, n_layers) for part in names for depth in depths))


def depth_in_sweep(plan: Plan, n_layers: int) -> list[tuple[str, int]]:
    """The sweeps that a plan is a point of, each with its layer; the unmodified model is one of all of them."""
    if plan == Plan():
        return [(name, 0 if name == "late_entry" else n_layers) for name in _MAKERS]
    for name, depth in (
        *((term.name, term.layer) for term in plan.terms if isinstance(term, (LateEntry, VisionExit, TextExit))),
        *(("logit_exit", min(term.numbers)) for term in plan.terms if isinstance(term, SkipLayers)),
    ):
        if depth <= n_layers and _MAKERS[name](depth, n_layers) == plan:
            return [(name, depth)]
    return []
