"""What every term of a plan is: its text, its checks, the tokens and parts of layers it leaves out, what it reads.

A new term is a subclass of `Term` in a file of its own and a test. It says only what it changes: every method has a
default that changes nothing. The engine, the cost model, memory, export, validation and reports ask these methods and
know no term by name. A term of another package registers as an entry point of the group ``skip_it.terms``, whose name
is the term's name in plans.

A term leaves tokens out of a layer by a `Cut`. It may tell them by kind alone, or choose them once per prompt: from
the states before a layer (layer 0: the features that the tower gave) or by the attention of the last prompt token in a
layer; see `Term.looks` and `Term.choose`. A cut may also freeze tokens: their states pass through unchanged, while the
layer still computes and stores their keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from extraction.skip.engine.calls import Handler
    from extraction.skip.engine.chunk import Chunk
    from extraction.skip.engine.support import Anatomy
    from extraction.skip.plan import Plan
    from extraction.skip.routers import LayerInput

__all__ = ["ATTENTION", "LAYER", "MLP", "Chosen", "Cut", "Routed", "Term", "WithoutVision", "check_depth"]

# Parts of a decoder layer that a term can leave out.
LAYER, ATTENTION, MLP = "layer", "attention", "mlp"
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cut:
    """Tokens that a layer does not compute. Equal cuts leave out equal tokens, so layers with equal cuts share work.

    Attributes
    ----------
    is_of_vision : bool
        Whether the cut concerns vision tokens alone, so that a chunk without them is whole.
    is_frozen : bool
        Whether keys and values of the tokens are computed and stored all the same, so that others can read them.
    """

    is_of_vision: ClassVar[bool] = True
    is_frozen: ClassVar[bool] = False

    def count(self, n_vision: int, n_text: int) -> tuple[int, int]:
        """Vision and text tokens of one prompt that are left of so many."""
        raise NotImplementedError

    def present(self, chunk: Chunk) -> torch.Tensor | None:
        """Where tokens are left, boolean of shape (batch, chunk); None if all are."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WithoutVision(Cut):
    """No vision token is left."""

    def count(self, n_vision: int, n_text: int) -> tuple[int, int]:
        """The text tokens."""
        return 0, n_text

    def present(self, chunk: Chunk) -> torch.Tensor:
        """The text tokens."""
        return ~chunk.vision


@dataclass(frozen=True, slots=True)
class Chosen(Cut):
    """What a term chose once for the prompt, by `Term.choose`.

    Parameters
    ----------
    term : Term
        The term whose choice this is.
    """

    term: Term

    def count(self, n_vision: int, n_text: int) -> tuple[int, int]:
        """As the term foretells."""
        return self.term.n_chosen(n_vision), n_text

    def present(self, chunk: Chunk) -> torch.Tensor | None:
        """The chosen tokens; all, where the prompt gave nothing to choose from."""
        return chunk.chosen.get(self.term)


@dataclass(frozen=True, slots=True)
class Routed(Cut):
    """What a router left in one layer; no other layer shares it.

    Parameters
    ----------
    layer : int
        The layer, counted from 0.
    """

    is_of_vision = False

    layer: int

    def count(self, n_vision: int, n_text: int) -> tuple[int, int]:
        """Not foretold: all."""
        return n_vision, n_text

    def present(self, chunk: Chunk) -> torch.Tensor | None:
        """As the router said."""
        return chunk.routed(self.layer)


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that a plan leaves out; a frozen dataclass whose fields are its numbers.

    Attributes
    ----------
    name : str
        The word in a plan's text.
    form : str
        An example of the text, for error messages.
    rank : int
        Place in a plan's normal form; equal ranks are ordered by name.
    knows : {"nothing", "end", "vision", "whole"}
        What of a prompt the term must know when its first chunk runs: nothing; where it ends; all its vision tokens;
        or all of it, in one chunk. A call that does not show it is refused before it runs.
    """

    name: ClassVar[str]
    form: ClassVar[str]
    rank: ClassVar[int] = 100
    knows: ClassVar[Literal["nothing", "end", "vision", "whole"]] = "nothing"

    # Text

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read what stands between the parentheses; a ValueError means that it is not of the form."""
        parts = [part.partition("=")[2] or part for part in body.split(",")] if body.strip() else []
        if len(parts) > len(fields(cls)):
            raise ValueError
        kinds = [{"int": int, "float": float}[str(field.type)] for field in fields(cls)]
        return cls(*(kind(part) for kind, part in zip(kinds, parts, strict=False)))

    @property
    def body(self) -> str:
        """What stands between the parentheses; `parse` reads it back."""
        return ", ".join(repr(getattr(self, field.name)) for field in fields(self))

    def __str__(self) -> str:
        return f"{self.name}({self.body})"

    # Normal form

    @property
    def is_nothing(self) -> bool:
        """Whether the term changes no model at all, so that a plan is the same without it."""
        return False

    def join(self, other: Self) -> Self:
        """Both terms of this name as one.

        Raises
        ------
        InvalidInputError
            If they disagree, which is so unless a term says otherwise.
        """
        if self != other:
            raise InvalidInputError(
                f"need plans that agree on {self.name} to join them, got {self.body} and {other.body}; keep one"
            )
        return self

    # Checks

    def check_beside(self, plan: Plan) -> None:
        """Raise InvalidInputError if the term cannot stand in `plan`."""

    def check(self, n_layers: int) -> None:
        """Raise InvalidInputError if a decoder of `n_layers` layers cannot run the term."""

    def check_model(self, anatomy: Anatomy) -> None:
        """Raise UnsupportedModelError if the model lacks what the term needs."""

    # Tokens and parts

    def cut(self, layer: int, n_layers: int) -> Cut | None:
        """Tokens that `layer` does not compute; None if it computes all."""
        return None

    def left_out(self, layer: int) -> frozenset[str]:
        """Parts of `layer` that do not run, among `LAYER`, `ATTENTION` and `MLP`."""
        return _NOTHING

    def hides(self, layer: int) -> bool:
        """Whether text queries of `layer` do not see its vision keys."""
        return False

    def looks(self, layer: int) -> Literal["states", "attention"] | None:
        """What of `layer` the term chooses by: the states before it, the attention in it, or nothing."""
        return None

    def choose(self, view: LayerInput) -> torch.Tensor | None:
        """Tokens that stay, boolean (batch, chunk); called once for a prompt, in the layer that `looks` names.

        By ``"states"`` the choice holds from that layer on, by ``"attention"`` from the next one on, wherever `cut`
        gives `Chosen`. `view.attention` holds the attention of the last prompt token on every token, averaged over
        heads; 0 at tokens that the layer did not compute.
        """
        raise NotImplementedError

    def n_chosen(self, n_vision: int) -> int:
        """How many of `n_vision` vision tokens `choose` keeps: what costs are predicted from."""
        raise NotImplementedError

    # The prompt and the model

    @property
    def image_share(self) -> float:
        """Share of the vision tokens that the plan's own, smaller image brings; 1 if the prompt is the common one."""
        return 1.0

    def n_given(self, n_vision: int) -> int:
        """Vision tokens in the plan's own prompt, of `n_vision` in the common one."""
        return n_vision

    def forwards(self, model: nn.Module) -> Mapping[nn.Module, Handler]:
        """Other forwards for modules of the model, in calls under the plan; each gets the stock one and arguments."""
        return {}

    # Help for subclasses

    @staticmethod
    def layers(text: str) -> frozenset[int]:
        """Layers of a text like ``3, 7-9``."""
        found: set[int] = set()
        for part in text.split(","):
            first, dash, last = part.partition("-")
            stop = int(last) if dash else int(first)
            if stop < int(first):
                raise InvalidInputError(f"need ranges of layers that rise, got {part.strip()!r}")
            found.update(range(int(first), stop + 1))
        return frozenset(found)

    @staticmethod
    def ranges(layers: Iterable[int]) -> str:
        """Layers as ``3, 7-9``."""
        runs: list[list[int]] = []
        for layer in sorted(layers):
            if runs and layer == runs[-1][1] + 1:
                runs[-1][1] = layer
            else:
                runs.append([layer, layer])
        return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)

    def set_field(self, name: str, value: Any) -> None:
        """Set a field of a frozen term while it is made."""
        object.__setattr__(self, name, value)


def check_depth(term: Term, depth: int, n_layers: int) -> None:
    """Raise InvalidInputError unless `depth` is a depth of a decoder of `n_layers` layers."""
    if depth > check_count(n_layers, "n_layers", lower=1):
        raise InvalidInputError(f"need {term.name} in 0..{n_layers} for a decoder of {n_layers} layers, got {depth}")
