"""The figure of a decomposition: unique, redundant and synergistic information with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redundancy.errors import InvalidInputError
from redundancy.figures import style
from redundancy.figures.style import INK, OKABE_ITO
from redundancy.units import unit_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pid_bars"]

_ATOMS = ("unique_x", "unique_y", "redundant", "synergistic")
_ALSO = {"unique_x": "unique_next", "unique_y": "unique_prev"}  # what estimates of layer pairs call them
# Hatches tell the bars of several results apart in grey.
_LOOKS = (("blue", ""), ("orange", "///"), ("green", "..."), ("purple", "xxx"))


def pid_bars(
    source: Any, *, names: tuple[str, str] = ("X", "Y"), base: float | None = None, ax: Axes | None = None
) -> Axes:
    """Bars of the four atoms, each with its interval.

    Parameters
    ----------
    source : decomposition, or mapping of names to decompositions
        A BrojaResult, GaussianPidEstimate, UniqueInformationEstimate, or a mapping with the four atoms: what
        `skip-it broja --json` prints, {atom: {"lower": a, "upper": b}}, or flat records with `unique_x_lower`
        etc. An atom that is None (not identified from the pair laws) is left out.
        Up to four results stand side by side.
    names : tuple of str, default=("X", "Y")
        The two sources, for the labels.
    base : float, optional
        Base of the logarithm, if the source does not hold it; 2 gives bits.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
        A bar's height is the middle of its interval, or the estimate where the source has one.

    Raises
    ------
    InvalidInputError
        If an interval is not finite or upside down, no atom is there, units differ, or there are over four results.
    """
    results = {"": source}
    if isinstance(source, Mapping) and source and all(map(_has_atoms, source.values())):
        results = {str(name): value for name, value in source.items()}
    if len(results) > len(_LOOKS):
        raise InvalidInputError(f"need at most {len(_LOOKS)} results in one figure, got {len(results)}")
    read = {name: _atoms(result) for name, result in results.items()}
    found = {b for result in results.values() if (b := _base(result)) is not None} or ({base} if base else set())
    if len(found) > 1:
        raise InvalidInputError(f"need one unit of information, got bases {sorted(found)}; convert first")
    shown = [atom for atom in _ATOMS if any(atom in atoms for atoms in read.values())]
    labels = {"unique_x": f"unique\n{names[0]}", "unique_y": f"unique\n{names[1]}"}
    ax = style.new_axes(ax)
    width = 0.72 / len(read)
    with style.style_context():
        for index, (name, atoms) in enumerate(read.items()):
            color, hatch = _LOOKS[index]
            own = [atom for atom in shown if atom in atoms]
            places = [shown.index(atom) + width * (index - (len(read) - 1) / 2) for atom in own]
            ax.bar(
                places,
                [atoms[atom][0] for atom in own],
                width=0.92 * width,
                color=OKABE_ITO[color],
                hatch=hatch,
                edgecolor=style.PAPER,
                linewidth=0.0,
                label=name or None,
            )
            for place, atom in zip(places, own, strict=True):
                _, lower, upper = atoms[atom]
                ax.plot([place, place], [lower, upper], color=INK, linewidth=1.1, marker="_", markersize=5, zorder=3)
        ax.axhline(0.0, color=INK, linewidth=0.7)
        ax.set_xticks(range(len(shown)), [labels.get(atom, atom) for atom in shown])
        ax.set_ylabel(f"information ({unit_name(found.pop())})" if found else "information")
        style.polish(ax)
        ax.tick_params(axis="x", length=0)
        if len(read) > 1:
            style.legend_above(ax, columns=len(read))
    return ax


def _has_atoms(value: Any) -> bool:
    if isinstance(value, Mapping):
        names = (*_ATOMS, *_ALSO.values())
        return any(name in value or f"{name}_lower" in value for name in names)
    return hasattr(value, "unique_x") or hasattr(value, "intervals")


def _base(result: Any) -> float | None:
    value = result.get("base") if isinstance(result, Mapping) else getattr(result, "base", None)
    return None if value is None else float(value)


def _atoms(result: Any) -> dict[str, tuple[float, float, float]]:
    """Height, lower and upper end of each atom of a result."""
    read = {}
    for atom in _ATOMS:
        found = _ends(result, atom)
        if found is None:
            continue
        lower, upper = found
        if not (math.isfinite(lower) and math.isfinite(upper) and lower <= upper):
            raise InvalidInputError(f"need finite ends of {atom} with lower <= upper, got [{lower}, {upper}]")
        values = getattr(result, "atoms", None)
        height = 0.5 * (lower + upper)
        if isinstance(values, Mapping):
            height = float(values[atom if atom in values else _ALSO[atom]])
        read[atom] = (height, lower, upper)
    if not read:
        raise InvalidInputError(f"need a decomposition with some of {_ATOMS}, got {type(result).__name__} without any")
    return read


def _ends(result: Any, atom: str) -> tuple[float, float] | None:
    intervals = getattr(result, "intervals", result)
    for name in filter(None, (atom, _ALSO.get(atom))):
        if isinstance(intervals, Mapping):
            if intervals.get(f"{name}_lower") is not None:
                return float(intervals[f"{name}_lower"]), float(intervals[f"{name}_upper"])
            interval = intervals.get(name)
        else:
            interval = getattr(intervals, name, None)
        if isinstance(interval, Mapping):
            return float(interval["lower"]), float(interval["upper"])
        if isinstance(interval, int | float):  # an estimate without an interval
            return float(interval), float(interval)
        if interval is not None:
            return float(interval.lower), float(interval.upper)
    return None
