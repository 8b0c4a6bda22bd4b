"""Gaussian-kernel probe: Nystroem or random Fourier features, then streaming ridge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.spatial.distance import cdist, pdist
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from estimators.probes.lipschitz_constants import gaussian_kernel_upper, random_features_upper
from estimators.probes.moments import Moments
from estimators.probes.ridge import StreamingRidge
from estimators.probes.ridge_path import degrees_of_freedom
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError

__all__ = ["KernelProbe"]

Array = npt.NDArray[np.float64]

METHODS = ("nystroem", "random_features")
PENALTIES = tuple(10.0**k for k in range(-8, 2))
_SCALE_ROWS = 500  # rows whose median distance is the default bandwidth
_RANK = 1e-10  # eigenvalues of the landmarks' kernel below this share of the largest are dropped


class KernelProbe(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Ridge regression in a finite-dimensional stand-in for the space of a Gaussian kernel.

    Parameters
    ----------
    n_components : int, default=200
        Landmarks or random frequencies; at most the rows for landmarks.
    method : {"nystroem", "random_features"}
    bandwidth : float, optional
        s in ``exp(-|x - y|^2 / (2 s^2))``; by default the median distance between rows.
    cv : int, default=5
        Folds over images for the penalty.
    random_state : int, default=0

    Attributes
    ----------
    bandwidth_ : float
    ridge_ : StreamingRidge
        The linear probe on the features.
    lipschitz_ : float
        Upper bound on the Lipschitz constant of the fitted probe (a property of the probe).
    effective_dof_ : float

    Examples
    --------
    >>> x = np.linspace(-3, 3, 200)[:, None]
    >>> bool(KernelProbe(n_components=30).fit(x, np.sin(x[:, 0])).score(x, np.sin(x[:, 0])) > 0.99)
    True
    """

    def __init__(
        self,
        n_components: int = 200,
        *,
        method: str = "nystroem",
        bandwidth: float | None = None,
        cv: int = 5,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.method = method
        self.bandwidth = bandwidth
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> KernelProbe:
        """Fit; `groups` holds the image of every row."""
        if self.method not in METHODS:
            raise InvalidInputError(f"need a method among {METHODS}, got {self.method!r}")
        size = check_count(self.n_components, "n_components", lower=1)
        x, z = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        rng = np.random.default_rng(self.random_state)
        chosen = rng.permutation(len(x))
        self.bandwidth_ = self._bandwidth(x[chosen[:_SCALE_ROWS]])
        if self.method == "nystroem":
            self.landmarks_ = x[np.sort(chosen[:size])]
            kernel = self._kernel(self.landmarks_)
            values, vectors = eigh(kernel)
            kept = values > _RANK * values[-1]
            self.map_ = vectors[:, kept] / np.sqrt(values[kept])
        else:
            self.frequencies_ = rng.standard_normal((x.shape[1], size)) / self.bandwidth_
            self.phases_ = rng.uniform(0.0, 2.0 * math.pi, size)
        self.ridge_ = StreamingRidge(PENALTIES, relative=True, cv=self.cv, random_state=self.random_state)
        self.ridge_.fit(self._features(x), z, groups=groups)
        return self

    def predict(self, X: Any) -> Array:
        """Predictions of shape (n_rows,) or (n_rows, n_outputs)."""
        check_is_fitted(self, "ridge_")
        return self.ridge_.predict(self._features(validate_data(self, X, reset=False, dtype=np.float64)))

    @property
    def probe_class(self) -> str:
        """Name of the class of functions."""
        return f"gaussian kernel ({self.method}, {self.n_components} components)"

    @property
    def lipschitz_(self) -> float:
        """Upper bound on the probe's Lipschitz constant in Euclidean norms."""
        check_is_fitted(self, "ridge_")
        weights = np.atleast_2d(self.ridge_.coef_).T
        if self.method == "nystroem":
            kernel = self._kernel(self.landmarks_)
            return gaussian_kernel_upper(self.map_ @ weights, kernel, bandwidth=self.bandwidth_)
        return random_features_upper(self.frequencies_, math.sqrt(2.0 / len(self.phases_)) * weights)

    @property
    def effective_dof_(self) -> float:
        """Effective number of features."""
        check_is_fitted(self, "ridge_")
        return degrees_of_freedom(Moments.total(self.ridge_.fold_moments_).centred().xx, self.ridge_.alpha_)

    def _bandwidth(self, rows: Array) -> float:
        if self.bandwidth is not None:
            return check_real(self.bandwidth, "bandwidth", lower=0.0, open_ends=True)
        median = float(np.median(pdist(rows))) if len(rows) > 1 else 0.0
        return median if median > 0.0 else 1.0

    def _kernel(self, x: Array) -> Array:
        return np.asarray(np.exp(-cdist(x, self.landmarks_, "sqeuclidean") / (2.0 * self.bandwidth_**2)))

    def _features(self, x: Array) -> Array:
        if self.method == "nystroem":
            return np.asarray(self._kernel(x) @ self.map_)
        waves = np.cos(x @ self.frequencies_ + self.phases_)
        return np.asarray(math.sqrt(2.0 / len(self.phases_)) * waves)
