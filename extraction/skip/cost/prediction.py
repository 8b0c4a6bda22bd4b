"""What a plan costs, predicted from shapes alone: FLOPs of prefill and decode, share of the cache, bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from extraction.skip.plan import Plan
from extraction.skip.terms.base import ATTENTION, MLP
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = [
    "DecoderShape",
    "cache_bytes",
    "decode_bytes",
    "decode_flops",
    "flop_speedup",
    "kv_share",
    "prefill_flops",
    "tokens_per_layer",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    r"""Sizes of a decoder with gated MLPs and, possibly, fewer key-value than query heads.

    A layer that computes q tokens against m keys takes

    .. math:: L(q, m) = 2q(2da + 2dk) + 4aqm + 6qdf

    floating-point operations, with a = query heads x head size (d in most models). The attention term
    counts the full square, as kernels that do not exploit causality spend it.

    Parameters
    ----------
    n_layers, width, mlp_width, vocabulary : int
        n, d, f and N.
    query_width, kv_width : int
        a and k: heads times head size.
    """

    n_layers: int
    width: int
    query_width: int
    kv_width: int
    mlp_width: int
    vocabulary: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            check_count(getattr(self, name), name, lower=1)

    @classmethod
    def of(cls, config: Any) -> DecoderShape:
        """Read the sizes from a transformers configuration, of a whole model or of its decoder.

        Raises
        ------
        InvalidInputError
            If the configuration lacks a size or describes a mixture of experts.
        """
        text = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
        if getattr(text, "num_experts", None) or getattr(text, "num_local_experts", None):
            raise InvalidInputError(
                f"the cost model knows dense MLPs only, {text.model_type} is a mixture of experts: give a DecoderShape "
                "with mlp_width = experts per token x expert width"
            )
        try:
            heads = text.num_attention_heads
            head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
            kv_heads = getattr(text, "num_key_value_heads", None) or heads
            return cls(
                n_layers=text.num_hidden_layers,
                width=text.hidden_size,
                query_width=heads * head_size,
                kv_width=kv_heads * head_size,
                mlp_width=text.intermediate_size,
                vocabulary=text.vocab_size,
            )
        except AttributeError as error:
            raise InvalidInputError(f"need a decoder configuration with all its sizes: {error}") from None

    @property
    def attention_weights(self) -> int:
        """Parameters of one layer's projections."""
        return 2 * self.width * (self.query_width + self.kv_width)

    @property
    def mlp_weights(self) -> int:
        """Parameters of one layer's gated MLP."""
        return 3 * self.width * self.mlp_width


def tokens_per_layer(plan: Plan, n_layers: int, n_vision: int, n_text: int) -> tuple[int, ...]:
    """``|P_i|``: tokens of one prompt that each layer computes; 0 in skipped layers.

    Parameters
    ----------
    plan : Plan
        Checked against `n_layers`.
    n_layers, n_vision, n_text : int
        Decoder layers; vision and text tokens of the prompt.

    Returns
    -------
    tuple of int, length n_layers
        Tokens by layer.
    """
    plan.check(n_layers)
    check_count(n_vision, "n_vision")
    check_count(n_text, "n_text", lower=1)
    return tuple(plan.count(i, n_layers, n_vision, n_text) for i in range(n_layers))


def prefill_flops(config: Any, plan: Plan, n_vision: int, n_text: int) -> int:
    """Floating-point operations of the decoder and its head for one prompt.

    Parameters
    ----------
    config : PreTrainedConfig or DecoderShape
        Sizes of the decoder.
    plan : Plan
        What is left out; ``Plan()`` is the unmodified model.
    n_vision, n_text : int
        Vision and text tokens of the prompt.

    Returns
    -------
    int
        Operations.
    """
    shape = _shape(config)
    present = tokens_per_layer(plan, shape.n_layers, n_vision, n_text)
    return sum(_layer_flops(shape, plan, i, q, q) for i, q in enumerate(present)) + _head_flops(shape)


def decode_flops(config: Any, plan: Plan, n_vision: int, n_text: int, n_generated: int = 0) -> int:
    """Floating-point operations of one new token after `n_generated` others.

    Parameters
    ----------
    config : PreTrainedConfig or DecoderShape
        Sizes of the decoder.
    plan : Plan
        What is left out.
    n_vision : int
        Vision tokens of the prompt.
    n_text : int
        All other tokens of the prompt.
    n_generated : int, default=0
        Tokens generated before.

    Returns
    -------
    int
        Operations.
    """
    shape = _shape(config)
    check_count(n_generated, "n_generated")
    present = tokens_per_layer(plan, shape.n_layers, n_vision, n_text)
    layers = sum(_layer_flops(shape, plan, i, 1, m + n_generated) for i, m in enumerate(present) if m)
    return layers + _head_flops(shape)


def flop_speedup(config: Any, plan: Plan, n_vision: int, n_text: int) -> float:
    """Prefill FLOPs of the unmodified model over those of the plan: what the clock can reach at best.

    Parameters
    ----------
    config : PreTrainedConfig or DecoderShape
        Sizes of the decoder.
    plan : Plan
        What is left out.
    n_vision : int
        Vision tokens of the prompt.
    n_text : int
        All other tokens of the prompt.

    Returns
    -------
    float
        1 for the unmodified model.

    Examples
    --------
    >>> from extraction.skip import late_entry
    >>> shape = DecoderShape(n_layers=12, width=512, query_width=512, kv_width=512, mlp_width=1408, vocabulary=4096)
    >>> round(flop_speedup(shape, late_entry(6), n_vision=576, n_text=40), 2)
    1.9
    """
    return prefill_flops(config, Plan(), n_vision, n_text) / prefill_flops(config, plan, n_vision, n_text)


def kv_share(config: Any, plan: Plan, n_vision: int, n_text: int) -> float:
    """Cached prompt tokens of the plan over those of the unmodified model, in [0, 1].

    Parameters
    ----------
    config : PreTrainedConfig or DecoderShape
        Sizes of the decoder.
    plan : Plan
        What is left out.
    n_vision : int
        Vision tokens of the prompt.
    n_text : int
        All other tokens of the prompt.

    Returns
    -------
    float
        In [0, 1].
    """
    shape = _shape(config)
    cached = _cached(plan, shape.n_layers, n_vision, n_text)
    return sum(cached) / (shape.n_layers * (n_vision + n_text))


def cache_bytes(config: Any, plan: Plan, n_vision: int, n_text: int, *, item_bytes: int = 2) -> int:
    """Bytes of keys and values after the prompt, one row, numbers of `item_bytes` bytes.

    Parameters
    ----------
    config : PreTrainedConfig or DecoderShape
        Sizes of the decoder.
    plan : Plan
        What is left out.
    n_vision : int
        Vision tokens of the prompt.
    n_text : int
        All other tokens of the prompt.
    item_bytes : int, default=2
        Bytes of a number: 2 for bfloat16, 4 for float32.

    Returns
    -------
    int
        Bytes.
    """
    shape = _shape(config)
    return 2 * shape.kv_width * item_bytes * sum(_cached(plan, shape.n_layers, n_vision, n_text))


def decode_bytes(config: Any, plan: Plan, n_vision: int, n_text: int, *, item_bytes: int = 2) -> int:
    """Bytes that one decode step reads: weights that are used, and the cache. It predicts decode better than FLOPs.

    Parameters
    ----------
    config : PreTrainedConfig or DecoderShape
        Sizes of the decoder.
    plan : Plan
        What is left out.
    n_vision : int
        Vision tokens of the prompt.
    n_text : int
        All other tokens of the prompt.
    item_bytes : int, default=2
        Bytes of a number: 2 for bfloat16, 4 for float32.

    Returns
    -------
    int
        Bytes.
    """
    shape = _shape(config)
    weights = shape.width * shape.vocabulary
    for i in range(shape.n_layers):
        left_out = plan.left_out(i)
        weights += shape.attention_weights * (ATTENTION not in left_out) + shape.mlp_weights * (MLP not in left_out)
    return weights * item_bytes + cache_bytes(shape, plan, n_vision, n_text, item_bytes=item_bytes)


def _shape(config: Any) -> DecoderShape:
    return config if isinstance(config, DecoderShape) else DecoderShape.of(config)


def _layer_flops(shape: DecoderShape, plan: Plan, i: int, queries: int, keys: int) -> int:
    attention = 2 * queries * shape.attention_weights + 4 * shape.query_width * queries * keys
    mlp = 2 * queries * shape.mlp_weights
    left_out = plan.left_out(i)
    return attention * (ATTENTION not in left_out) + mlp * (MLP not in left_out)


def _head_flops(shape: DecoderShape) -> int:
    return 2 * shape.width * shape.vocabulary


def _cached(plan: Plan, n_layers: int, n_vision: int, n_text: int) -> list[int]:
    present = tokens_per_layer(plan, n_layers, n_vision, n_text)
    return [0 if ATTENTION in plan.left_out(i) else m for i, m in enumerate(present)]
