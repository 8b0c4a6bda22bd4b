"""Scan an activation store: every adjacent pair of layers, late entries (0, l) and exits (l, L), in one call."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.codes.codebook import Codebook, choose_fit_images, fit_codebook
from estimators.codes.kmeans import unit_rows
from estimators.codes.pairs import CodedPair
from estimators.entropy import (
    conditional_entropy_estimate,
    conditional_entropy_upper,
    mutual_information_estimate,
    mutual_information_lower,
)
from estimators.functional import EstimateWarning, functional_redundancy
from estimators.functional.scores import t_quantile
from estimators.scan.result import LayerScan, PairScan
from estimators.store import ActivationStore, LayerView
from estimators.unique import unique_information_estimate
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError, SkipItError
from redundancy.interrupts import interrupts_held, leave_interrupts
from redundancy.interval import Interval

__all__ = ["KINDS", "UnitView", "scan_layers"]

KINDS = ("adjacent", "entry", "exit")
_PARTS = 3  # of a pair's error: functional, entropy, information
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class UnitView:
    """Rows of a view scaled to length 1 as they are read: the directions that cosine distance sees.

    Parameters
    ----------
    view : LayerView or ndarray
        What is read.
    """

    def __init__(self, view: LayerView) -> None:
        self._view = view
        self.shape, self.ndim, self.dtype = view.shape, 2, np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> npt.NDArray[np.float32]:
        return unit_rows(self._view[key], "stored states")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What a process needs to know to work on one pair."""

    path: str
    group: str | None
    rows: npt.NDArray[np.intp]
    prev: int
    next: int
    kinds: tuple[str, ...]
    target: npt.NDArray[Any]
    n_classes: int | None
    labels: npt.NDArray[np.int64]
    fine: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    coarse: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    books: tuple[Codebook, Codebook]
    settings: dict[str, Any]


def scan_layers(
    store: ActivationStore,
    *,
    target: str = "answer",
    kinds: Sequence[str] = KINDS,
    confidence_level: float = 0.95,
    n_codes: int = 64,
    atom_codes: int = 8,
    fit_share: float = 0.25,
    folds: int = 5,
    probe: str = "ridge",
    normalise: bool = True,
    n_bootstrap: int = 60,
    base: float = 2.0,
    jobs: int = 1,
    random_state: int = 0,
    device: str | None = None,
    progress: bool | None = None,
) -> LayerScan:
    """Estimate and bound what each pair of depths shares, about a task and in itself.

    More than eight parameters: each is one choice of the analysis, and the result records them all.

    Parameters
    ----------
    store : ActivationStore
    target : str, default="answer"
        Field of the samples' records that holds the task label, or "answers" for the model's own answer
        distribution (its most likely answer serves as label for unique information).
    kinds : sequence of str
        Out of "adjacent", "entry" (0, l) and "exit" (l, L).
    confidence_level : float, default=0.95
        Of each pair's interval; of all certificates of all pairs jointly (the error is split equally).
    n_codes, atom_codes : int
        Codes for entropies, and for unique information, whose tables have a cell for every two codes and label.
    fit_share : float, default=0.25
        Share of the images that fit the two codebooks, for all depths together; everything else rests on the rest.
    folds, probe, device
        As `functional_redundancy`.
    normalise : bool, default=True
        Whether probes see directions (states of unit norm), as Theorem 1 and the cosine distance do.
    n_bootstrap : int, default=60
        Resamples of images for unique information; 0 leaves it out.
    base : float, default=2
    jobs : int, default=1
        Processes; more than one needs a script with ``if __name__ == "__main__"``.
    random_state : int, default=0
        Of all splits and fits.
    progress : bool, optional
        Progress bar; by default on a terminal once the scan takes over two seconds.

    Returns
    -------
    LayerScan
        A pair that could not be handled has its `error` and stops no other.

    Raises
    ------
    InvalidInputError
        For an unknown field, one class only, or too few images.
    """
    pairs = _pairs(store.depths, kinds)
    level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    fit_images = choose_fit_images(store.image_ids, share=fit_share, random_state=random_state)
    rows = np.flatnonzero(~np.isin(store.image_ids, sorted(fit_images)))
    values, labels, n_classes = _task(store, target)
    if len(np.unique(labels[rows])) < 2:
        raise InvalidInputError(
            f"need at least two classes in {target!r}, got one only in the {len(np.unique(store.image_ids[rows]))} "
            "images that are scanned; choose another target"
        )
    views = {depth: store.layer(depth) for depth in store.depths}
    settings = {
        "confidence_level": level,
        "joint_level": 1.0 - (1.0 - level) / (_PARTS * len(pairs)),
        "folds": folds,
        "probe": probe,
        "normalise": normalise,
        "n_bootstrap": check_count(n_bootstrap, "n_bootstrap"),
        "base": base,
        "random_state": random_state,
        "device": device,
    }
    with _bar(2 + len(views) + len(pairs), progress) as bar:
        books = []
        for size in (n_codes, atom_codes):
            book = fit_codebook(
                list(views.values()),
                store.image_ids,
                n_codes=size,
                fit_images=fit_images,
                random_state=random_state,
                device=device,
            )
            books.append(book)
            bar.update(1)
        ids = store.image_ids[rows]
        fine, coarse = {}, {}
        for depth, view in views.items():
            held_out = view.of_rows(rows)
            fine[depth], coarse[depth] = (book.encode(held_out, ids, device=device)[0] for book in books)
            bar.update(1)
        todo = [
            _Job(
                path=str(store.path),
                group=store.group,
                rows=rows,
                prev=prev,
                next=after,
                kinds=names,
                target=values[rows],
                n_classes=n_classes,
                labels=labels[rows],
                fine=(fine[prev], fine[after]),
                coarse=(coarse[prev], coarse[after]),
                books=(books[0], books[1]),
                settings=settings,
            )
            for (prev, after), names in pairs.items()
        ]
        found = []
        for result in _run(todo, store, check_count(jobs, "jobs", lower=1)):
            found.append(result)
            bar.update(1)
    return LayerScan(
        model=str(store.spec["model"]),
        group=store.group or "+".join(store.spec["groups"]),
        task=target,
        pairs=tuple(sorted(found, key=lambda pair: (pair.next, pair.prev))),
        confidence_level=level,
        n_images=len(np.unique(ids)),
        n_fit_images=len(fit_images),
        n_tokens=len(rows),
        codebook=books[0].sha256,
        atom_codebook=books[1].sha256,
        settings=settings,
    )


def _pairs(depths: tuple[int, ...], kinds: Sequence[str]) -> dict[tuple[int, int], tuple[str, ...]]:
    """Pairs of stored depths and what each stands for."""
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InvalidInputError(f"need kinds out of {KINDS}, got {tuple(kinds)}")
    if len(depths) < 2:
        raise InvalidInputError(f"need at least two stored depths to compare, got {depths}")
    wanted: dict[tuple[int, int], list[str]] = {}
    if "adjacent" in kinds:
        for pair in pairwise(depths):
            wanted.setdefault(pair, []).append("adjacent")
    if "entry" in kinds:
        for after in depths[1:]:
            wanted.setdefault((depths[0], after), []).append("entry")
    if "exit" in kinds:
        for prev in depths[:-1]:
            wanted.setdefault((prev, depths[-1]), []).append("exit")
    return {pair: tuple(names) for pair, names in sorted(wanted.items(), key=lambda item: item[0][::-1])}


def _task(store: ActivationStore, target: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], int | None]:
    """Task of each row for the probes, its label, and the number of classes if it is a label."""
    if target == "answers":
        values = store.answers()
        return values, values.argmax(axis=1).astype(np.int64), None
    labels, names = store.labels(target)
    if len(names) < 2:
        raise InvalidInputError(
            f"need at least two classes in {target!r}, got only {names[0]!r}; choose another target"
        )
    return labels, labels, len(names)


def _run(jobs: list[_Job], store: ActivationStore, n_processes: int) -> Iterator[PairScan]:
    if n_processes == 1:
        for job in jobs:
            yield _scan_pair(job, store)
        return
    # Fresh processes with one BLAS thread each: forked ones may inherit a locked thread pool.
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(n_processes, len(jobs)), mp_context=context, initializer=leave_interrupts)
        try:
            with interrupts_held():
                futures = [pool.submit(_scan_pair, job) for job in jobs]
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            # Whoever interrupts, or stops reading, waits for no pair that is being worked on.
            _stop(pool)
            raise
        pool.shutdown()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _stop(pool: ProcessPoolExecutor) -> None:
    # The executor can only wait for running work; its processes hold nothing that a kill could spoil.
    workers = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()


def _scan_pair(job: _Job, store: ActivationStore | None = None) -> PairScan:
    """All results of one pair; what can go wrong with its numbers is recorded, not raised."""
    if store is None:
        store = ActivationStore(job.path, group=job.group, verify=False)  # verified when the scan began
    result = PairScan(prev=job.prev, next=job.next, kinds=job.kinds)
    try:
        return _fill(result, job, store)
    except SkipItError as error:
        return replace(result, error=str(error))


def _fill(result: PairScan, job: _Job, store: ActivationStore) -> PairScan:
    settings = job.settings
    ids = store.image_ids[job.rows]
    x_prev, x_next = (_states(store, depth, job) for depth in (job.prev, job.next))
    shared = {"confidence_level": settings["joint_level"], "random_state": settings["random_state"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimateWarning)  # kept in the result
        functional = functional_redundancy(
            x_prev,
            x_next,
            job.target,
            ids=ids,
            folds=settings["folds"],
            probe=settings["probe"],
            n_classes=job.n_classes,
            view="token",
            device=settings["device"],
            **shared,
        )
    width = t_quantile(0.5 + 0.5 * settings["confidence_level"], functional.n_images) * functional.standard_error
    fine, coarse = (
        CodedPair.of(
            *codes,
            ids,
            n_codes=book.n_codes,
            distances=book.distances,
            source=f"codebook {book.sha256[:12]} ({book.note})",
        )
        for codes, book in zip((job.fine, job.coarse), job.books, strict=True)
    )
    base, plain = settings["base"], settings["confidence_level"]
    atoms = None
    if settings["n_bootstrap"]:
        atoms = unique_information_estimate(
            coarse,
            job.labels,
            confidence_level=plain,
            base=base,
            n_bootstrap=settings["n_bootstrap"],
            random_state=settings["random_state"],
        )
    return replace(
        result,
        functional=functional,
        interval=Interval(functional.estimate - width, functional.estimate + width),
        entropy=conditional_entropy_estimate(fine, confidence_level=plain, base=base),
        information=mutual_information_estimate(fine, confidence_level=plain, base=base),
        entropy_upper=conditional_entropy_upper(fine, base=base, **shared),
        information_lower=mutual_information_lower(fine, base=base, **shared),
        atoms=atoms,
    )


def _states(store: ActivationStore, depth: int, job: _Job) -> Any:
    view = store.layer(depth).of_rows(job.rows)
    return UnitView(view) if job.settings["normalise"] else view


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    # disable=None means: only on a terminal; delay: only once the scan takes long.
    return tqdm(total=total, desc="scan", unit="step", disable=None if progress is None else not progress, delay=2.0)
