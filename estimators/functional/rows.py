"""The same five probes for any scikit-learn regressor: fitted on the rows of a half, the rows kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.folds import ImageFolds
from estimators.functional.linear import PENALTIES
from redundancy.errors import InvalidInputError, SkipItError
from redundancy.files.reading import causes
from redundancy.task import Task

__all__ = ["RowEngine", "RowProbes", "regressor"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RowProbes:
    """Fitted regressors of one half; see `LinearProbes` for their roles."""

    prev: Any
    next: Any
    joint: Any
    slope_prev: Any
    slope_next: Any

    def evaluate(self, x_prev: Array, x_next: Array) -> dict[str, Array]:
        """Outputs of the five on these rows, each of shape (n, q)."""
        both = np.concatenate([x_prev, x_next], axis=1)
        return {
            "prev": _predict(self.prev, x_prev),
            "next": _predict(self.next, x_next),
            "joint": _predict(self.joint, both),
            "slope_prev": _predict(self.slope_prev, x_prev),
            "slope_next": _predict(self.slope_next, x_next),
        }


def regressor(probe: Any, task: Task, random_state: int) -> Any:
    """What `RowEngine` clones: the MLP by name, a regressor as it is, a classifier as a regressor of probabilities.

    Raises
    ------
    InvalidInputError
        For an unknown name, an object without fit and predict, or a classifier for a task without classes.
    """
    from sklearn.base import is_classifier

    if isinstance(probe, str):
        if probe != "mlp":
            raise InvalidInputError(f"need probe 'ridge', 'kernel', 'mlp' or an estimator, got {probe!r}")
        from estimators.probes.mlp import MLPProbe

        return MLPProbe(random_state=random_state)
    if not (hasattr(probe, "fit") and hasattr(probe, "predict")):
        raise InvalidInputError(f"need an estimator with fit and predict as probe, got {type(probe).__name__}")
    if is_classifier(probe) and task.kind not in ("labels", "one_hot"):
        raise InvalidInputError(f"need labels for the classifier {type(probe).__name__}, got {task.description}")
    return probe


class RowEngine:
    """Clones of one regressor, five per fold and half.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, d_prev), (n_rows, d_next)
    task : Task
    split : ImageFolds
    probe : estimator
        Multi-output regressor, or a classifier whose probabilities are the predictions (regressions of the
        difference are linear then); if its `fit` takes `groups` it is given the image of every row.
    """

    def __init__(self, x_prev: Any, x_next: Any, task: Task, split: ImageFolds, *, probe: Any) -> None:
        self.x_prev, self.x_next, self.task, self.split, self.probe = x_prev, x_next, task, split, probe
        self.probe_class = str(getattr(probe, "probe_class", type(probe).__name__))

    def halves(self, fold: int) -> tuple[RowProbes, RowProbes]:
        """Probes of the two halves of the images outside `fold`."""
        outside, half = self.split.row_fold != fold, self.split.row_half
        return self._fit(np.flatnonzero(outside & (half == 0))), self._fit(np.flatnonzero(outside & (half == 1)))

    def certifying(self) -> tuple[Any, Any]:
        """Probes of previous and next fitted on half 0 of all folds."""
        rows = np.flatnonzero(self.split.row_half == 0)
        z, groups = self.task.rows(rows), self.split.index.rows[rows]
        return self._clone(self.x_prev[rows], z, groups), self._clone(self.x_next[rows], z, groups)

    def effective_dof(self) -> float | None:
        """Effective number of features, None if the probe does not say (``effective_dof_``)."""
        values = [getattr(p, "effective_dof_", None) for p in self.certifying()]
        return None if any(v is None for v in values) else max(float(v) for v in values if v is not None)

    def _fit(self, rows: npt.NDArray[np.intp]) -> RowProbes:
        prev, after = np.asarray(self.x_prev[rows]), np.asarray(self.x_next[rows])
        z, groups = self.task.rows(rows), self.split.index.rows[rows]
        first, second = self._clone(prev, z, groups), self._clone(after, z, groups)
        difference = _predict(second, after) - _predict(first, prev)
        return RowProbes(
            prev=first,
            next=second,
            joint=self._clone(np.concatenate([prev, after], axis=1), z, groups),
            slope_prev=self._clone(prev, -difference, groups, slope=True),
            slope_next=self._clone(after, difference, groups, slope=True),
        )

    def _clone(self, x: Array, z: Array, groups: npt.NDArray[np.intp], *, slope: bool = False) -> Any:
        from sklearn.base import clone, is_classifier
        from sklearn.utils.validation import has_fit_parameter

        from estimators.probes.ridge import StreamingRidge

        labelled = is_classifier(self.probe)
        probe = StreamingRidge(PENALTIES, relative=True) if labelled and slope else clone(self.probe)
        options = {"groups": groups} if has_fit_parameter(probe, "groups") else {}
        try:
            if labelled and not slope:
                return _Probabilities(probe.fit(x, z.argmax(axis=1), **options), z.shape[1])
            # One output goes in as a vector, which regressors without multi-output support take as well.
            return probe.fit(x, z if z.shape[1] > 1 else z[:, 0], **options)
        except SkipItError:
            raise
        except Exception as error:  # of a probe that the user brings, which may raise anything
            classes = f" with {len(np.unique(z.argmax(axis=1)))} of {z.shape[1]} classes" if labelled else ""
            raise InvalidInputError(
                f"need a probe that can be fitted on part of the images, {type(probe).__name__} gives on {len(x)} rows"
                f"{classes}: {causes(error)}"
            ) from error


@dataclass(frozen=True, slots=True, eq=False)
class _Probabilities:
    """A fitted classifier as a regressor of one-hot labels; classes it never saw get probability 0."""

    classifier: Any
    n_classes: int

    @property
    def lipschitz_(self) -> float | None:
        constant = getattr(self.classifier, "lipschitz_", None)
        return None if constant is None else float(constant)

    def predict(self, x: Array) -> Array:
        """Probabilities of shape (n, n_classes)."""
        out = np.zeros((len(x), self.n_classes))
        out[:, self.classifier.classes_] = self.classifier.predict_proba(x)
        return out


def _predict(probe: Any, x: Array) -> Array:
    out = np.asarray(probe.predict(x), dtype=np.float64)
    return out.reshape(len(x), -1)
