"""What the skip engine must satisfy on every family, per plan, against transformers with masked attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from extraction.skip import Plan, apply, fastv, late_entry, skip_layers, vision_exit
from extraction.skip.terms import LateEntry, VisionExit
from extraction.tiny.invariants import decoder_layers
from extraction.tiny.parts import END, IMAGE, START, VIDEO, TinyFamily
from redundancy.errors import SkipItError

__all__ = ["PLANS", "check_plan", "masked_logits"]

PLANS = (late_entry(2), vision_exit(2), late_entry(1) + vision_exit(3), fastv(2, 0.5), skip_layers(2))
# In float64; rotary tables and some norms stay float32 in transformers, whose own padded rows are off by 3e-5.
_TOLERANCE = 1e-4
_GENERATE = {"do_sample": False, "max_new_tokens": 4, "suppress_tokens": [0, 1, 2, START, IMAGE, END, VIDEO]}


def check_plan(family: TinyFamily, plan: Plan) -> str:
    """Verdict on one plan: "yes", or what does not hold.

    Parameters
    ----------
    family : TinyFamily
        In float64, so that an error is no rounding.
    plan : Plan
        A plan for four layers.

    Returns
    -------
    str
        "yes": rows of a padded batch equal each alone, cached generation equals uncached, and late entry and vision
        exit equal the masked model. "prefill": the same for one forward pass, but generation is refused. "refused":
        the engine declines with a sentence.
        "NO: ...": something is wrong.
    """
    model, batch = family.model, family.batch()
    valid = batch["attention_mask"].bool()
    with torch.no_grad():
        try:
            with apply(model, plan):
                logits = model(**batch).logits
                for i in range(len(family.rows)):
                    alone = model(**family.single(i)).logits[0]
                    if not _close(logits[i, -len(alone) :], alone):
                        return "NO: a padded row differs from the row alone"
        except SkipItError:
            return "refused"
        is_masking = all(isinstance(term, (LateEntry, VisionExit)) for term in plan.terms)
        if is_masking and not _close(logits[valid], masked_logits(family, plan)[valid]):
            return "NO: differs from the masked model"
        try:
            with apply(model, plan):
                runs = [model.generate(**batch, use_cache=use, **_GENERATE) for use in (True, False)]
        except SkipItError:
            return "prefill"
    return "yes" if all(torch.equal(run, runs[0]) for run in runs) else "NO: cached generation differs from uncached"


def masked_logits(family: TinyFamily, plan: Plan) -> torch.Tensor:
    """Logits of the stock model at full length: absent tokens hidden from each layer's keys, their states kept."""
    batch = family.batch()
    vision = (batch["input_ids"] == IMAGE) & batch["attention_mask"].bool()
    layers = decoder_layers(family.model)
    present = plan.vision_layers(len(layers))
    with _masked(layers, [torch.zeros_like(vision) if i in present else vision for i in range(len(layers))]):
        logits: torch.Tensor = family.model(**batch, use_cache=False).logits
    return logits


@contextmanager
def _masked(layers: list[Any], absent: list[torch.Tensor]) -> Iterator[None]:
    """Let each layer ignore its absent tokens."""

    def patched(layer: Any, gone: torch.Tensor) -> Any:
        stock = layer.forward
        return _short(stock, gone) if not hasattr(layer, "self_attn") else _hidden(stock, gone)

    for layer, gone in zip(layers, absent, strict=True):
        layer.forward = patched(layer, gone)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _hidden(stock: Any, gone: torch.Tensor) -> Any:
    """Softmax attention: the keys of absent tokens are masked."""

    def forward(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        mask, length = kwargs.get("attention_mask"), hidden_states.shape[1]
        if mask is None:
            mask = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
        hidden = gone[:, None, None, :] & ~torch.eye(length, dtype=torch.bool)
        kwargs["attention_mask"] = (
            mask & ~hidden if mask.dtype == torch.bool else mask.masked_fill(hidden, torch.finfo(mask.dtype).min)
        )
        output = stock(hidden_states, *args, **kwargs)
        return torch.where(gone[..., None], hidden_states, output if torch.is_tensor(output) else output[0])

    return forward


def _short(stock: Any, gone: torch.Tensor) -> Any:
    """A state that runs along the sequence: each row is fed its present tokens alone, without padding."""

    def forward(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        mask = kwargs.pop("attention_mask", None)
        fed = ~gone if mask is None else ~gone & mask.bool()
        output = hidden_states.clone()
        for row, here in enumerate(fed):
            output[row, here] = stock(hidden_states[row : row + 1, here], *args, attention_mask=None, **kwargs)[0]
        return output

    return forward


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and float((a - b).abs().max()) <= _TOLERANCE
