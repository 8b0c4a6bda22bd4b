"""What a plan's prefill holds in memory: the bytes of its cache beside those predicted, and the peak on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tqdm.auto import tqdm

from extraction.models.adapters import adapt
from extraction.skip.cost.prediction import DecoderShape, tokens_per_layer
from extraction.skip.engine.patch import apply
from extraction.skip.engine.support import cache_of
from extraction.skip.plan import Plan
from extraction.skip.terms.base import ATTENTION
from extraction.study.validate import Batch, last_logits, model_inputs, own_inputs
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular

__all__ = ["MemoryUse", "held_bytes", "measure_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse(Tabular):
    """Bytes after the prefill of one batch under one plan, beside the unmodified model's and the predicted ones.

    Parameters
    ----------
    plan : Plan
        What was run.
    kv_bytes, plain_kv_bytes : int
        Sum over the key and value tensors that the cache holds.
    predicted_kv_bytes, predicted_plain_kv_bytes : int
        The same from shapes: every layer as wide as the longest row in it.
    least_kv_bytes : int
        What the tokens of all rows need that are neither padding nor dummies: `kv_bytes` of rows of one length.
    position_bytes : int
        What the engine keeps beside keys and values: a position per entry.
    peak_bytes, plain_peak_bytes : int or None
        Peak of allocated device memory during the prefill above what was allocated before it; None except on CUDA,
        the only device whose allocator counts.
    """

    plan: Plan
    kv_bytes: int
    plain_kv_bytes: int
    predicted_kv_bytes: int
    predicted_plain_kv_bytes: int
    least_kv_bytes: int
    position_bytes: int
    peak_bytes: int | None
    plain_peak_bytes: int | None

    @property
    def kv_share(self) -> float:
        """Measured bytes of the plan's cache over those of the unmodified model."""
        return self.kv_bytes / self.plain_kv_bytes

    @property
    def predicted_kv_share(self) -> float:
        """The same, predicted for this batch."""
        return self.predicted_kv_bytes / self.predicted_plain_kv_bytes

    def to_record(self) -> dict[str, Any]:
        """One flat row."""
        return {
            "plan": str(self.plan),
            "kv_bytes": self.kv_bytes,
            "predicted_kv_bytes": self.predicted_kv_bytes,
            "least_kv_bytes": self.least_kv_bytes,
            "plain_kv_bytes": self.plain_kv_bytes,
            "measured_kv_share": self.kv_share,
            "predicted_kv_share": self.predicted_kv_share,
            "position_bytes": self.position_bytes,
            "peak_bytes": self.peak_bytes,
            "plain_peak_bytes": self.plain_peak_bytes,
        }


def measure_memory(
    model: Any, batch: Batch, plans: Sequence[Plan], *, progress: bool | None = None
) -> tuple[MemoryUse, ...]:
    """Prefill one batch under each plan, and add up what the cache then holds.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode; keys and values are counted in the type that it computes them in.
    batch : dict or callable
        As in `sweep`; rows may differ in length.
    plans : sequence of Plan
        What to measure.
    progress : bool, optional
        Show a bar; by default on terminals only.

    Returns
    -------
    tuple of MemoryUse
        In the order of `plans`.

    Raises
    ------
    InvalidInputError
        If the batch cannot be used.
    """
    if model.training:
        raise InvalidInputError("need a model in eval mode to measure it: call model.eval()")
    adapter = adapt(model)
    shape = DecoderShape.of(model.config)
    ids = torch.tensor(adapter.vision_ids)
    common = model_inputs(model, batch(Plan()) if callable(batch) else batch)
    measured = []
    disable = None if progress is None else not progress
    with torch.inference_mode():
        for plan in tqdm([Plan(), *plans], desc="memory", unit="plan", disable=disable):
            own = own_inputs(model, batch, plan)
            held, positions, peak = _prefill(model, common if own is None else own, plan)
            predicted, least = _predicted(shape, plan, common, ids, held[1])
            measured.append((held[0], predicted, least, positions, peak))
    plain = measured[0]
    return tuple(
        MemoryUse(
            plan=plan,
            kv_bytes=kv,
            plain_kv_bytes=plain[0],
            predicted_kv_bytes=predicted,
            predicted_plain_kv_bytes=plain[1],
            least_kv_bytes=least,
            position_bytes=positions,
            peak_bytes=peak,
            plain_peak_bytes=plain[4],
        )
        for plan, (kv, predicted, least, positions, peak) in zip(plans, measured[1:], strict=True)
    )


def held_bytes(cache: Any) -> int:
    """Bytes of the keys and values that a cache holds."""
    return sum(t.numel() * t.element_size() for t in _tensors(cache))


def _tensors(cache: Any) -> list[torch.Tensor]:
    layers = [layer for layer in cache.layers if getattr(layer, "keys", None) is not None]
    return [t for layer in layers for t in (layer.keys, layer.values)]


def _prefill(model: Any, inputs: dict[str, Any], plan: Plan) -> tuple[tuple[int, int], int, int | None]:
    """(bytes of keys and values, bytes of one number), bytes of positions, peak above the start."""
    on_cuda = model.device.type == "cuda"
    kept: list[Any] = []
    hook = model.get_decoder().register_forward_hook(
        lambda module, args, output: kept.append(cache_of(output))  # the head's output may not have it
    )
    try:
        with apply(model, plan):
            if on_cuda:
                torch.cuda.synchronize(model.device)
                torch.cuda.reset_peak_memory_stats(model.device)
                before = torch.cuda.memory_allocated(model.device)
            last_logits(model, inputs, use_cache=True)
            peak = torch.cuda.max_memory_allocated(model.device) - before if on_cuda else None
    finally:
        hook.remove()
    cache = kept[-1]
    marks = [getattr(layer, name, None) for layer in cache.layers for name in ("positions", "vision")]
    positions = sum(t.numel() * t.element_size() for t in marks if torch.is_tensor(t))
    tensors = _tensors(cache)
    item = tensors[0].element_size() if tensors else torch.empty((), dtype=model.dtype).element_size()
    return (held_bytes(cache), item), positions, peak


def _predicted(
    shape: DecoderShape, plan: Plan, inputs: dict[str, Any], vision_ids: torch.Tensor, item: int
) -> tuple[int, int]:
    """Bytes of a rectangle per layer, as wide as its longest row, and of the tokens alone."""
    tokens, mask = inputs["input_ids"].cpu(), inputs.get("attention_mask")
    valid = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask.cpu().bool()
    is_vision = torch.isin(tokens, vision_ids)
    counts = list(zip((is_vision & valid).sum(1).tolist(), (~is_vision & valid).sum(1).tolist(), strict=True))
    rows = [tokens_per_layer(plan, shape.n_layers, *row) for row in counts]
    stored = [i for i in range(shape.n_layers) if ATTENTION not in plan.left_out(i)]
    wide = len(rows) * sum(max(row[i] for row in rows) for i in stored)
    least = sum(row[i] for row in rows for i in stored)
    per_token = 2 * shape.kv_width * item
    return per_token * wide, per_token * least
