"""Terms that name layers: `skip_layers`, `skip_attention`, `skip_mlp`, `hide_vision`, and `logit_exit` by the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from extraction.skip.plan import Plan
from extraction.skip.terms.base import ATTENTION, LAYER, MLP, Term
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError, UnsupportedModelError

if TYPE_CHECKING:
    from extraction.skip.engine.support import Anatomy

__all__ = [
    "HideVision",
    "LayerSet",
    "SkipAttention",
    "SkipLayers",
    "SkipMlp",
    "hide_vision",
    "logit_exit",
    "skip_attention",
    "skip_layers",
    "skip_mlp",
]

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LayerSet(Term):
    """A set of layers in which something does not happen; two of one name join to their union.

    Parameters
    ----------
    numbers : set of int
        Layers, counted from 0.
    """

    parts: ClassVar[frozenset[str]] = _NONE

    numbers: frozenset[int]

    def __post_init__(self) -> None:
        layers = frozenset(check_count(i, f"each layer of {self.name}") for i in self.numbers)
        self.set_field("numbers", layers)

    @classmethod
    def parse(cls, body: str) -> Self:
        """Layers and ranges of them."""
        return cls(cls.layers(body))

    @property
    def body(self) -> str:
        """Layers and ranges of them."""
        return self.ranges(self.numbers)

    @property
    def is_nothing(self) -> bool:
        """Of no layer."""
        return not self.numbers

    def join(self, other: Self) -> Self:
        """The union."""
        return type(self)(self.numbers | other.numbers)

    def check(self, n_layers: int) -> None:
        """Every layer exists."""
        beyond = sorted(i for i in self.numbers if i >= n_layers)
        if beyond:
            raise InvalidInputError(
                f"need layers 0..{n_layers - 1} in {self.name} for a decoder of {n_layers} layers, got {beyond}"
            )

    def left_out(self, layer: int) -> frozenset[str]:
        """The parts, in the layers named."""
        return self.parts if layer in self.numbers else _NONE


@dataclass(frozen=True, slots=True)
class SkipLayers(LayerSet):
    """Layers left out whole.

    Parameters
    ----------
    numbers : set of int
        Layers, counted from 0.
    """

    name = "skip_layers"
    form = "skip_layers(3, 7-9)"
    rank = 30
    parts = frozenset({LAYER, ATTENTION, MLP})


@dataclass(frozen=True, slots=True)
class SkipAttention(LayerSet):
    """Layers whose attention adds nothing; they cache nothing.

    Parameters
    ----------
    numbers : set of int
        Layers, counted from 0.
    """

    name = "skip_attention"
    form = "skip_attention(5)"
    rank = 31
    parts = frozenset({ATTENTION})


@dataclass(frozen=True, slots=True)
class SkipMlp(LayerSet):
    """Layers whose MLP adds nothing.

    Parameters
    ----------
    numbers : set of int
        Layers, counted from 0.
    """

    name = "skip_mlp"
    form = "skip_mlp(5)"
    rank = 32
    parts = frozenset({MLP})

    def check_model(self, anatomy: Anatomy) -> None:
        """The layers have an MLP to leave out."""
        for i in sorted(self.numbers):
            if anatomy.parts[i].mlp is None:
                raise UnsupportedModelError(
                    f"skip_mlp needs an `mlp` module in layer {i}, {type(anatomy.layers[i]).__name__} has none"
                )


@dataclass(frozen=True, slots=True)
class HideVision(LayerSet):
    """Layers in which text queries do not see vision keys, all tokens present.

    Parameters
    ----------
    numbers : set of int
        Layers, counted from 0.
    """

    name = "hide_vision"
    form = "hide_vision(5)"
    rank = 33

    def check_model(self, anatomy: Anatomy) -> None:
        """Masks have queries and keys."""
        if anatomy.is_flash:
            raise UnsupportedModelError(
                "hide_vision needs attention masks with queries and keys, flash attention has none: call "
                'model.set_attn_implementation("sdpa")'
            )

    def hides(self, layer: int) -> bool:
        """In the layers named."""
        return layer in self.numbers


def skip_layers(*layers: int) -> Plan:
    """Leave whole layers out (ShortGPT, PruneMe).

    Parameters
    ----------
    *layers : int
        Numbers of the layers, from 0.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((SkipLayers(frozenset(layers)),))


def skip_attention(*layers: int) -> Plan:
    """The attention of these layers adds nothing (LLM-Drop); they cache nothing.

    Parameters
    ----------
    *layers : int
        Numbers of the layers, from 0.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((SkipAttention(frozenset(layers)),))


def skip_mlp(*layers: int) -> Plan:
    """The MLP of these layers adds nothing (LLM-Drop).

    Parameters
    ----------
    *layers : int
        Numbers of the layers, from 0.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((SkipMlp(frozenset(layers)),))


def hide_vision(*layers: int) -> Plan:
    """Text queries do not see vision keys in these layers: a causal counterpart of attention mass.

    A diagnostic; it saves nothing.

    Parameters
    ----------
    *layers : int
        Numbers of the layers, from 0.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan((HideVision(frozenset(layers)),))


def logit_exit(layer: int, *, n_layers: int) -> Plan:
    """Stop after `layer` of `n_layers` layers: final norm and head read the state there (logit lens).

    Parameters
    ----------
    layer : int
        Layers that are run.
    n_layers : int
        Decoder layers of the model.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    check_count(layer, "layer", upper=check_count(n_layers, "n_layers", lower=1))
    return Plan((SkipLayers(frozenset(range(layer, n_layers))),))
