"""Which samples of a run are one independent draw: those with the same pixels, or with the same declared group."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from extraction.data.items import Sample
from extraction.data.pictures import pixels_digest
from redundancy.errors import InvalidInputError

__all__ = ["settle_units"]


def settle_units(samples: Sequence[Sample]) -> tuple[list[Sample], dict[str, str]]:
    """Samples with `pixels` and `unit`, and why the others cannot be read.

    The unit is the declared group, or else the digest of the pixels; the coarser of the two: samples that share
    either, or are linked by others that do, are one unit. Every picture is decoded once, and none is kept.

    Parameters
    ----------
    samples : sequence of Sample
        All of the run, of other shards too: a unit may be spread over shards.

    Returns
    -------
    samples : list of Sample
        In the same order. One whose pictures cannot be read has no pixels; its unit is its group, or its own.
    faults : dict of str to str
        Sample ids and the reason, one sentence each.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = [np.full((2, 2), value, dtype=np.uint8) for value in (0, 0, 1)]
    >>> samples = [Sample(name, image, "what ?") for name, image in zip("abc", pixels, strict=True)]
    >>> found, faults = settle_units(samples)
    >>> found[0].unit == found[1].unit, found[0].unit == found[2].unit, faults
    (True, False, {})
    """
    known: dict[object, str] = {}  # many questions are about one file

    def digest(sample: Sample) -> tuple[str, str]:
        if sample.pixels:
            return sample.pixels, ""
        key = (*map(str, _listed(sample.image)), str(sample.video)) if _is_of_files(sample) else None
        try:
            if key not in known:
                found = pixels_digest([*sample.load_images(), *_frames(sample)])
                if key is None:
                    return found, ""
                known[key] = found
            return known[key], ""
        except InvalidInputError as error:
            return "", str(error)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoders and digests release the GIL
        digests = list(pool.map(digest, samples))
    units = _components([(s.group, pixels) for s, (pixels, _) in zip(samples, digests, strict=True)])
    settled = [
        replace(sample, pixels=pixels, unit=unit or f"unread:{sample.sample_id}")
        for sample, (pixels, _), unit in zip(samples, digests, units, strict=True)
    ]
    return settled, {s.sample_id: why for s, (_, why) in zip(samples, digests, strict=True) if why}


def _components(names: Sequence[tuple[str, str]]) -> list[str]:
    """One name for all that are linked by an equal group or equal pixels: the first group, else the pixels."""
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def root(key: tuple[int, str]) -> tuple[int, str]:
        while (above := parents.setdefault(key, key)) != key:
            parents[key] = parents[above]  # halves the way for the next
            key = parents[key]
        return key

    keys = [[(kind, name) for kind, name in enumerate(pair) if name] for pair in names]
    for group in keys:
        for key in group[1:]:
            first, second = sorted((root(group[0]), root(key)))  # groups before pixels, whatever the order
            parents[second] = first
    return [root(group[0])[1] if group else "" for group in keys]


def _frames(sample: Sample) -> Iterable[object]:
    frames = sample.load_video()
    return () if frames is None else frames


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _is_of_files(sample: Sample) -> bool:
    media = [*_listed(sample.image), *_listed(sample.video)]
    return all(one is None or isinstance(one, (str, os.PathLike)) for one in media)
