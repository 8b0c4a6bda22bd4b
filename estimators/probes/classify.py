"""Classification with calibrated probabilities: any linear or other classifier, one temperature fitted out of fold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from estimators.folds import image_folds
from estimators.probes.lipschitz_constants import softmax_upper
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError

__all__ = ["CalibratedProbe"]

Array = npt.NDArray[np.float64]

_RANGE = (-6.0, 6.0)  # of the logarithm of the temperature


class CalibratedProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose scores are divided by a temperature that minimises the out-of-fold log-loss.

    Parameters
    ----------
    estimator : classifier with `decision_function`, optional
        Cloned; by default scikit-learn's `LogisticRegression`.
    cv : int, default=5
        Folds over images for the temperature.
    random_state : int, default=0

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    temperature_ : float
        Above 1 for overconfident scores.
    estimator_ : classifier
        Fitted on all rows.
    lipschitz_ : float
        For a linear classifier: upper bound for the map from states to probabilities.

    Notes
    -----
    The temperature keeps the order of the classes, so `predict` is that of the classifier. Folds in which a class is
    absent from the training images are left out of the temperature.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((300, 2))
    >>> probe = CalibratedProbe().fit(x, x[:, 0] + rng.standard_normal(300) > 0, groups=np.arange(300) // 3)
    >>> bool(0.5 < probe.temperature_ < 2.0)
    True
    """

    probe_class = "classifier with one temperature"

    def __init__(self, estimator: Any = None, *, cv: int = 5, random_state: int = 0) -> None:
        self.estimator = estimator
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> CalibratedProbe:
        """Fit; `groups` holds the image of every row, by default every row is its own."""
        check_count(self.cv, "cv", lower=2)
        x, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidInputError(f"need at least two classes in y, got one class, {self.classes_[0]!r}")
        ids = np.arange(len(x)) if groups is None else groups
        fold = image_folds(ids, len(x), folds=self.cv, random_state=self.random_state, per_fold=1).row_fold
        scores = np.full((len(x), len(self.classes_)), np.nan)
        for k in range(self.cv):
            training = fold != k
            if len(np.unique(numbers[training])) == len(self.classes_):
                scores[~training] = self._scores(self._base().fit(x[training], numbers[training]), x[~training])
        self.temperature_ = _temperature(scores, numbers)
        self.estimator_ = self._base().fit(x, numbers)
        return self

    def decision_function(self, X: Any) -> Array:
        """Calibrated log-odds: scores of the classes over the temperature; one column for two classes."""
        check_is_fitted(self, "estimator_")
        scores = self._scores(self.estimator_, validate_data(self, X, reset=False, dtype=np.float64))
        scores = scores / self.temperature_
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of shape (n_rows, n_classes)."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return np.asarray(softmax(scores, axis=1))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Most probable class."""
        scores = self.decision_function(X)
        chosen = (scores > 0.0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    @property
    def lipschitz_(self) -> float:
        """Upper bound on the Lipschitz constant of `predict_proba`, for a linear classifier."""
        check_is_fitted(self, "estimator_")
        if not hasattr(self.estimator_, "coef_"):
            raise AttributeError(f"{type(self.estimator_).__name__} is not linear: its Lipschitz constant is not known")
        weights = np.asarray(self.estimator_.coef_)
        if len(weights) == 1:
            weights = np.concatenate([np.zeros_like(weights), weights])
        return softmax_upper(weights.T, temperature=self.temperature_)

    def _base(self) -> Any:
        return LogisticRegression(max_iter=1000) if self.estimator is None else clone(self.estimator)

    @staticmethod
    def _scores(estimator: Any, x: Array) -> Array:
        scores = np.asarray(estimator.decision_function(x), dtype=np.float64)
        return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores


def _temperature(scores: Array, numbers: npt.NDArray[np.intp]) -> float:
    """Temperature that minimises the log-loss of the rows with scores; 1 without any."""
    known = np.isfinite(scores).all(axis=1)
    if not known.any():
        return 1.0
    rows, truth = scores[known], numbers[known]

    def loss(log_temperature: float) -> float:
        logs = log_softmax(rows * np.exp(-log_temperature), axis=1)
        return float(-logs[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-6}).x))
