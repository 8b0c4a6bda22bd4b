"""Laws in one readable line: exact masses with the points, distances and extras that a statement looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from proofs_check.exact.enclosure import decimal
from proofs_check.exact.law import Law
from proofs_check.statements.base import Statement

__all__ = ["describe"]

_EXTRAS = {
    "probes": ("probe_next", "probe_prev"),
    "linear probe": ("direction",),
    "guesses": ("guess_next", "guess_prev"),
    "codes": ("code_next", "code_prev"),
    "lists": ("lists",),
    "lists of one size": ("lists",),
    "predictor": ("predictor",),
    "shells": ("cuts",),
    "test function": ("weights",),
    "same pairwise margins": ("other",),
    "grid": ("grid",),
    "tail premise": ("eps",),
    "weak tail premise": ("eps",),
    "tail premise, any t": ("eps",),
    "sample": ("n", "delta"),
    "outcomes": ("n", "delta"),
    "shares": ("n", "delta"),
    "finite population": ("n", "delta", "population"),
    "tokens": ("tokens",),
}
_MOST = 16  # atoms written out; longer laws are uniform on many points


def describe(law: Law, statement: Statement | None = None) -> str:
    """Masses as fractions, then t and what else the statement looks at.

    Examples
    --------
    >>> from proofs_check.extremal import family
    >>> describe(family("fresh bit")[0])
    'P(x=0, y=0, z=-1) = 1/2; P(x=1, y=0, z=1) = 1/2'
    """
    needs = statement.needs if statement is not None else ()
    atoms = sorted(law.masses.items())
    task = any(k for _, _, k in law.masses) or any(law.z[0])
    shown = [_atom(law, atom, task) + f" = {decimal(p)}" for atom, p in atoms[:_MOST]]
    if len(atoms) > _MOST:
        shown.append(f"... {len(atoms)} atoms in all, masses from {decimal(min(law.masses.values()))}"
                     f" to {decimal(max(law.masses.values()))}")  # fmt: skip
    if law.rho is not None and len(law.x) <= 4:
        shown.append(f"rho = {_show(law.rho)}")
    if law.rho is not None or law.t:
        shown.append(f"t = {decimal(law.t)}")
    names = dict.fromkeys(name for need in needs for name in _EXTRAS.get(need, ()))
    shown += [f"{name} = {_show(law.extra[name])}" for name in names if name in law.extra]
    return "; ".join(shown)


def _atom(law: Law, atom: tuple[int, int, int], task: bool) -> str:
    i, j, k = atom
    parts = [f"x={_point(law.x, i)}"]
    if law.y[0]:
        parts.append(f"y={_point(law.y, j)}")
    if task:
        parts.append(f"z={_point(law.z, k)}")
    return f"P({', '.join(parts)})"


def _point(points: Sequence[Any], index: int) -> str:
    point = points[index]
    return decimal(point[0], 4) if len(point) == 1 else "(" + ", ".join(decimal(v, 4) for v in point) + ")"


def _show(value: Any) -> str:
    if isinstance(value, Law):
        return "{" + describe(value) + "}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, frozenset):
        return "{" + ", ".join(map(str, sorted(value))) + "}"
    if isinstance(value, tuple) and len(value) == 1 and not isinstance(value[0], (tuple, Mapping, frozenset)):
        return _show(value[0])
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(_show(v) for v in value) + "]"
    return value if isinstance(value, str) else decimal(value, 6)
