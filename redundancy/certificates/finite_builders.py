"""How a layer-pair certificate is made of finite layers: from codes in one alphabet, or from a known law."""

from __future__ import annotations

from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from redundancy.bounds import braun_pokutta, fano, laws, lipschitz, mismatch, performance_gap, pinsker, tail
from redundancy.bounds.task_range import task_range
from redundancy.certificates.certificate import BoundCertificate
from redundancy.certificates.certifying import RHO_MAX, Declaration, Declared, check_units
from redundancy.certificates.pair_builders import PairFields
from redundancy.checks import as_floats, check_count, check_joint, to_numpy
from redundancy.concentration.betting import betting_upper
from redundancy.concentration.exchangeability import alarm
from redundancy.distances import ball_masses, ball_sizes, check_distances
from redundancy.errors import InvalidInputError
from redundancy.info.joint import check_values
from redundancy.sampling import hash_order
from redundancy.statistics.streaming import index_images

__all__ = ["CodeOptions", "LawOptions", "LawPlace", "pair_of_codes", "pair_of_law"]

_MOST_KAPPA = 256  # task values up to which the mismatch constant is enumerated


class CodeOptions(Declared, total=False):
    """What `LayerPairCertificate.from_codes` takes besides codes, ids and the size of the alphabet."""

    task_values: npt.ArrayLike | None
    base: float
    layer: int
    group: str


class LawOptions(TypedDict, total=False):
    """What is said of every known law of a profile."""

    distances: npt.ArrayLike | None
    t: float
    task_values: npt.ArrayLike | None
    base: float
    alpha: float
    beta: float


class LawPlace(LawOptions, total=False):
    """What is said of one known law: the options of all, and which layer and group it is of."""

    layer: int
    group: str


def pair_of_codes(
    prev_codes: npt.ArrayLike,
    next_codes: npt.ArrayLike,
    ids: npt.ArrayLike,
    *,
    n_codes: int,
    task_values: npt.ArrayLike | None = None,
    base: float = 2.0,
    layer: int = 0,
    group: str = "all",
    **declared: Unpack[Declared],
) -> PairFields:
    """Certify finite codes of both layers in one alphabet of `n_codes` symbols, fixed on other data.

    Parameters
    ----------
    prev_codes, next_codes : array_like of int, shape (n_tokens,)
    ids : array_like of shape (n_tokens,)
    n_codes : int
        K >= 2, declared.
    task_values : array_like of shape (n_values,) or (n_values, n_dims), optional
        All values the task can take; adds bounds on the functional gap of the codes.
    base, layer, group, **declared
        As `pair_of_arrays`.

    Returns
    -------
    PairFields

    Raises
    ------
    InvalidInputError
        For codes or ids that do not fit, or fewer than two images.
    """
    declaration = Declaration(**declared)
    size = check_count(n_codes, "n_codes", lower=2)
    first, second = to_numpy(next_codes, "next_codes"), to_numpy(prev_codes, "prev_codes")
    if first.ndim != 1 or first.shape != second.shape or first.size == 0:
        raise InvalidInputError(f"need two code vectors of one length, got shapes {second.shape} and {first.shape}")
    for name, codes in (("prev_codes", second), ("next_codes", first)):
        if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= size:
            raise InvalidInputError(
                f"need integer codes in 0..{size - 1} in {name}, got dtype {codes.dtype} and a range of "
                f"{codes.min()} to {codes.max()}"
            )
    index = index_images(ids, first.size)
    n_images = len(index.names)
    check_units(n_images)
    order = hash_order(index.names, declaration.salt)
    mismatches = np.bincount(index.rows, weights=first != second, minlength=n_images)
    differ = betting_upper(
        values=mismatches[order],
        counts=index.counts[order],
        estimand=declaration.estimand,
        count_max=declaration.count_max,
        quantity="mismatch_prob",
        confidence_level=declaration.level(1),
        order=declaration.order,
    )
    # The bound on H(next | previous) is one on H(previous | next) as well: both miss when the codes differ.
    entropy = fano.list_upper(miss_prob=differ, list_size=1, support_size=size, base=base)
    statements = [differ, entropy]
    if task_values is not None:
        statements += _task_statements(differ, entropy, entropy, check_values(task_values), base)
    return PairFields(
        layer=layer,
        group=group,
        n_images=n_images,
        n_tokens=first.size,
        statements=tuple(statements),
        population=declaration.population,
        notes=(f"states are codes in an alphabet of {size}, fixed on other data",),
        n_samples=None,
        units_assumed=False,
        order_e_value=alarm(mismatches / index.counts),
    )


def pair_of_law(
    joint: npt.ArrayLike,
    *,
    distances: npt.ArrayLike | None = None,
    t: float = 0.05,
    task_values: npt.ArrayLike | None = None,
    base: float = 2.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    layer: int = 0,
    group: str = "law",
) -> PairFields:
    """Everything the theorems say of a known finite joint with axes (x_next, x_prev) or (x_next, x_prev, z).

    More than eight parameters: the law's own options, and what the record says of it.

    Parameters
    ----------
    joint : array_like of shape (K, K) or (K, K, n_z)
    distances : array_like of shape (K, K), optional
        Symmetric cosine distances between symbols, in [0, 2]; without them only codes are compared.
    t : float
        Radius for the printed forms; the sharpened ones optimise it.
    task_values : array_like of shape (n_z,) or (n_z, n_dims), optional
        Values of z; needs a joint with three axes.
    base, alpha, beta, layer, group

    Returns
    -------
    PairFields

    Raises
    ------
    InvalidInputError
        If the joint is no law over one alphabet, or distances or task values do not fit it.
    """
    table = as_floats(joint, "joint")
    table = check_joint(table, ndim=3 if table.ndim == 3 else 2)
    pair = table.sum(axis=2) if table.ndim == 3 else table
    if pair.shape[0] != pair.shape[1]:
        raise InvalidInputError(f"need one alphabet for both layers, got shape {pair.shape}")
    forward = laws.forward_entropy_of_law(joint=pair, base=base)
    backward = laws.backward_entropy_of_law(joint=pair, base=base)
    differ = laws.law_mismatch(joint=pair)
    statements = [forward, backward, differ]
    if distances is not None:
        statements += _law_distance_statements(pair, check_distances(distances), t, base, alpha, beta)
    if task_values is not None:
        if table.ndim != 3:
            raise InvalidInputError(f"need a joint with axes (x_next, x_prev, z) for task_values, got {table.shape}")
        values = check_values(task_values, table.shape[2])
        statements.append(laws.gap_of_law(joint=table, task_values=values))
        statements += _task_statements(differ, forward, backward, values, base)
        information = laws.information_of_law(joint=table, base=base)
        diameter = task_range(values).diameter
        statements += [
            information,
            performance_gap.performance_gap_upper(unique_information=information, diameter=diameter, base=base),
        ]
    return PairFields(
        layer=layer,
        group=group,
        n_images=0,
        n_tokens=0,
        statements=tuple(statements),
        population="none: the law is given",
        notes=(),
        n_samples=None,
        units_assumed=False,
        order_e_value=None,
    )


def _law_distance_statements(
    pair: npt.NDArray[np.float64], rho: npt.NDArray[np.float64], t: float, base: float, alpha: float, beta: float
) -> list[BoundCertificate]:
    if rho.max() > RHO_MAX:
        raise InvalidInputError(f"need cosine distances in [0, {RHO_MAX:g}], got a maximum of {rho.max():.6g}")
    mean = laws.law_distance(joint=pair, distances=rho)
    strict = laws.law_tail(joint=pair, distances=rho, t=t)
    closed = laws.law_tail_closed(joint=pair, distances=rho, t=t)
    sizes = ball_sizes(rho, t)
    masses = ball_masses(rho, pair.sum(axis=0), t)
    statements = [
        mean,
        strict,
        closed,
        tail.sandwich_upper(tail_prob=strict, t=t, rho_max=RHO_MAX),
        tail.sandwich_lower(tail_prob_closed=closed, t=t, rho_max=RHO_MAX),
        lipschitz.printed_upper(mean_distance=mean, alpha=alpha, beta=beta),
        lipschitz.unit_norm_upper(mean_distance=mean, alpha=alpha, beta=beta),
        fano.best_radius_upper(joint=pair, distances=rho, base=base),
        fano.best_shells_upper(joint=pair, distances=rho, base=base),
        braun_pokutta.best_radius_lower(joint=pair, distances=rho, base=base),
    ]
    size, smallest, largest = len(pair), int(sizes.min()), int(sizes.max())
    if largest > 0 and (smallest < size or strict.interval.upper == 0.0):
        statements.append(
            fano.printed_upper(tail_prob=strict, support_size=size, ball_min=smallest, ball_max=largest, base=base)
        )
    if masses.max() > 0.0 and (masses.min() < 1.0 or strict.interval.upper == 0.0):
        statements.append(
            braun_pokutta.printed_lower(
                tail_prob=strict,
                ball_prob_min=float(masses.min()),
                ball_prob_max=min(1.0, float(masses.max())),
                support_size=size,
                base=base,
            )
        )
    return statements


def _task_statements(
    differ: BoundCertificate,
    forward: BoundCertificate,
    backward: BoundCertificate,
    values: npt.NDArray[np.float64],
    base: float,
) -> list[BoundCertificate]:
    """Bounds on the functional gap of codes: without a chain first, then under either one (label A)."""
    if len(values) > _MOST_KAPPA:
        raise InvalidInputError(f"need at most {_MOST_KAPPA} task values, got {len(values)}; group them")
    limits = task_range(values)
    return [
        mismatch.mismatch_upper(mismatch_prob=differ, task_values=values),
        pinsker.free_entropy_upper(
            forward_entropy=forward,
            backward_entropy=backward,
            radius=limits.radius,
            diameter=limits.diameter,
            base=base,
        ),
        pinsker.printed_upper(conditional_entropy=forward, norm_bound=limits.norm_bound, base=base),
        pinsker.chain_entropy_upper(chain="prev-next-task", entropy=forward, radius=limits.radius, base=base),
        pinsker.chain_entropy_upper(chain="next-prev-task", entropy=backward, radius=limits.radius, base=base),
        performance_gap.performance_gap_upper(unique_information=forward, diameter=limits.diameter, base=base),
    ]
