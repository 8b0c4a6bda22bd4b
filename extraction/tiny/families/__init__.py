"""One tiny random model per family of vision-language models, with real pixel inputs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from extraction.tiny.families import crossed, fixed, grids, mixed
from extraction.tiny.parts import IMAGE, Built, TinyFamily
from extraction.tiny.weights import randomise
from redundancy.errors import InvalidInputError

__all__ = ["TINY_FAMILIES", "TinyFamily", "tiny_family"]

# Each gets the module transformers, whose many classes are not typed.
TINY_FAMILIES: dict[str, Callable[[Any], Built]] = {
    **fixed.FAMILIES,
    **grids.FAMILIES,
    **mixed.FAMILIES,
    **crossed.FAMILIES,
}


def tiny_family(name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> TinyFamily:
    """Tiny random model of a family, four decoder layers of width 32, with three rows of inputs.

    Parameters
    ----------
    name : str
        A key of `TINY_FAMILIES`.
    seed : int
        Decides every weight; the global random state is left alone.
    dtype : torch.dtype
        Of weights and pixels.

    Returns
    -------
    TinyFamily

    Raises
    ------
    InvalidInputError
        For an unknown family.

    Examples
    --------
    >>> family = tiny_family("gemma3")
    >>> family.n_vision, tuple(family.batch()["input_ids"].shape)
    ((4, 8, 4), (3, 17))
    """
    if name not in TINY_FAMILIES:
        raise InvalidInputError(f"need a family among {', '.join(TINY_FAMILIES)}, got {name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, rows, *joins = TINY_FAMILIES[name](import_module("transformers"))
    model.set_attn_implementation("sdpa")
    if dtype == torch.float64:  # for which torch has no grouped product
        model.set_experts_implementation("eager")
    randomise(model, seed).to(dtype).eval()
    n_vision = tuple(0 if name in crossed.FAMILIES else int((row["input_ids"] == IMAGE).sum()) for row in rows)
    rows = [{k: v.to(dtype) if v.is_floating_point() else v for k, v in row.items()} for row in rows]
    return TinyFamily(name, model, tuple(rows), n_vision, joins=joins[0] if joins else {})
