"""Functional redundancy from activations: one call from two layers' states and a task to a `FunctionalRedundancy`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.folds import ImageFolds, image_folds
from estimators.functional.certify import certify
from estimators.functional.features import FourierStates, fourier_states, pooled_states
from estimators.functional.linear import Affine, LinearEngine
from estimators.functional.result import EstimateWarning, FunctionalRedundancy
from estimators.functional.rows import RowEngine, regressor
from estimators.functional.scores import (
    NAMES,
    ScoreSums,
    clustered_error,
    independent_rows,
    jackknife_error,
    score_images,
    t_quantile,
)
from estimators.functional.theorems import estimated_constants, theorem_values
from estimators.probes.lipschitz_constants import spectral_norm
from redundancy.certificates.certificate import BoundCertificate
from redundancy.checks import as_states, check_real
from redundancy.concentration.sample import ESTIMANDS
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval
from redundancy.task import Task, read_task

__all__ = ["functional_redundancy"]

Array = npt.NDArray[np.float64]

FEW_IMAGES = 200  # below, the jackknife covers better than the sum of squared scores
FEW_OF_A_CLASS = 5  # images of a class below which the interval was measured to fall short
MOST_FEATURES = 1 / 3  # effective features per image of a half beyond which coverage falls short
MOST_COMPONENTS = 200  # random features of the kernel class; fewer on few images, see the warning on dimension
INFLATION = 3.0  # of the variance, per effective feature and independent row of a half; measured 2 to 5
_UNIT = 1e-3  # how far from 1 a norm may be for the states to count as unit-norm
_BLOCK = 4096
_VIEWS = ("token", "pooled", "full")


def functional_redundancy(
    x_prev: Any,
    x_next: Any,
    target: npt.ArrayLike,
    *,
    ids: npt.ArrayLike,
    folds: int = 5,
    probe: Any = "ridge",
    confidence_level: float = 0.95,
    random_state: int = 0,
    estimand: str = "image_average",
    count_max: int | None = None,
    view: str = "token",
    target_range: tuple[float, float] | None = None,
    n_classes: int | None = None,
    codes: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    n_components: int | None = None,
    device: str | None = None,
) -> FunctionalRedundancy:
    r"""Estimate and bound :math:`E\|E[Z|X_{next}] - E[Z|X_{prev}]\|^2` for a layer pair.

    More than eight parameters: those of the data, of the probes, and of the declaration that the bounds rest on.

    Parameters
    ----------
    x_prev, x_next : array of shape (n_rows, d_prev), (n_rows, d_next)
        States of the two layers, row by row of the same token (or image); may be memory-mapped.
    target : array_like of shape (n_rows,) or (n_rows, q)
        Z: labels, one-hot rows, answer distributions (rows that sum to 1), or real vectors.
    ids : array_like of shape (n_rows,)
        Image of every row. Images are the independent units: folds never split one.
    folds : int, default=5
    probe : {"ridge", "kernel", "mlp"} or estimator, default="ridge"
        The probe class. "kernel" is the span of random Fourier features (a tenth of the images, at most 200); an
        estimator is cloned, and given ``groups`` if its fit takes them; of a classifier the probabilities count.
    confidence_level : float, default=0.95
        Of the interval, and jointly of all certificates.
    random_state : int, default=0
        Of the folds and of random features.
    estimand : {"image_average", "token_pooled"}
        Whether images or rows weigh equally. Probes other than ridge are fitted with rows weighing equally.
    count_max : int, optional
        Declared most rows of an image, for certificates on pooled tokens.
    view : {"token", "pooled", "full"}
        What a row is; recorded, because the number means nothing without it.
    target_range : (float, float), optional
        Declared range of each coordinate of a real-valued Z, without which its losses cannot be certified.
    n_classes : int, optional
        Declared number of classes.
    codes : pair of array_like of shape (n_rows,), optional
        Codes of the two layers in one alphabet fitted on other images, for the mismatch bound.
    alpha, beta : float, optional
        Lipschitz constants of E[Z | both layers] in the next and in the previous state, as stated by the user for
        Theorems 1 and 2; estimated from the joint linear probe if both are left out.
    n_components : int, optional
        Project both layers on that many principal components of the two pooled (of half of the images) first; the
        probe class says so. For more features than the images can carry.
    device : str, optional
        A torch device for the products of the ridge probes.

    Returns
    -------
    FunctionalRedundancy

    Raises
    ------
    InvalidInputError
        For layers of different length, NaN, one class, too few images, or ids that are not one per row.

    Warns
    -----
    EstimateWarning
        Where the interval was measured to fall short, or only its upper limit means anything.

    Notes
    -----
    The ridge path reads the rows a few times, block by block, and holds ``2 folds (d_prev + d_next)^2`` numbers
    whatever their number: 1.3 GB for two layers of 2048 features; `n_components` makes it less. Other probes hold
    the rows of a half.

    References
    ----------
    .. [1] Definition 3 of arXiv:2509.25584; the one-step estimator is the efficient correction of its plug-in, with
       the two factors of every product fitted on disjoint halves so that their variances cancel.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = np.repeat(np.arange(300), 4)
    >>> x = rng.standard_normal((1200, 3))
    >>> z = x[:, 0] + 0.5 * x[:, 1]  # the next layer loses the second coordinate, worth 0.25
    >>> result = functional_redundancy(x, x[:, [0, 2]], z, ids=images, target_range=(-9.0, 9.0))
    >>> bool(abs(result.estimate - 0.25) < 0.05), 0.25 in result.interval
    (True, True)
    """
    x_prev, x_next = as_states(x_prev, "x_prev"), as_states(x_next, "x_next")
    n_rows = _check_layers(x_prev, x_next)
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    if estimand not in ESTIMANDS:
        raise InvalidInputError(f"need an estimand among {ESTIMANDS}, got {estimand!r}")
    if view not in _VIEWS:
        raise InvalidInputError(f"need a view among {_VIEWS}, got {view!r}")
    if (alpha is None) != (beta is None):
        raise InvalidInputError(f"need both alpha and beta or neither, got alpha={alpha} and beta={beta}")
    task = read_task(target, n_rows, target_range=target_range, n_classes=n_classes)
    split = image_folds(ids, n_rows, folds=folds, random_state=random_state)
    smallest, largest = _norm_range(x_prev, x_next)
    prev, after = x_prev, x_next
    half = np.flatnonzero(split.row_half == 0)
    if n_components is not None:
        prev, after = pooled_states(x_prev, x_next, half, n_components=n_components)
    if isinstance(probe, str) and probe == "kernel":
        size = min(MOST_COMPONENTS, max(split.n_images // 10, 4))
        prev, after = fourier_states(prev, after, half, n_components=size, random_state=random_state)
    engine = _engine(prev, after, task, split, probe, estimand, random_state, device)
    if n_components is not None:
        engine.probe_class += f" on {n_components} pooled principal components"

    scores = score_images(prev, after, task, split, engine, estimand)
    mean = dict(zip(NAMES, scores.mean().tolist(), strict=True))
    dof = engine.effective_dof()
    error, method = _standard_error(scores, engine, dof, split)
    doubts = [*_doubts(dof, split, engine), *_rare_classes(task, split)]
    remarks = _remarks(mean["gap"], error, split, level, task)
    two_sided = t_quantile(0.5 + level / 2.0, split.n_images) * error
    bracket, widened = _bracket(scores, level)

    predict_prev, predict_next, lipschitz_prev, lipschitz_next = _certifying(engine)
    if isinstance(prev, FourierStates) and isinstance(after, FourierStates):
        lipschitz_prev, lipschitz_next = (
            None if constant is None else constant * states.lipschitz
            for constant, states in ((lipschitz_prev, prev), (lipschitz_next, after))
        )
    unit_norm = smallest > 1.0 - _UNIT and largest < 1.0 + _UNIT
    with_distance = smallest > 0.0 and x_prev.shape[1] == x_next.shape[1]
    certified = certify(
        prev,
        after,
        task,
        split,
        predict_prev,
        predict_next,
        confidence_level=level,
        estimand=estimand,
        count_max=count_max,
        codes=codes,
        distances_of=(x_prev, x_next) if with_distance else None,
    )
    stated = alpha is not None and beta is not None
    constants = (alpha, beta) if alpha is not None and beta is not None else None
    # Constants of a kernel probe live in its feature space; those of the theorems are about states.
    linear = engine if isinstance(engine, LinearEngine) and not isinstance(prev, FourierStates) else None
    if constants is None and linear is not None:
        constants = estimated_constants(linear)
    theorems: tuple[BoundCertificate, ...] = ()
    if constants is not None:
        theorems = theorem_values(
            x_prev,
            x_next,
            constants=constants,
            stated=stated,
            unit_norm=unit_norm,
            mean_distance=certified.mean_distance,
            residuals=linear.between_layers() if linear is not None and prev is x_prev else None,
            errors=(certified.error_prev, certified.error_next),
            cap=task.cap,
        )
    for note in (*doubts, *remarks):
        warnings.warn(note, EstimateWarning, stacklevel=2)
    return FunctionalRedundancy(
        estimate=mean["gap"],
        interval=Interval(mean["gap"] - two_sided, mean["gap"] + two_sided),
        upper_limit=mean["gap"] + t_quantile(level, split.n_images) * error,
        standard_error=error,
        confidence_level=level,
        method=method,
        usable=not doubts,
        bracket=bracket,
        bracket_interval=widened,
        gain_prev=mean["error_prev"] - mean["error_joint"],
        gain_next=mean["error_next"] - mean["error_joint"],
        plug_in=mean["plug_in"],
        probe_gap=certified.probe_gap,
        error_prev=certified.error_prev,
        error_next=certified.error_next,
        certified=certified.statements,
        theorems=theorems,
        alpha=None if constants is None else constants[0],
        beta=None if constants is None else constants[1],
        lipschitz_prev=lipschitz_prev,
        lipschitz_next=lipschitz_next,
        n_rows=n_rows,
        n_images=split.n_images,
        n_features=(int(x_prev.shape[1]), int(x_next.shape[1])),
        effective_dof=dof,
        folds=folds,
        probe_class=engine.probe_class,
        view=view,
        task=task.description,
        estimand=estimand,
        random_state=random_state,
        warnings=(*doubts, *remarks),
    )


def _check_layers(x_prev: Any, x_next: Any) -> int:
    if len(x_prev) != len(x_next):
        raise InvalidInputError(
            f"need layers of one length, got {len(x_prev)} rows in x_prev and {len(x_next)} in x_next; "
            "row i of both must be the same token"
        )
    return len(x_prev)


def _norm_range(x_prev: Any, x_next: Any) -> tuple[float, float]:
    """Smallest and largest norm of a state of either layer; NaN and infinity are refused here."""
    smallest, largest = math.inf, 0.0
    for name, array in (("x_prev", x_prev), ("x_next", x_next)):
        for start in range(0, len(array), _BLOCK):
            norms = np.linalg.norm(np.asarray(array[start : start + _BLOCK], dtype=np.float64), axis=1)
            bad = np.flatnonzero(~np.isfinite(norms))
            if bad.size:
                raise InvalidInputError(
                    f"need finite states in {name}, got NaN or infinity in row {start + int(bad[0])}; drop such rows"
                )
            smallest, largest = min(smallest, float(norms.min())), max(largest, float(norms.max()))
    return smallest, largest


def _engine(
    x_prev: Any,
    x_next: Any,
    task: Task,
    split: ImageFolds,
    probe: Any,
    estimand: str,
    random_state: int,
    device: str | None,
) -> LinearEngine | RowEngine:
    if isinstance(probe, str) and probe in ("ridge", "kernel"):
        counts = split.index.counts
        weights = None
        if estimand == "image_average" and len(set(counts.tolist())) > 1:
            weights = (len(split.index.rows) / split.n_images / counts)[split.index.rows]
        replicas = 2 if 4 * split.n_folds <= split.n_images < FEW_IMAGES else 1
        engine = LinearEngine(x_prev, x_next, task, split, row_weights=weights, replicas=replicas, device=device)
        if probe == "kernel":
            engine.probe_class = f"gaussian kernel ({x_prev.shape[1]} random features)"
        return engine
    return RowEngine(x_prev, x_next, task, split, probe=regressor(probe, task, random_state))


def _standard_error(
    scores: ScoreSums, engine: LinearEngine | RowEngine, dof: float | None, split: ImageFolds
) -> tuple[float, str]:
    # Scores given the probes miss the variance of products of the probes' own errors, which grows with the dimension.
    half = independent_rows(scores) * (split.n_folds - 1) / (2.0 * split.n_folds)
    inflation = math.sqrt(1.0 + INFLATION * (dof or 0.0) / half)
    clustered = float(clustered_error(scores)[0]) * inflation
    if isinstance(engine, LinearEngine) and split.n_images < FEW_IMAGES:
        jackknife, groups = jackknife_error(engine)
        # The quantile of the few groups is folded in here, so that one formula serves for all intervals.
        ratio = t_quantile(0.975, groups) / t_quantile(0.975, split.n_images)
        return float(jackknife[0]) * ratio, f"double-split one-step, jackknife over {groups} groups of images"
    return clustered, "double-split one-step, image-clustered scores"


def _doubts(dof: float | None, split: ImageFolds, engine: LinearEngine | RowEngine) -> list[str]:
    """Why the interval may not cover; empty where its coverage was measured to be nominal."""
    half = split.n_images * (split.n_folds - 1) / (2.0 * split.n_folds)
    if dof is None:
        return [
            f"the probe {engine.probe_class} does not tell its effective number of features, so the interval cannot be "
            "trusted to cover; compare with probe='ridge' on more images"
        ]
    if dof > MOST_FEATURES * half:
        return [
            f"the probe uses {dof:.0f} effective features on {half:.0f} images of a half, more than a third, and the "
            f"interval may fall short; pass n_components={max(split.n_images // 20, 1)} or so, or take more images"
        ]
    return []


def _rare_classes(task: Task, split: ImageFolds) -> list[str]:
    """Classes that too few images have: folds without one leave errors that no resampling of images shows."""
    if task.kind not in ("labels", "one_hot"):
        return []
    numbers = task.values if task.kind == "labels" else task.values.argmax(axis=1)
    seen = np.unique(numbers.astype(np.int64) * split.n_images + split.index.rows) // split.n_images
    rare = np.flatnonzero(np.bincount(seen, minlength=task.n_outputs) < FEW_OF_A_CLASS)
    if not rare.size:
        return []
    fewest = int(np.bincount(seen, minlength=task.n_outputs).min())
    return [
        f"{rare.size} of {task.n_outputs} classes occur in fewer than {FEW_OF_A_CLASS} images (one in {fewest}), so "
        "neither the interval nor upper_limit can be trusted to cover; take more images of them, or merge classes"
    ]


def _remarks(estimate: float, error: float, split: ImageFolds, level: float, task: Task) -> list[str]:
    """What to read, or to declare; the interval stays as good as it is."""
    remarks = []
    if estimate < t_quantile(0.5 + level / 2.0, split.n_images) * error:
        remarks.append("the estimate is within its error of 0: read upper_limit, a one-sided statement")
    if task.squared_diameter is None:
        remarks.append("a real-valued target has no declared range: pass target_range to certify its losses")
    return remarks


def _bracket(scores: ScoreSums, level: float) -> tuple[Interval, Interval]:
    """``(sqrt A -+ sqrt B)^2`` at the estimates, and with each gain moved to the far end of its interval."""
    column = {name: k for k, name in enumerate(NAMES)}
    values = scores.values
    gains = np.stack(
        [values[:, column[f]] - values[:, column["error_joint"]] for f in ("error_next", "error_prev")], axis=1
    )
    mean = gains.sum(axis=0) / scores.weights.sum()
    error = clustered_error(scores, gains) * t_quantile(0.75 + level / 4.0, len(values))  # the two share the error
    low, mid, high = (np.sqrt(np.maximum(mean + sign * error, 0.0)) for sign in (-1.0, 0.0, 1.0))
    apart = max(low[0] - high[1], low[1] - high[0], 0.0)
    return (
        Interval(float((mid[0] - mid[1]) ** 2), float((mid[0] + mid[1]) ** 2)),
        Interval(float(apart**2), float((high[0] + high[1]) ** 2)),
    )


def _certifying(engine: LinearEngine | RowEngine) -> tuple[Any, Any, float | None, float | None]:
    """Predictors of previous and next fitted on half 0, and their Lipschitz constants where they are known."""
    if isinstance(engine, LinearEngine):
        first, second, _ = engine.certifying()
        d = engine.d
        prev, after = Affine(first.weights[:d], first.offset), Affine(second.weights[d:], second.offset)
        constants = spectral_norm(prev.weights), spectral_norm(after.weights)
        return _apply(prev), _apply(after), *constants
    fitted = engine.certifying()
    limits = [getattr(p, "lipschitz_", None) for p in fitted]
    return _rows(fitted[0]), _rows(fitted[1]), limits[0], limits[1]


def _apply(affine: Affine) -> Any:
    return lambda x: x @ affine.weights + affine.offset


def _rows(probe: Any) -> Any:
    return lambda x: np.asarray(probe.predict(x), dtype=np.float64).reshape(len(x), -1)
