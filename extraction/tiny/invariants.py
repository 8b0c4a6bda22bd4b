"""What a harvest must satisfy on every family, each measured against transformers itself and plain fp64 numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AttentionInterface

from extraction.harvesting.stream import harvest
from extraction.models.adapters import adapt
from extraction.tiny.parts import TinyFamily
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["INVARIANTS", "Invariant", "decoder_layers"]

# The model's own float32 rounding moves with the layout of a batch: up to 1.1e-5 of a figure for Gemma 4.
_ROUNDING = 2e-5
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Invariant:
    """One property of a harvest.

    Attributes
    ----------
    name, meaning : str
        Heading of a column, and what it says.
    tolerance : float
        Largest error at which it holds; 0 for exact equality.
    measure : callable
        From a `TinyFamily` to the error; infinite where even the shape is wrong.
    """

    name: str
    meaning: str
    tolerance: float
    measure: Callable[[TinyFamily], float]

    def holds(self, family: TinyFamily) -> bool:
        """Whether the error is within the tolerance."""
        return self.measure(family) <= self.tolerance


def decoder_layers(model: Any) -> list[Any]:
    """Decoder layers by the names of their classes, a way that no adapter goes."""
    return [module for module in model.modules() if type(module).__name__.endswith("DecoderLayer")]


def _run(family: TinyFamily, batches: list[dict[str, Any]], **options: Any) -> HarvestStatistics:
    return harvest(family.model, batches, progress=False, shift=None, **options)


def _dump(family: TinyFamily, batch: dict[str, torch.Tensor]) -> tuple[Array, Array]:
    """Inputs and outputs of all decoder layers, each (L, B, S, d) in fp64, by plain hooks."""
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def hook(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        x = args[0] if args else kwargs["hidden_states"]
        y = output if torch.is_tensor(output) else output[0]
        pairs.append((x.double().clone(), y.double().clone()))

    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer in decoder_layers(family.model)]
    with torch.inference_mode():
        family.model(**batch)
    for handle in handles:
        handle.remove()
    return torch.stack([x for x, _ in pairs]).numpy(), torch.stack([y for _, y in pairs]).numpy()


def _relative(got: Array, expected: Array) -> float:
    """Largest relative difference; infinite if shapes or places of NaN differ."""
    if got.shape != expected.shape or (np.isnan(got) != np.isnan(expected)).any():
        return float("inf")
    scale = np.maximum(np.abs(expected), 1e-3)
    return float(np.nanmax(np.abs(got - expected) / scale, initial=0.0))


def _absolute(got: Array, expected: Array) -> float:
    """Largest difference; infinite if shapes or places of NaN differ."""
    if got.shape != expected.shape or (np.isnan(got) != np.isnan(expected)).any():
        return float("inf")
    return float(np.nanmax(np.abs(got - expected)))


def _distances(family: TinyFamily) -> float:
    batch = family.batch()
    return _distance_error(family, batch, _run(family, [batch]), *_dump(family, batch))


def _reported(family: TinyFamily) -> float:
    """Pairing "hf" against the model's own report."""
    batch = family.batch()
    with torch.inference_mode():
        output = family.model(**batch, output_hidden_states=True)
    output = output if output.get("hidden_states") is not None else output.language_model_outputs
    states = torch.stack(list(output.hidden_states)).double().numpy()
    return _distance_error(family, batch, _run(family, [batch], pairing="hf"), states[:-1], states[1:])


def _distance_error(family: TinyFamily, batch: dict[str, Any], stats: HarvestStatistics, x: Array, y: Array) -> float:
    rho = 1 - (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    valid, ids = batch["attention_mask"].numpy().astype(bool), batch["input_ids"].numpy()
    vision = valid & (ids == family.image_id) & (sum(family.n_vision) > 0)
    worst = 0.0
    for group, inside in (("vision", vision), ("text", valid & ~vision)):
        sums = np.where(inside, rho, 0).sum(-1).T
        worst = max(worst, _relative(stats.distance_sums(group), sums))
        mean = rho[:, inside].mean(-1) if inside.any() else np.full(len(rho), np.nan)
        worst = max(worst, _relative(stats.mean_distance(group), mean))
    return worst


def _attention(family: TinyFamily) -> float:
    batch = family.batch()
    stats = _run(family, [batch])
    if not sum(family.n_vision):
        undefined = (stats.answer_var(), stats.text_var_mean(), stats.text_var_max())
        return 0.0 if all(np.isnan(table).all() for table in undefined) else float("inf")
    family.model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            output = family.model(**batch, output_attentions=True)
    finally:
        family.model.set_attn_implementation("sdpa")
    if "attentions" not in output:
        output = output.language_model_outputs
    # Linear attention and convolutions report none: their layers stay undefined.
    layers = decoder_layers(family.model)
    with_softmax = [i for i, layer in enumerate(layers) if hasattr(layer, "self_attn")]
    found = torch.stack(output.attentions).double().numpy()
    shares = np.full((len(layers), *found.shape[1:]), np.nan)  # (L, B, H, S, S)
    shares[with_softmax] = found
    valid = batch["attention_mask"].numpy().astype(bool)
    vision = (batch["input_ids"].numpy() == family.image_id) & valid
    mass = (shares * vision[None, :, None, None]).sum(-1)  # (L, B, H, S)
    text = (valid & ~vision)[None, :, None]
    got = (stats.answer_var(), stats.text_var_mean(), stats.text_var_max())
    expected = (
        mass[..., -1],  # left padding: the last position is the last of the prompt
        np.where(text, mass, 0 * mass).sum(-1) / text.sum(-1),
        np.where(text, mass, 0 * mass).max(-1),
    )
    return max(_absolute(g, np.moveaxis(e, 0, 1)) for g, e in zip(got, expected, strict=True))


def _logits(family: TinyFamily) -> float:
    batch = family.batch()
    seen: list[torch.Tensor] = []
    with torch.inference_mode():
        before = family.model(**batch).logits
        _run(family, [batch], on_batch=lambda _, output: seen.append(output.logits))
        after = family.model(**batch).logits
    return 0.0 if torch.equal(before, seen[0]) and torch.equal(before, after) else float("inf")


def _per_sample(stats: HarvestStatistics) -> Array:
    """All per-sample figures, one row per sample."""
    tables = [stats.distance_sums(g) for g in ("vision", "words", "sink")]
    tables += [stats.entry_sums("text"), stats.exit_sums("text"), stats.answer_var().reshape(stats.n_samples, -1)]
    return np.concatenate(tables, axis=1)


def _padding(family: TinyFamily) -> float:
    n = len(family.rows)
    alone = HarvestStatistics.merge_all(
        [_run(family, [{**family.single(i), "sample_ids": [f"{i:08d}"]}]) for i in range(n)]
    )
    worst = 0.0
    for side in ("left", "right"):
        together = _run(family, [family.batch(side)])
        for group in ("vision", "words", "sink"):
            if (together.token_counts(group) != alone.token_counts(group)).any():
                return float("inf")
        worst = max(worst, _relative(_per_sample(together), _per_sample(alone)))
    return worst


def _order(family: TinyFamily) -> float:
    indices = list(range(len(family.rows)))
    names = [f"{i:08d}" for i in indices]
    forward = _run(family, [{**family.batch(), "sample_ids": names}])
    backward = _run(family, [{**family.batch(indices=indices[::-1]), "sample_ids": names[::-1]}])
    a, b = (np.argsort(stats.sample_ids) for stats in (forward, backward))
    return _relative(_per_sample(forward)[a], _per_sample(backward)[b])


def _vision(family: TinyFamily) -> float:
    """Tokens on whose state at depth 0 the image has a say, against those that the adapter calls vision."""
    if not sum(family.n_vision):
        return float(_run(family, [family.batch()]).token_counts("vision").sum())
    newlines = [weight for name, weight in family.model.named_parameters() if name.endswith("image_newline")]
    worst = 0
    for i in range(len(family.rows)):
        batch = family.single(i)
        counted = int(_run(family, [batch]).token_counts("vision")[0])
        first = _dump(family, batch)[0][0]
        # A learned end of a row of patches is part of the image, but not of its pixels.
        with torch.no_grad():
            for weight in newlines:
                weight.neg_()
            seen = "pixel_values" if "pixel_values" in batch else "pixel_values_videos"
            second = _dump(family, {**batch, seen: -batch[seen]})[0][0]
            for weight in newlines:
                weight.neg_()
        moved = int((first != second).any(-1).sum())
        worst = max(worst, abs(moved - counted), abs(counted - family.n_vision[i]))
    return float(worst)


def _mass(family: TinyFamily) -> float:
    batch = family.batch()
    everything = {**batch, "vision_mask": batch["attention_mask"].bool()}
    mass = _run(family, [everything], self_check=False).answer_var()
    if np.isnan(mass).all():
        return float("inf")
    return float(np.nanmax(np.abs(mass - 1)))


def _restored(family: TinyFamily) -> float:
    """Hooks and registry after a pass that fails in the last layer."""

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    registry: Any = AttentionInterface()  # type: ignore[no-untyped-call]

    def state() -> tuple[int, Any]:
        counts = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in family.model.modules()]
        return sum(counts), registry["sdpa"]

    with torch.inference_mode():
        family.model(**family.batch(), output_hidden_states=True)  # transformers installs hooks of its own, for good
    before = state()
    handle = adapt(family.model).layers[-1].register_forward_pre_hook(fail)
    try:
        _run(family, [family.batch()], self_check=False)
    except KeyboardInterrupt:
        handle.remove()
        return 0.0 if state() == before else float("inf")
    return float("inf")


INVARIANTS = (
    Invariant("D", "distances equal fp64 numpy on the states that plain hooks dump", 5e-6, _distances),
    Invariant("hf", "with pairing hf, distances equal fp64 numpy on transformers' own hidden_states", 5e-6, _reported),
    Invariant("VAR", "attention masses equal those of eager attention; NaN without vision tokens", 1e-5, _attention),
    Invariant("logits", "bit-identical before, during and after a harvest", 0.0, _logits),
    Invariant("padding", "left-padded, right-padded and single rows agree, sample by sample", _ROUNDING, _padding),
    Invariant("order", "the order of samples does not matter", _ROUNDING, _order),
    Invariant(
        "vision",
        "vision tokens are those whose state at depth 0 depends on the image; none in cross-attention models",
        0.0,
        _vision,
    ),
    Invariant("mass", "attention mass over all tokens is 1 per head", 1e-5, _mass),
    Invariant("restored", "hooks and attention registry are as before after an exception", 0.0, _restored),
)
