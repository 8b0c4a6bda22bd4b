"""States seen through random Fourier features or principal components, mapped when they are read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.spatial.distance import pdist

from estimators.probes.lipschitz_constants import spectral_norm
from estimators.probes.moments import Moments
from redundancy.checks import check_count, generator
from redundancy.errors import InvalidInputError

__all__ = ["FourierStates", "PooledStates", "fourier_states", "pooled_states"]

Array = npt.NDArray[np.float64]

_BLOCK = 4096
_SCALE_ROWS = 500  # rows whose median distance is the bandwidth


class FourierStates:
    """An array of states of which slices come out as ``sqrt(2/D) cos(x F + b)``; rows are mapped when read.

    Attributes
    ----------
    shape : (int, int)
    bandwidth : float
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, states: Any, frequencies: Array, phases: Array, bandwidth: float) -> None:
        self._states, self._frequencies, self._phases = states, frequencies / bandwidth, phases
        self.bandwidth = bandwidth
        self.shape = (int(states.shape[0]), len(phases))

    @property
    def lipschitz(self) -> float:
        """Upper bound on the Lipschitz constant of the map, the cosine being 1-Lipschitz."""
        return spectral_norm(self._frequencies) * math.sqrt(2.0 / self.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        waves = np.cos(np.asarray(self._states[rows], dtype=np.float64) @ self._frequencies + self._phases)
        return np.asarray(math.sqrt(2.0 / self.shape[1]) * waves)


class PooledStates:
    """An array of states of which slices come out as ``x P``, P with orthonormal columns: Lipschitz constants stay."""

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, states: Any, basis: Array) -> None:
        self._states, self._basis = states, basis
        self.shape = (int(states.shape[0]), int(basis.shape[1]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        return np.asarray(np.asarray(self._states[rows], dtype=np.float64) @ self._basis)


def pooled_states(
    x_prev: Any, x_next: Any, fitting_rows: npt.NDArray[np.intp], *, n_components: int
) -> tuple[PooledStates, PooledStates]:
    """Both layers on the principal components of some rows of the two pooled.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, d)
    fitting_rows : ndarray
        Rows that the components may depend on; what is certified later must lie outside.
    n_components : int
        In 1..d.

    Raises
    ------
    InvalidInputError
        For layers of different width or a number of components outside its range.
    """
    d = int(x_prev.shape[1])
    if x_next.shape[1] != d:
        raise InvalidInputError(f"need layers of one width to pool them, got {d} and {x_next.shape[1]} features")
    size = check_count(n_components, "n_components", lower=1, upper=d)
    moments = Moments(d, 1)
    for start in range(0, len(fitting_rows), _BLOCK):
        rows = fitting_rows[start : start + _BLOCK]
        for states in (x_prev, x_next):
            moments.update(states[rows], np.zeros((len(rows), 1)))
    _, vectors = eigh(moments.centred().xx, subset_by_index=(d - size, d - 1))
    return PooledStates(x_prev, vectors), PooledStates(x_next, vectors)


def fourier_states(
    x_prev: Any, x_next: Any, fitting_rows: npt.NDArray[np.intp], *, n_components: int, random_state: int
) -> tuple[FourierStates, FourierStates]:
    """Both layers through features of a Gaussian kernel whose bandwidth is the median distance of some rows.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, d)
    fitting_rows : ndarray
        Rows that the bandwidths may depend on; what is certified later must lie outside.
    n_components : int
    random_state : int
    """
    rng = generator(random_state, "random_state")
    chosen = np.sort(rng.permutation(fitting_rows)[:_SCALE_ROWS])
    result = []
    for states in (x_prev, x_next):
        median = float(np.median(pdist(np.asarray(states[chosen], dtype=np.float64)))) if len(chosen) > 1 else 0.0
        frequencies = rng.standard_normal((states.shape[1], n_components))
        phases = rng.uniform(0.0, 2.0 * math.pi, n_components)
        result.append(FourierStates(states, frequencies, phases, median if median > 0.0 else 1.0))
    return result[0], result[1]
