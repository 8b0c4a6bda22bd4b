"""The first batch, run once more: does the harvest see what the model itself reports, and where do states centre."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from extraction.data.pictures import reason
from extraction.harvesting.tokens import TokenGroups
from extraction.harvesting.watch import watch_layers
from redundancy.errors import SkipItError, UnsupportedModelError

if TYPE_CHECKING:
    from extraction.harvesting.harvester import Harvester

__all__ = ["check_first_batch", "fitting", "pilot_shift"]

# Two passes over one batch differ by the order of sums at most (none on a CPU, atomics on a GPU).
_TOLERANCE = 1e-2


@contextmanager
def fitting(model: Any) -> Iterator[None]:
    """Turn what a model raises on inputs that its own processor made, as on too many image tokens, into one sentence.

    Yields
    ------
    None

    Raises
    ------
    UnsupportedModelError
        With the model's own words; what a device raises is let through.
    """
    try:
        yield
    except SkipItError:
        raise
    except (ValueError, LookupError, TypeError) as error:
        raise UnsupportedModelError(
            f"need a model that takes what its processor makes, {type(model).__name__} gives: {reason(error)}; give "
            "the processor's files that belong to this model"
        ) from error


def check_first_batch(harvester: Harvester, batch: Mapping[str, Any]) -> None:
    """Compare the layers as seen by hooks with the model's own ``output_hidden_states``.

    Checked: the reported state of every depth is the next layer's input or, where the adapter says that states
    change between layers (Qwen3-VL's deepstack, Idefics' cross-attention blocks), the output of the layer before;
    the last output becomes the last reported state (through the final norm, if any); there are vision tokens if the
    batch has pixels, and they are as many as the model's image features.

    Parameters
    ----------
    harvester : Harvester
        With its model and adapter.
    batch : mapping
        Model inputs, shape (rows, tokens).

    Raises
    ------
    UnsupportedModelError
        With what disagrees.
    """
    adapter, model_type = harvester.adapter, harvester.adapter.model_type
    tokens = harvester.groups(batch)
    with torch.inference_mode():
        with fitting(harvester.model):
            output = harvester.call({**harvester.model_inputs(batch), "output_hidden_states": True})
        reported = getattr(output, "hidden_states", None)
        if reported is None:  # BLIP-2 keeps the decoder's own report apart
            reported = getattr(getattr(output, "language_model_outputs", None), "hidden_states", None)
        if not isinstance(reported, (tuple, list)) or len(reported) != adapter.n_layers + 1:
            n = len(reported) if isinstance(reported, (tuple, list)) else 0
            raise UnsupportedModelError(
                f"need {adapter.n_layers + 1} hidden states of the {model_type} model to check its adapter, it reports "
                f"{n}; pass layers_path, or self_check=False if you know the layers are right"
            )
        _check_vision(tokens, batch, output, model_type, has_ids=bool(adapter.vision_ids))
        wrong: list[int] = []
        came_out: dict[int, bool] = {}

        def compare(layer: int, x: torch.Tensor, y: torch.Tensor) -> None:
            if not (_agree(x, reported[layer - 1], tokens) or came_out.get(layer - 1, False)):
                wrong.append(layer - 1)
            came_out[layer] = adapter.changes_between and _agree(y, reported[layer], tokens)
            if layer == adapter.n_layers:
                last = [y] if adapter.final_norm is None else [adapter.final_norm(y), y]
                if not any(_agree(state, reported[layer], tokens) for state in last):
                    wrong.append(layer)

        with watch_layers(adapter, compare):
            harvester.call(harvester.model_inputs(batch))
    if wrong:
        raise UnsupportedModelError(
            f"need the states at {adapter.layers_path!r} to be those that the {model_type} model reports, they differ "
            f"at depths {sorted(wrong)}; pass layers_path, or self_check=False if its reports are known to be odd"
        )


def pilot_shift(harvester: Harvester, batch: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """Mean state of every base group and depth over a batch, shape (groups, L+1, d); 0 for an absent group.

    Parameters
    ----------
    harvester : Harvester
        With its model and adapter.
    batch : mapping
        Model inputs, shape (rows, tokens).

    Returns
    -------
    ndarray of float32, shape (groups, L+1, d)
    """
    tokens = harvester.groups(batch)
    n_slots = len(harvester.spec.groups) + 1
    means: list[torch.Tensor] = []

    def mean(states: torch.Tensor) -> None:
        flat = states.reshape(-1, states.shape[-1])
        groups = tokens.groups.to(flat.device).reshape(-1)
        finite = flat.isfinite().all(dim=-1)
        sums = torch.zeros(n_slots, flat.shape[-1], dtype=torch.float64, device=flat.device)
        sums.index_add_(0, groups, torch.where(finite[:, None], flat, 0).double())
        counts = torch.zeros(n_slots, dtype=torch.float64, device=flat.device).index_add_(0, groups, finite.double())
        means.append((sums / counts.clamp(min=1)[:, None])[:-1])

    def on_pair(layer: int, x: torch.Tensor, y: torch.Tensor) -> None:
        if layer == 1:
            mean(x)
        mean(y)

    with (
        torch.inference_mode(),
        watch_layers(harvester.adapter, on_pair, pairing=harvester.spec.pairing),
    ):
        harvester.call(harvester.model_inputs(batch, full_logits=False))
    table: npt.NDArray[np.float32] = np.stack([m.cpu().numpy() for m in means], axis=1).astype(np.float32)
    return table


def _check_vision(
    tokens: TokenGroups, batch: Mapping[str, Any], output: Any, model_type: str, *, has_ids: bool
) -> None:
    n_vision = int(tokens.vision.sum())
    has_pixels = any(name.startswith("pixel_values") for name in batch)
    features = getattr(output, "image_hidden_states", None)
    if torch.is_tensor(features):
        features = [features]
    if isinstance(features, (tuple, list)) and features and all(torch.is_tensor(f) for f in features):
        n_features = sum(f.numel() // f.shape[-1] for f in features)
        if n_vision not in (0, n_features):
            raise UnsupportedModelError(
                f"need one vision token per image feature, the {model_type} model has {n_features} features and "
                f"{n_vision} vision tokens; pass vision_ids or a vision_mask"
            )
    if has_pixels and n_vision == 0 and has_ids:
        raise UnsupportedModelError(
            f"need vision tokens in a batch with pixels, the {model_type} model shows none by its placeholder ids; "
            "pass vision_ids or a vision_mask"
        )


def _agree(seen: torch.Tensor, reported: torch.Tensor, tokens: TokenGroups) -> bool:
    """Whether states of valid tokens are equal up to rounding."""
    if seen.shape != reported.shape:
        return False
    valid = tokens.valid.to(seen.device)
    a, b = seen[valid].float(), reported.to(seen.device)[valid].float()
    finite = b[b.isfinite()]  # states that overflowed are the harvest's to count, and must not widen the tolerance
    scale = float(finite.abs().mean()) if len(finite) else 0.0
    return bool(torch.isclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True).all())
