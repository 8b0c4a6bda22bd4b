"""Ridge regression that never holds the rows: moments per image fold, the regularisation chosen between images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from estimators.folds import image_folds, streamed_folds
from estimators.probes.lipschitz_constants import spectral_norm
from estimators.probes.moments import Array, Moments
from estimators.probes.ridge_path import held_out_error, intercept_of, ridge_path
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["ALPHAS", "StreamingRidge"]

ALPHAS = tuple(10.0**k for k in range(-4, 5))


class StreamingRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Multi-output ridge regression with the penalty chosen by cross-validation over images.

    .. math:: \min_{W, b} \sum_i |z_i - b - W^T x_i|^2 + \alpha \|W\|_F^2

    Parameters
    ----------
    alphas : sequence of float, default=1e-4 .. 1e4
        Positive penalties to choose from.
    relative : bool, default=False
        Multiply the penalties by the mean diagonal entry of the training scatter, so that they do not depend on
        the scale of the features or on the number of rows.
    cv : int, default=5
        Folds; images never fall into two of them.
    device : str, optional
        A torch device for products and decompositions, as ``"cuda"``; None for numpy and LAPACK.
    products : {"float64", "float32"}, default="float64"
        See `Moments`.
    random_state : int, default=0
        Of the assignment of images to folds.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, n_features), or (n_features,) for a vector y
    intercept_ : ndarray of shape (n_outputs,), or float
    alpha_ : float
        The penalty chosen.
    cv_errors_ : ndarray of shape (n_alphas,)
        Mean over folds of the held-out mean squared error (summed over outputs).
    lipschitz_ : float
        Lipschitz constant of the fitted probe, exact: its spectral norm.
    fold_moments_ : list of Moments
        All that is kept of the data: ``cv * (n_features + n_outputs)^2`` numbers whatever the number of rows.

    Notes
    -----
    Chooses what `sklearn.linear_model.Ridge` in a grid search over the same folds with
    ``scoring="neg_mean_squared_error"`` chooses, from one product over the rows and one decomposition per fold.
    Leave-one-out scores are no substitute: under image clusters they pick penalties far too small.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 3))
    >>> probe = StreamingRidge().fit(x, x @ [1.0, 2.0, 0.0], groups=np.arange(60) // 4)
    >>> np.round(probe.coef_, 3) + 0.0
    array([1., 2., 0.])
    """

    def __init__(
        self,
        alphas: Any = ALPHAS,
        *,
        relative: bool = False,
        cv: int = 5,
        device: str | None = None,
        products: str = "float64",
        random_state: int = 0,
    ) -> None:
        self.alphas = alphas
        self.relative = relative
        self.cv = cv
        self.device = device
        self.products = products
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None, folds: Any = None) -> StreamingRidge:
        """Fit on all rows at once.

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features)
            numpy, or a torch tensor when `device` is set.
        y : array_like of shape (n_rows,) or (n_rows, n_outputs)
        groups : array_like of shape (n_rows,), optional
            Image of every row; by default every row is an image of its own.
        folds : array_like of int, shape (n_rows,), optional
            Fold of every row, instead of an assignment by `random_state`; must not split an image.
        """
        self._forget()
        self._accumulate(X, y, groups, folds, streamed=False)
        return self.solve()

    def partial_fit(self, X: Any, y: Any, groups: Any = None, folds: Any = None) -> StreamingRidge:
        """Add a block of rows; the fold of an image depends on its name alone, so blocks may split images.

        Coefficients are computed when they are asked for. Without `groups` every row is an image of its own.
        """
        if groups is None and folds is None:
            # Row numbers of a block name nothing: continue the count, every row an image of its own.
            seen = sum(m.n_rows for m in getattr(self, "fold_moments_", []))
            groups = np.arange(seen, seen + len(X))
        self._accumulate(X, y, groups, folds, streamed=True)
        self._stale = True
        return self

    def merge(self, other: StreamingRidge) -> StreamingRidge:
        """A probe of the rows of both, fitted in two places with equal parameters; neither changes."""
        check_is_fitted(self, "fold_moments_")
        check_is_fitted(other, "fold_moments_")
        if repr(self.get_params()) != repr(other.get_params()):
            raise InvalidInputError(
                f"need probes with equal parameters, got {self.get_params()} and {other.get_params()}"
            )
        result: StreamingRidge = type(self)(**self.get_params())
        result.n_features_in_, result._vector = self.n_features_in_, self._vector
        result.fold_moments_ = [a.merge(b) for a, b in zip(self.fold_moments_, other.fold_moments_, strict=True)]
        result._stale = True
        return result

    def solve(self) -> StreamingRidge:
        """Choose the penalty and compute the coefficients from the moments."""
        check_is_fitted(self, "fold_moments_")
        grid = self._grid()
        parts = [m for m in self.fold_moments_ if m.weight > 0.0]
        if len(parts) < 2:
            raise InvalidInputError(
                f"need rows in at least two folds, got {len(parts)}; pass groups of at least {self.cv} images"
            )
        errors = np.zeros(len(grid))
        for k, held_out in enumerate(parts):
            training = Moments.total([m for j, m in enumerate(parts) if j != k]).centred()
            scale = self._scale(training.xx)
            path = ridge_path(training.xx, training.xz, [a * scale for a in grid], device=self.device)
            errors += held_out_error(path, training, held_out.centred()) / len(parts)
        everything = Moments.total(parts).centred()
        self.cv_errors_ = errors
        self.alpha_ = grid[int(errors.argmin())] * self._scale(everything.xx)
        weights = ridge_path(everything.xx, everything.xz, [self.alpha_], device=self.device)[0]
        offset = intercept_of(weights, everything)
        self._coef = weights[:, 0] if self._vector else weights.T
        self._intercept = offset[0] if self._vector else offset
        self._stale = False
        return self

    def predict(self, X: Any) -> Array:
        """Predictions of shape (n_rows,) or (n_rows, n_outputs)."""
        check_is_fitted(self, "fold_moments_")
        coefficients = self.coef_
        if hasattr(X, "detach"):
            X = X.detach().cpu().numpy()
        rows = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(rows @ coefficients.T + self.intercept_)

    @property
    def coef_(self) -> Array:
        """Coefficients, computed from the moments on first use after `partial_fit`."""
        return np.asarray(self._solved("_coef"))

    @property
    def intercept_(self) -> Any:
        """Offset of every output."""
        return self._solved("_intercept")

    @property
    def lipschitz_(self) -> float:
        """Exact Lipschitz constant of the fitted probe (not of the ideal predictor), in Euclidean norms."""
        return spectral_norm(np.atleast_2d(self.coef_))

    def _solved(self, name: str) -> Any:
        if not hasattr(self, "fold_moments_"):
            raise AttributeError(f"{type(self).__name__} has no {name[1:]}_ before it is fitted")
        if getattr(self, "_stale", True):
            self.solve()
        return getattr(self, name)

    def _forget(self) -> None:
        for name in ("fold_moments_", "_vector"):
            if hasattr(self, name):
                delattr(self, name)

    def _accumulate(self, X: Any, y: Any, groups: Any, folds: Any, *, streamed: bool) -> None:
        n_folds = check_count(self.cv, "cv", lower=2)
        self._grid()
        first = not hasattr(self, "fold_moments_")
        if self.device is not None and hasattr(X, "detach"):
            y = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y, dtype=np.float64)
            if first:
                self.n_features_in_ = int(X.shape[1])
        else:
            X, y = validate_data(
                self,
                X,
                y,
                reset=first,
                multi_output=True,
                y_numeric=True,
                dtype=[np.float64, np.float32],
            )
        vector = y.ndim == 1
        z = y.reshape(len(y), -1)
        assignment = self._assign(len(z), groups, folds, n_folds, streamed)
        if first:
            d, q = self.n_features_in_, z.shape[1]
            self.fold_moments_ = [Moments(d, q, device=self.device, products=self.products) for _ in range(n_folds)]
            self._vector = vector
        elif self._vector != vector or self.fold_moments_[0].n_outputs != z.shape[1]:
            raise InvalidInputError(f"need a y like that of the first block, got shape {y.shape}")
        for k, part in enumerate(self.fold_moments_):
            rows = np.flatnonzero(assignment == k)
            # Blocks of gathered rows, so that no copy of a whole fold is made.
            for start in range(0, len(rows), _GATHER):
                block = rows[start : start + _GATHER]
                part.update(X[block], z[block])

    def _assign(self, n_rows: int, groups: Any, folds: Any, n_folds: int, streamed: bool) -> npt.NDArray[np.intp]:
        if folds is not None:
            given = np.asarray(folds)
            if given.shape != (n_rows,) or given.dtype.kind not in "iu" or not ((given >= 0) & (given < n_folds)).all():
                raise InvalidInputError(f"need one fold in 0..{n_folds - 1} per row, got {folds!r}")
            return given.astype(np.intp)
        ids = np.arange(n_rows) if groups is None else groups
        if streamed:
            return streamed_folds(ids, n_rows, folds=n_folds, random_state=self.random_state)
        return image_folds(ids, n_rows, folds=n_folds, random_state=self.random_state, per_fold=1).row_fold

    def _grid(self) -> list[float]:
        grid = [float(a) for a in np.ravel(np.asarray(self.alphas, dtype=np.float64))]
        if not grid or not all(np.isfinite(a) and a > 0.0 for a in grid):
            raise InvalidInputError(f"need positive finite alphas, got {self.alphas!r}")
        return grid

    def _scale(self, xx: Array) -> float:
        if not self.relative:
            return 1.0
        mean = float(np.trace(xx)) / len(xx)
        return mean if mean > 0.0 else 1.0


_GATHER = 8192  # rows gathered at a time
