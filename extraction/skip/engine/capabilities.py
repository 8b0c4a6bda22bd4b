"""Does the engine understand this model under this library? Tried on the model itself, not read off version numbers.

What the engine relies on (how layers are called, what masks and caches look like) moves between releases of
transformers and differs between families. So a model of a family or a release that the table of measured families does
not hold is tried first, on a few tokens: stock, through the engine with nothing left out, and through the engine with
the padding left out, which must change nothing.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from redundancy.errors import UnsupportedModelError

if TYPE_CHECKING:
    from extraction.skip.engine.support import Anatomy
    from extraction.skip.routers import LayerInput

__all__ = ["MEASURED", "NEWEST_KNOWN", "check_capabilities"]

# Families of docs/model_support.md, by ``config.model_type``, and the releases on which all its checks were run.
MEASURED = frozenset(
    {
        "aria", "aya_vision", "blip-2", "cohere2_vision", "deepseek_vl", "ernie4_5_vl_moe", "gemma3", "gemma4",
        "glm46v", "glm4v", "glm4v_moe", "got_ocr2", "idefics2", "idefics3", "instructblip", "internvl", "janus",
        "kimi_k25", "lfm2_vl", "lighton_ocr", "llama4", "llava", "llava_next", "llava_onevision", "minicpmv4_6",
        "mistral3", "molmo2", "ovis2", "paddleocr_vl", "paligemma", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe",
        "qwen3_vl", "qwen3_vl_moe", "smolvlm", "video_llama_3", "vipllava",
    }
)  # fmt: skip
MEASURED_RELEASES = ((5, 20), (5, 23))
NEWEST_KNOWN = (5, 24)
_PASSED: set[tuple[Any, ...]] = set()
_WIDTHS, _LENGTH = (6, 4), 7  # tokens of each row, and columns: both rows are padded on the left
_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-4}  # of the largest logit; half types below
_TOLERANCE_HALF = 5e-2


class _NoText(Exception):
    """The stock model does not run on text alone."""


def check_capabilities(model: nn.Module, anatomy: Anatomy) -> None:
    """Try the engine on a model of a family or a release that is not measured; once per class and release.

    Parameters
    ----------
    model : PreTrainedModel
        The whole model.
    anatomy : Anatomy
        Its parts.

    Raises
    ------
    UnsupportedModelError
        If the engine changes what it must not; the sentence says what.

    Warns
    -----
    UserWarning
        If the family is not measured, or the release is newer than any known, and the check passed.
    """
    config: Any = model.config
    release = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    is_measured = config.model_type in MEASURED
    if is_measured and MEASURED_RELEASES[0] <= release <= MEASURED_RELEASES[1]:
        return
    text = config.get_text_config(decoder=True)
    kinds = tuple(getattr(text, "layer_types", None) or ())
    key = (type(model), type(text), kinds, text._attn_implementation, transformers.__version__, torch.__version__)
    if key in _PASSED:
        return
    what = f"{type(model).__name__} under transformers {transformers.__version__}"
    try:
        fault = _fault(model, anatomy)
    except _NoText as error:
        # Some take no call without an image; the language model inside has the same layers.
        inner = getattr(model, "language_model", None)
        try:
            fault = f"it does not run on text alone ({error})" if inner is None else _fault(inner, anatomy)
        except _NoText:
            fault = f"it does not run on text alone ({error})"
    if fault is not None:
        raise UnsupportedModelError(
            f"skipping needs a model that it leaves as it is when nothing is left out, {what} is not: {fault}; use a "
            "release and a family of docs/model_support.md"
        )
    _PASSED.add(key)
    if not is_measured:
        warnings.warn(
            f"{config.model_type} is not measured: the self-check passed on text, check a plan on images of your own",
            stacklevel=4,
        )
    if release > NEWEST_KNOWN:
        newest = ".".join(map(str, NEWEST_KNOWN))
        warnings.warn(f"{what} is newer than {newest}, the newest known; its self-check passed", stacklevel=4)


def _fault(model: nn.Module, anatomy: Anatomy) -> str | None:
    """What the engine gets wrong on a few words; None if nothing."""
    from extraction.skip.engine.patch import Skipping
    from extraction.skip.plan import Plan

    device = next(model.parameters()).device
    size = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    barred = {*anatomy.vision_ids, *_special_ids(model.config)}
    words = [i for i in range(min(size, 4096)) if i not in barred][-sum(_WIDTHS) - 2 :]
    ids = torch.full((2, _LENGTH), words[0])
    valid = torch.zeros_like(ids)
    for row, width in enumerate(_WIDTHS):
        start = sum(_WIDTHS[:row]) + 1
        ids[row, -width:] = torch.tensor(words[start : start + width])
        valid[row, -width:] = 1
    inputs = {"input_ids": ids.to(device), "attention_mask": valid.to(device)}

    def leave_padding(view: LayerInput) -> torch.Tensor:
        return view.valid

    def nothing(view: LayerInput) -> None:
        return None

    def run(router: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the prompt and of one token after it."""
        skipping = Skipping(model, Plan(), anatomy, router)
        with skipping._scope.opened(), torch.no_grad(), _forgotten_positions(model):
            head = model(**inputs, use_cache=True)
            more = {"attention_mask": torch.nn.functional.pad(inputs["attention_mask"], (0, 1), value=1)}
            name = next((n for n in ("cache", "past_key_values") if head.get(n) is not None), "past_key_values")
            tail = model(input_ids=inputs["input_ids"][:, -1:], **more, **{name: head.get(name)}, use_cache=True)
        return head.logits, tail.logits

    try:
        stock = run(None)
    except Exception as error:
        raise _NoText(f"{type(error).__name__}: {str(error)[:120]}") from error
    try:
        same, trimmed = run(nothing), run(leave_padding)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    if not all(torch.equal(a, b) for a, b in zip(stock, same, strict=True)):
        return "logits with nothing left out differ from the stock model's"
    seen = valid.bool().to(stock[0].device)
    for part, a, b in (("prompt", stock[0][seen], trimmed[0][seen]), ("cached", stock[1], trimmed[1])):
        gap = float((a - b).float().abs().max()) / max(1.0, float(a.float().abs().max()))
        if not gap <= _TOLERANCE.get(a.dtype, _TOLERANCE_HALF):
            return f"{part} logits without the padding differ from the stock model's by {gap:.1e}"
    return None


@contextlib.contextmanager
def _forgotten_positions(model: nn.Module) -> Iterator[None]:
    """Qwen's models keep how far images moved the positions of the latest prompt, and apply it to a text alone."""
    kept: list[tuple[Any, Any]] = [
        (module, module.rope_deltas) for module in model.modules() if hasattr(module, "rope_deltas")
    ]
    for module, _ in kept:
        module.rope_deltas = None
    try:
        yield
    finally:
        for module, value in kept:
            module.rope_deltas = value


def _special_ids(config: Any) -> set[int]:
    values = (v for c in (config, config.get_text_config(decoder=True)) for v in vars(c).values())
    flat = (one for value in values for one in (value if isinstance(value, (list, tuple)) else [value]))
    return {one for one in flat if isinstance(one, int)}
