"""Unique, redundant and synergistic information of two layers about a task, from coded samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.codes.pairs import CodedPair
from redundancy.checks import as_labels, check_count, check_real, generator
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval
from redundancy.pid import broja
from redundancy.units import check_base, unit_name

__all__ = ["ATOMS", "UniqueInformationEstimate", "unique_information_estimate"]

Array = npt.NDArray[np.float64]

ATOMS = ("unique_next", "unique_prev", "redundant", "synergistic")
_SOLVER = {"unique_next": "unique_x", "unique_prev": "unique_y", "redundant": "redundant", "synergistic": "synergistic"}
_TOLERANCE = 1e-6  # of the value, in units of information
_ROUGH = 1e-4  # of a resample: far below its spread, and the interval is widened by it
_PATIENCE = 10.0  # seconds for one table; a solve that stops early has a wider gap, which the intervals carry
_MOST_CELLS = 4_000_000  # of the three-way table
_DENSE = 20.0  # images per cell from which the bias was small beside the interval in simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class UniqueInformationEstimate(Tabular):
    """BROJA atoms of the empirical law (label E), with intervals from a bootstrap over images.

    Attributes
    ----------
    atoms : dict of str to float
        Plug-in values, in units of `base`: the middle of the solver's certified interval.
    intervals : dict of str to Interval
        Basic bootstrap ``[2 v - q_high, 2 v - q_low]``, which shifts against the bootstrap's own bias, widened to
        hold the value (at 0 all resamples lie above it). Not clipped: an end below 0 says that 0 is compatible.
    bias : dict of str to float
        Mean of the bootstrap minus the value: how far the plug-in is likely to be off, in the same direction.
    solver_gap : float
        Largest certified gap of a solve.
    n_tokens, n_images, n_codes, n_task_values, occupied_cells : int
    confidence_level : float
        Of each interval.
    base : float
        Unit.
    n_bootstrap : int
        Resamples of images.
    random_state : int
        Seed of the resamples.
    """

    drawn_by = "pid_bars"
    atoms: dict[str, float]
    intervals: dict[str, Interval]
    bias: dict[str, float]
    confidence_level: float
    base: float
    solver_gap: float
    n_bootstrap: int
    random_state: int
    n_tokens: int
    n_images: int
    n_codes: int
    n_task_values: int
    occupied_cells: int

    @property
    def flagged(self) -> tuple[str, ...]:
        """Atoms to which sampling noise adds much: with fewer than 20 images per cell of the tables they rest on.

        Unique and redundant information rest on two tables of K x T cells, synergy on all K x K x T.
        """
        pairs = self.n_images < _DENSE * self.n_codes * self.n_task_values
        triples = self.n_images < _DENSE * self.n_codes**2 * self.n_task_values
        return tuple(name for name in ATOMS if (triples if name == "synergistic" else pairs))

    @property
    def bias_note(self) -> str:
        """What is to be expected of the bias, in words."""
        cells = self.n_codes * self.n_task_values
        text = f"{self.n_images / cells:.3g} images per cell of a layer and the task, "
        text += f"{self.n_images / cells / self.n_codes:.3g} per cell of both layers and the task"
        if self.flagged:
            names = ", ".join(self.flagged)
            text += f": {names} biased by sampling noise, their sum upward, and their intervals may miss "
            text += "the truth; use fewer codes or more images"
        return text + ". An estimate, no bound."

    def to_record(self) -> dict[str, Any]:
        """One flat row for a table."""
        row: dict[str, Any] = {}
        for name in ATOMS:
            row |= {name: self.atoms[name], f"{name}_lower": self.intervals[name].lower}
            row |= {f"{name}_upper": self.intervals[name].upper, f"{name}_bias": self.bias[name]}
        names = ("confidence_level", "base", "n_tokens", "n_images", "n_codes", "n_task_values", "occupied_cells")
        return row | {name: getattr(self, name) for name in names} | {"evidence": "E"}

    def __str__(self) -> str:
        parts = [f"{name} {self.atoms[name]:.4g} {self.intervals[name]}" for name in ATOMS]
        return f"{'; '.join(parts)} {unit_name(self.base)} [E] ({self.bias_note})"


def unique_information_estimate(
    pair: CodedPair,
    task: npt.ArrayLike,
    *,
    confidence_level: float = 0.95,
    base: float = 2.0,
    n_bootstrap: int = 100,
    random_state: int = 0,
) -> UniqueInformationEstimate:
    r"""Count the table of both layers' codes and the task, decompose it, and resample images.

    Parameters
    ----------
    pair : CodedPair
        Of a codebook fitted on other images.
    task : array_like of int, shape (n_tokens,)
        Task label 0..T-1 of each token; those of an image's tokens are usually equal.
    confidence_level : float, default=0.95
    base : float, default=2
    n_bootstrap : int, default=100
        At least 20.
    random_state : int, default=0

    Returns
    -------
    UniqueInformationEstimate
        ``unique_next`` is Uni(Z : x_next \ x_prev).

    Raises
    ------
    InvalidInputError
        For one class only, fewer than 8 images, or a table of more than 4 million cells.

    Notes
    -----
    Of the pooled law of tokens. About *codes*: a coarser codebook can turn unique into redundant information and
    the other way round.

    References
    ----------
    .. [1] Bertschinger, Rauh, Olbrich, Jost and Ay (2014), Quantifying unique information, Entropy 16(4).

    Examples
    --------
    >>> z = np.repeat(np.arange(300) % 2, 4)
    >>> pair = CodedPair.of(z, z, np.repeat(np.arange(300), 4), n_codes=2)
    >>> estimate = unique_information_estimate(pair, z, n_bootstrap=20)
    >>> round(estimate.atoms["redundant"], 2), round(estimate.atoms["unique_next"], 6)
    (1.0, 0.0)
    """
    base = check_base(base)
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    rounds = check_count(n_bootstrap, "n_bootstrap", lower=20)
    seed = check_count(random_state, "random_state")
    labels = as_labels(task, "task", empty=True)
    if labels.shape != (pair.n_tokens,) or labels.dtype.kind not in "iub" or (labels.astype(np.int64) < 0).any():
        raise InvalidInputError(
            f"need a label 0..T-1 for each of {pair.n_tokens} tokens, got dtype {labels.dtype}, shape {labels.shape}"
        )
    values, z = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        raise InvalidInputError(f"need at least two classes in task, got only label {values[0]}")
    if pair.n_images < 8:
        raise InvalidInputError(f"need at least 8 images to resample, got {pair.n_images}; check the image ids")
    size, n_task = pair.n_codes, len(values)
    if size * size * n_task > _MOST_CELLS:
        raise InvalidInputError(
            f"need a table of at most {_MOST_CELLS} cells, got {size} x {size} x {n_task}; use fewer codes"
        )
    cell = (z * size + pair.next) * size + pair.prev
    used, place = np.unique(cell, return_inverse=True)
    table = _Table(used, place, pair.index.rows, (n_task, size, size), base)
    value, gap = table.decompose(np.ones(pair.n_images), tolerance=_TOLERANCE)
    rng = generator(seed)
    resampled = np.empty((rounds, len(ATOMS)))
    for i in range(rounds):
        draws = rng.integers(pair.n_images, size=pair.n_images)
        weights = np.bincount(draws, minlength=pair.n_images).astype(np.float64)
        resampled[i], other = table.decompose(weights, tolerance=_ROUGH)
        gap = max(gap, other)
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(resampled, [tail, 1.0 - tail], axis=0)
    low, high = np.minimum(low, value) - gap, np.maximum(high, value) + gap
    return UniqueInformationEstimate(
        atoms=dict(zip(ATOMS, value.tolist(), strict=True)),
        intervals={
            name: Interval(2 * v - h, 2 * v - lo) for name, v, lo, h in zip(ATOMS, value, low, high, strict=True)
        },
        bias=dict(zip(ATOMS, (resampled.mean(axis=0) - value).tolist(), strict=True)),
        confidence_level=level,
        base=base,
        solver_gap=gap,
        n_bootstrap=rounds,
        random_state=seed,
        n_tokens=pair.n_tokens,
        n_images=pair.n_images,
        n_codes=size,
        n_task_values=n_task,
        occupied_cells=len(used),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Tokens in occupied cells of the (task, next, previous) table, to be counted under weights of images."""

    used: npt.NDArray[np.int64]
    place: npt.NDArray[np.intp]
    images: npt.NDArray[np.intp]
    shape: tuple[int, int, int]
    base: float

    def decompose(self, weights: Array, *, tolerance: float) -> tuple[Array, float]:
        """The four atoms, and the gap of the solver."""
        mass = np.bincount(self.place, weights=weights[self.images], minlength=len(self.used))
        flat = np.zeros(self.shape[0] * self.shape[1] * self.shape[2])
        flat[self.used] = mass / mass.sum()
        law = flat.reshape(self.shape)
        # Symbols without mass say nothing and cost time.
        law = law[np.ix_(*(np.flatnonzero(law.sum(axis=axes) > 0.0) for axes in ((1, 2), (0, 2), (0, 1))))]
        if len(law) < 2:
            return np.zeros(len(ATOMS)), 0.0
        result = broja(law / law.sum(), base=self.base, tolerance=tolerance, time_limit=_PATIENCE, throw=False)
        intervals = [getattr(result, _SOLVER[name]) for name in ATOMS]
        return np.array([0.5 * (i.lower + i.upper) for i in intervals]), result.gap
