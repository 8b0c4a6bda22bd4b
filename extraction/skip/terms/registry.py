"""Which terms there are, this package's and those of entry points, and the reader of a plan's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from extraction.skip.plan import GRAMMAR, IDENTITY, Plan
from extraction.skip.terms.base import Term
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.plan_texts import plan_text

__all__ = ["GROUP", "parse_plan", "term_kinds"]

GROUP = "skip_it.terms"
_OWN = {
    "late_entry": "late_entry:LateEntry",
    "vision_exit": "vision_exit:VisionExit",
    "text_exit": "text_exit:TextExit",
    "skip_layers": "layer_sets:SkipLayers",
    "skip_attention": "layer_sets:SkipAttention",
    "skip_mlp": "layer_sets:SkipMlp",
    "hide_vision": "layer_sets:HideVision",
    "fastv": "fastv:FastV",
    "random_keep": "random_keep:RandomKeep",
    "downsample_image": "downsample_image:DownsampleImage",
}


@cache
def term_kinds() -> dict[str, type[Term]]:
    """Every known term by its name in plans.

    Returns
    -------
    dict of str to type
        Terms of the package first, then those of entry points.

    Raises
    ------
    InvalidInputError
        If an entry point of the group ``skip_it.terms`` is no term of its name, or takes a name that is taken.
    """
    kinds: dict[str, type[Term]] = {}
    for name, where in _OWN.items():
        module, _, kind = where.partition(":")
        kinds[name] = getattr(import_module(f"extraction.skip.terms.{module}"), kind)
    for point in entry_points(group=GROUP):
        found = point.load()
        if not (isinstance(found, type) and issubclass(found, Term) and found.name == point.name):
            raise InvalidInputError(
                f"need a Term named {point.name!r} at the entry point {point.value} of {GROUP}, got {found!r}"
            )
        if kinds.setdefault(point.name, found) is not found:
            raise InvalidInputError(
                f"need one term for each name, {point.value} and {kinds[point.name].__module__} both bring "
                f"{point.name!r}; uninstall one"
            )
    return kinds


def parse_plan(text: str | Mapping[str, Any], *, grammar: int = GRAMMAR) -> Plan:
    """Read a plan: its text, as ``late_entry(4) + skip_layers(7, 9-11)``, or what a file stores of one.

    Parameters
    ----------
    text : str or mapping
        Terms joined by ``+``; or the tree of fields that files of release 0.1.0 hold.
    grammar : int, default=2
        Version of the text, where a file names one.

    Returns
    -------
    Plan
        In normal form.

    Raises
    ------
    InvalidInputError
        If a term is not one of the forms that `str` of a plan writes.
    StoreError
        If the text is of a later grammar, or a tree is not of release 0.1.0.

    Examples
    --------
    >>> parse_plan("vision_exit(24) + late_entry(4)")
    Plan(late_entry(4) + vision_exit(24))
    """
    if grammar > GRAMMAR:
        raise StoreError(f"need a plan of grammar {GRAMMAR} or earlier, got {grammar}; read it with a later release")
    text = plan_text(text)
    if text.strip() in ("", IDENTITY):
        return Plan()
    return Plan(tuple(_term(term.strip()) for term in text.split("+")))


def _term(text: str) -> Term:
    match = re.fullmatch(r"(\w+)\(([^()]*)\)", text)
    name, body = match.groups() if match else ("", "")
    kinds = term_kinds()
    if name in kinds:
        try:
            return kinds[name].parse(body)
        except InvalidInputError:
            raise
        except (ValueError, TypeError, OverflowError):
            pass  # a number that does not parse: the sentence below names the term
    *forms, last = (kind.form for kind in kinds.values())
    raise InvalidInputError(f"need terms like {', '.join(forms)} or {last}, joined by +, got {text!r}")
