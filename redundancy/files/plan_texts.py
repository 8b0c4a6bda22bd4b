"""What a stored plan says, for those who only show it: its text, also where release 0.1.0 stored a tree of fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from redundancy.errors import StoreError

__all__ = ["plan_depth", "plan_text"]

_SCHEMA = "skip-it/plan/1"
_DEPTHS = ("late_entry", "vision_exit", "text_exit")
_SETS = ("skip_layers", "skip_attention", "skip_mlp", "hide_vision")
_FIELDS = {*_DEPTHS, *_SETS, "fastv", "keep_vision", "seed", "image_share"}


def plan_text(stored: Any) -> str:
    """Text of a stored plan: itself, or what ``str(plan)`` wrote in release 0.1.0 for its tree of fields.

    Raises
    ------
    StoreError
        If it is neither a text nor a tree of that release.
    """
    if isinstance(stored, str):
        return stored
    if not isinstance(stored, Mapping) or stored.get("schema") != _SCHEMA:
        got = stored.get("schema") if isinstance(stored, Mapping) else type(stored).__name__
        raise StoreError(f"need a plan's text, or one of schema {_SCHEMA}, got {got!r}")
    if set(stored) - {"schema"} != _FIELDS:
        raise StoreError(f"need a plan with the fields {sorted(_FIELDS)}, got {sorted(set(stored) - {'schema'})}")
    try:
        terms = [f"{name}({stored[name]})" for name in _DEPTHS if stored[name] is not None]
        terms = [term for term in terms if term != "late_entry(0)"]
        terms += [f"{name}({_ranges(stored[name])})" for name in _SETS if stored[name]]
        if stored["fastv"] is not None:
            layer, drop = stored["fastv"]
            terms.append(f"fastv({layer}, {drop!r})")
    except (TypeError, ValueError) as error:
        raise StoreError(f"need a plan of schema {_SCHEMA}, one of its fields does not fit: {error}") from None
    if stored["keep_vision"] is not None:
        terms.append(f"random_keep({stored['keep_vision']!r}, seed={stored['seed']})")
    if stored["image_share"] is not None:
        terms.append(f"downsample_image({stored['image_share']!r})")
    return " + ".join(terms) or "identity"


def plan_depth(text: str, term: str) -> int | None:
    """Layer of a plan's term of that name, as 4 of ``late_entry(4) + vision_exit(9)``; None without the term."""
    match = re.search(rf"\b{term}\((\d+)\)", text)
    return int(match[1]) if match else None


def _ranges(layers: Sequence[int]) -> str:
    """Layers as ``3, 7-9``."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
