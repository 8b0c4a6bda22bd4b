"""The terms that plans are made of, and their text form: ``late_entry(4) + skip_layers(7, 9-11)``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from extraction.skip.plan import IDENTITY, LAYER_SETS, Plan
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = [
    "downsample_image",
    "fastv",
    "hide_vision",
    "late_entry",
    "logit_exit",
    "parse_plan",
    "random_keep",
    "skip_attention",
    "skip_layers",
    "skip_mlp",
    "text_exit",
    "vision_exit",
]


def late_entry(layer: int) -> Plan:
    """Vision tokens are absent from the first `layer` layers.

    Parameters
    ----------
    layer : int
        0 is the unmodified model.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(late_entry=layer)


def vision_exit(layer: int) -> Plan:
    """Vision tokens are present in the first `layer` layers only.

    Parameters
    ----------
    layer : int
        The number of layers is the unmodified model.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(vision_exit=layer)


def text_exit(layer: int) -> Plan:
    """From `layer` on, the prompt is computed at its last token only (state drop).

    Parameters
    ----------
    layer : int
        From 0.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(text_exit=layer)


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
    return Plan(skip_layers=frozenset(range(layer, n_layers)))


def skip_layers(*layers: int) -> Plan:
    """Leave whole layers out (ShortGPT, PruneMe).

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(skip_layers=frozenset(layers))


def skip_attention(*layers: int) -> Plan:
    """The attention of these layers adds nothing (LLM-Drop); they cache nothing.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(skip_attention=frozenset(layers))


def skip_mlp(*layers: int) -> Plan:
    """The MLP of these layers adds nothing (LLM-Drop).

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(skip_mlp=frozenset(layers))


def hide_vision(*layers: int) -> Plan:
    """Text queries do not see vision keys in these layers; a diagnostic that saves nothing.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(hide_vision=frozenset(layers))


def fastv(layer: int, drop: float) -> Plan:
    """After layer `layer` - 1 the share `drop` of vision tokens leaves that the last prompt token attends to least.

    Parameters
    ----------
    layer : int
        Layers that see all tokens, at least 1.
    drop : float
        Share of the vision tokens that leaves, in (0, 1).

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(fastv=(layer, drop))


def random_keep(share: float, *, seed: int = 0) -> Plan:
    """Keep a random `share` of the vision tokens from layer 0 on: the baseline of equal budget.

    Parameters
    ----------
    share : float
        In (0, 1).
    seed : int, default=0
        Which tokens.

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(keep_vision=share, seed=seed)


def downsample_image(share: float) -> Plan:
    """A smaller image that brings about `share` of the vision tokens: the other baseline of equal budget.

    Parameters
    ----------
    share : float
        In (0, 1).

    Returns
    -------
    Plan
        To be added to others with ``+``.
    """
    return Plan(image_share=share)


_DEPTHS = {"late_entry": late_entry, "vision_exit": vision_exit, "text_exit": text_exit}


def parse_plan(text: str) -> Plan:
    """Read the text form of a plan, as ``late_entry(4) + skip_layers(7, 9-11)``.

    Parameters
    ----------
    text : str
        Terms joined by ``+``.

    Returns
    -------
    Plan
        ``str`` of it gives an equal text.

    Raises
    ------
    InvalidInputError
        If a term is not one of the forms that `str` of a plan writes.
    """
    plan = Plan()
    if text.strip() in ("", IDENTITY):
        return plan
    for term in text.split("+"):
        plan = plan + _term(term.strip())
    return plan


def _term(term: str) -> Plan:
    match = re.fullmatch(r"(\w+)\(([^()]*)\)", term)
    name, body = match.groups() if match else ("", "")
    try:
        if name in _DEPTHS:
            return _DEPTHS[name](int(body))
        if name in LAYER_SETS:
            return Plan(**{name: frozenset(_layers(body))})  # type: ignore[arg-type]
        if name == "random_keep":
            share, _, seed = body.partition(",")
            return random_keep(float(share), seed=int(re.sub(r"^\s*seed\s*=", "", seed) or 0))
        if name == "downsample_image":
            return downsample_image(float(body))
        if name == "fastv":
            layer, _, drop = body.partition(",")
            return fastv(int(layer), float(re.sub(r"^\s*drop\s*=", "", drop)))
    except InvalidInputError:
        raise
    except ValueError:
        pass  # a number that does not parse: the sentence below names the term
    raise InvalidInputError(
        "need terms like late_entry(4), vision_exit(24), fastv(2, 0.5), text_exit(30), skip_layers(3, 7-9), "
        f"skip_attention(5), skip_mlp(5), hide_vision(5), random_keep(0.5, seed=0) or downsample_image(0.5), "
        f"joined by +, got {term!r}"
    )


def _layers(body: str) -> Iterable[int]:
    for part in body.split(","):
        first, dash, last = part.partition("-")
        stop = int(last) if dash else int(first)
        if stop < int(first):
            raise InvalidInputError(f"need ranges of layers that rise, got {part.strip()!r}")
        yield from range(int(first), stop + 1)
