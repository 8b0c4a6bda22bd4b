"""Token ids of tiny models, and weights under which no mistake can hide."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["BOS_ID", "EOS_ID", "FIRST_WORD_ID", "IMAGE_ID", "PAD_ID", "randomise"]

PAD_ID, BOS_ID, EOS_ID, IMAGE_ID, FIRST_WORD_ID = 0, 1, 2, 3, 4


def randomise(model: Any, seed: int) -> Any:
    """Redraw every weight in place so that no layer is near the identity and no norm weight is 1.

    With norm weights of 1, a state after the final norm looks like one before it, and mistakes stay hidden.

    Parameters
    ----------
    model : PreTrainedModel
        Changed in place.
    seed : int
        Decides every weight; the global random state is left alone.

    Returns
    -------
    PreTrainedModel
        The same object.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=rng)
            if "norm" in name:
                fresh = 1 + 0.3 * noise if name.endswith("weight") else 0.1 * noise
            elif weight.dim() < 2 or "position" in name:
                fresh = 0.1 * noise
            elif "embed" in name:
                fresh = noise
            else:
                fresh = noise * weight[0].numel() ** -0.5
            weight.copy_(fresh)
    return model
