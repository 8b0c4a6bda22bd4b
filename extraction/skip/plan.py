"""Skipping plans: which tokens each decoder layer computes, as small frozen values that compose.

Layers are numbered 0..n-1 by position, a depth d lies after d layers. Absent tokens keep their state:
``h[i+1][absent] = h[i][absent]``, and a layer stores keys and values only for its present tokens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError, StoreError

__all__ = ["Plan", "Presence"]

SCHEMA = "skip-it/plan/1"
LAYER_SETS = ("skip_layers", "skip_attention", "skip_mlp", "hide_vision")
IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Presence:
    """The tokens that one layer computes; layers with equal presence compute the same tokens.

    Parameters
    ----------
    vision : bool
        Whether vision tokens take part (those that `Plan.keep_vision` left in).
    text : bool
        Whether all text tokens take part; False means the last prompt token alone.
    thinned : bool
        Whether some vision tokens were removed before layer 0.
    ranked : bool
        Whether the least attended vision tokens were removed by now.
    routed : int
        Layer for which a router chooses, so that no cut is shared; -1 without a router.
    """

    vision: bool = True
    text: bool = True
    thinned: bool = False
    ranked: bool = False
    routed: int = -1

    @property
    def is_full(self) -> bool:
        """Whether every token is present."""
        return self.vision and self.text and not (self.thinned or self.ranked or self.routed >= 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to leave out of a decoder's computation. The default is the unmodified model.

    Build plans from the functions of `extraction.skip.terms` and join them with ``+``.

    Parameters
    ----------
    late_entry : int, default=0
        l: vision tokens are absent from the first l layers (DeepInsert). 0 is the plain model,
        n makes the model blind to the image.
    vision_exit : int, optional
        e: vision tokens are present in the first e layers only (VTW with K = e); what those layers
        cached stays visible to them. None or n is the plain model.
    text_exit : int, optional
        t: from layer t on, the prompt is computed at its last token only (state drop: later tokens
        see no other prompt token there).
    skip_layers, skip_attention, skip_mlp : frozenset of int
        Layers left out whole, or whose attention or MLP adds nothing.
    hide_vision : frozenset of int
        Layers in which text queries do not see vision keys, all tokens present: a causal counterpart of
        attention mass. A diagnostic; it saves nothing.
    fastv : (int, float), optional
        (K, R): after layer K-1 the share R of vision tokens that the last prompt token attends to least there
        leaves, once per prompt (FastV). Of v tokens ``floor(R * v + 0.5)`` leave; with R = 1 it is vision_exit(K).
    keep_vision : float, optional
        Share in (0, 1] of vision tokens that enter the model at all, drawn at random: the baseline of equal
        budget. Of v tokens ``floor(keep_vision * v + 0.5)`` are kept, at least one.
    seed : int, default=0
        Seed of that draw; the kept positions depend on the seed and on v alone.
    image_share : float, optional
        Share in (0, 1] of vision tokens that a down-sampled image brings: the other baseline of equal budget. The
        prompt itself is smaller, so it must be made for the plan: see `extraction.skip.downsample`.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or vision tokens would leave before they enter.

    Examples
    --------
    >>> plan = Plan(late_entry=4) + Plan(vision_exit=24)
    >>> str(plan)
    'late_entry(4) + vision_exit(24)'
    >>> Plan.from_json(plan.to_json()) == plan
    True
    >>> plan.vision_layers(32)
    range(4, 24)
    """

    late_entry: int = 0
    vision_exit: int | None = None
    text_exit: int | None = None
    skip_layers: frozenset[int] = frozenset()
    skip_attention: frozenset[int] = frozenset()
    skip_mlp: frozenset[int] = frozenset()
    hide_vision: frozenset[int] = frozenset()
    fastv: tuple[int, float] | None = None
    keep_vision: float | None = None
    seed: int = 0
    image_share: float | None = None

    def __post_init__(self) -> None:
        check_count(self.late_entry, "late_entry")
        for name in ("vision_exit", "text_exit"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        for name in LAYER_SETS:
            layers = frozenset(check_count(i, f"each layer of {name}") for i in getattr(self, name))
            object.__setattr__(self, name, layers)
        if self.vision_exit is not None and self.vision_exit < self.late_entry:
            raise InvalidInputError(
                f"need vision_exit >= late_entry, got late_entry({self.late_entry}) and "
                f"vision_exit({self.vision_exit}): vision tokens cannot leave before they enter"
            )
        for name in ("keep_vision", "image_share"):
            if getattr(self, name) is not None and check_real(getattr(self, name), name, lower=0.0, upper=1.0) == 0.0:
                raise InvalidInputError(f"need {name} above 0, got 0; a plan without vision is vision_exit(0)")
        check_count(self.seed, "seed")
        if self.fastv is not None:
            self._check_fastv()

    def _check_fastv(self) -> None:
        if not isinstance(self.fastv, (tuple, list)) or len(self.fastv) != 2:
            raise InvalidInputError(f"need fastv as (layer, share of vision tokens to drop), got {self.fastv!r}")
        layer = check_count(self.fastv[0], "the layer of fastv", lower=1)
        share = check_real(self.fastv[1], "the share of fastv", lower=0.0, upper=1.0)
        object.__setattr__(self, "fastv", (layer, share))
        last = layer - 1
        leave, drop = (float("inf") if depth is None else depth for depth in (self.vision_exit, self.text_exit))
        if not (self.late_entry <= last < leave and last < drop):
            raise InvalidInputError(
                f"need vision and text tokens in layer {last}, by whose attention fastv({layer}, {share}) ranks, got "
                f"late_entry({self.late_entry}), vision_exit({self.vision_exit}), text_exit({self.text_exit})"
            )
        if last in self.skip_layers | self.skip_attention | self.hide_vision:
            raise InvalidInputError(
                f"need the attention of layer {last}, by which fastv({layer}, {share}) ranks, got a plan without it"
            )

    def __add__(self, other: object) -> Plan:
        """Both plans at once; refused where they disagree."""
        if not isinstance(other, Plan):
            return NotImplemented
        plain = Plan()
        values: dict[str, Any] = {}
        for field in fields(Plan):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            default = getattr(plain, field.name)
            if field.name in LAYER_SETS:
                values[field.name] = mine | theirs
            elif mine == theirs or theirs == default:
                values[field.name] = mine
            elif mine == default:
                values[field.name] = theirs
            else:
                raise InvalidInputError(
                    f"need plans that agree on {field.name} to join them, got {mine} and {theirs}; keep one"
                )
        return Plan(**values)

    def check(self, n_layers: int) -> Plan:
        """Return the plan if a decoder of `n_layers` layers can run it.

        Raises
        ------
        InvalidInputError
            If the plan names a layer that the decoder has not.
        """
        check_count(n_layers, "n_layers", lower=1)
        for name, depth in (("late_entry", self.late_entry), ("vision_exit", self.vision_exit)):
            if depth is not None and depth > n_layers:
                raise InvalidInputError(f"need {name} in 0..{n_layers} for a decoder of {n_layers} layers, got {depth}")
        if self.text_exit is not None and self.text_exit > n_layers:
            raise InvalidInputError(
                f"need text_exit in 0..{n_layers} for a decoder of {n_layers} layers, got {self.text_exit}"
            )
        if self.fastv is not None and self.fastv[0] >= n_layers:
            raise InvalidInputError(
                f"need a layer in 1..{n_layers - 1} in fastv for a decoder of {n_layers} layers, got {self.fastv[0]}"
            )
        for name in LAYER_SETS:
            beyond = sorted(i for i in getattr(self, name) if i >= n_layers)
            if beyond:
                raise InvalidInputError(
                    f"need layers 0..{n_layers - 1} in {name} for a decoder of {n_layers} layers, got {beyond}"
                )
        return self

    def is_identity(self, n_layers: int) -> bool:
        """Whether the plan leaves a decoder of `n_layers` layers as it is."""
        self.check(n_layers)
        untouched = not any(getattr(self, name) for name in LAYER_SETS) and self.image_share in (None, 1.0)
        return untouched and all(self.presence(i, n_layers).is_full for i in range(n_layers))

    def n_untouched(self, n_layers: int) -> int:
        """How many of the first layers run as in the unmodified model, on the same states."""
        if self.image_share is not None:
            return 0  # a prompt of its own
        changed = set[int]().union(*(getattr(self, name) for name in LAYER_SETS))
        if self.fastv is not None:
            changed.add(self.fastv[0] - 1)  # its attention is read
        return next((i for i in range(n_layers) if i in changed or not self.presence(i, n_layers).is_full), n_layers)

    def vision_layers(self, n_layers: int) -> range:
        """Layers in which vision tokens take part, layer skips aside."""
        return range(self.late_entry, n_layers if self.vision_exit is None else self.vision_exit)

    def presence(self, layer: int, n_layers: int) -> Presence:
        """Tokens that `layer` computes."""
        return Presence(
            vision=layer in self.vision_layers(n_layers),
            text=self.text_exit is None or layer < self.text_exit,
            thinned=self.keep_vision is not None and self.keep_vision < 1.0,
            ranked=self.fastv is not None and layer >= self.fastv[0] and self.fastv[1] > 0.0,
        )

    def n_kept(self, n_vision: int) -> int:
        """How many of `n_vision` vision tokens of one sample enter the model."""
        if n_vision == 0:
            return 0
        if self.image_share is not None:  # a square grid stays square
            n_vision = max(1, int(math.sqrt(self.image_share * n_vision) + 0.5)) ** 2
        if self.keep_vision is None:
            return n_vision
        return max(1, int(self.keep_vision * n_vision + 0.5))

    def n_dropped(self, n_vision: int) -> int:
        """How many of `n_vision` vision tokens in its ranking layer `fastv` drops."""
        return 0 if self.fastv is None else int(self.fastv[1] * n_vision + 0.5)

    def __str__(self) -> str:
        terms = []
        if self.late_entry:
            terms.append(f"late_entry({self.late_entry})")
        if self.vision_exit is not None:
            terms.append(f"vision_exit({self.vision_exit})")
        if self.text_exit is not None:
            terms.append(f"text_exit({self.text_exit})")
        terms += [f"{name}({_ranges(getattr(self, name))})" for name in LAYER_SETS if getattr(self, name)]
        if self.fastv is not None:
            terms.append(f"fastv({self.fastv[0]}, {self.fastv[1]!r})")
        if self.keep_vision is not None:
            terms.append(f"random_keep({self.keep_vision!r}, seed={self.seed})")
        if self.image_share is not None:
            terms.append(f"downsample_image({self.image_share!r})")
        return " + ".join(terms) or IDENTITY

    def __repr__(self) -> str:
        return f"Plan({self})"

    def to_dict(self) -> dict[str, Any]:
        """Plain tree of numbers and lists, for embedding in other JSON."""
        tree: dict[str, Any] = {"schema": SCHEMA}
        for field in fields(Plan):
            value = getattr(self, field.name)
            tree[field.name] = sorted(value) if field.name in LAYER_SETS else value
        return tree

    @classmethod
    def from_dict(cls, tree: Any) -> Plan:
        """Inverse of `to_dict`.

        Raises
        ------
        StoreError
            If the tree is of another schema or has other fields.
        """
        names = {field.name for field in fields(Plan)}
        if not isinstance(tree, dict) or tree.get("schema") != SCHEMA:
            got = tree.get("schema") if isinstance(tree, dict) else type(tree).__name__
            raise StoreError(f"need a plan of schema {SCHEMA}, got {got!r}")
        if set(tree) - {"schema"} != names:
            raise StoreError(f"need a plan with the fields {sorted(names)}, got {sorted(set(tree) - {'schema'})}")
        values: dict[str, Any] = {k: frozenset(v) if k in LAYER_SETS else v for k, v in tree.items() if k != "schema"}
        return cls(**values)  # fastv comes back as a list and is made a tuple by the checks

    def to_json(self) -> str:
        """Exact JSON form."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Inverse of `to_json`."""
        try:
            tree = json.loads(text)
        except json.JSONDecodeError as error:
            raise StoreError(f"need JSON of schema {SCHEMA}, got text that does not parse: {error}") from None
        return cls.from_dict(tree)


def _ranges(layers: Iterable[int]) -> str:
    """Layers as ``3, 7-9``."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
