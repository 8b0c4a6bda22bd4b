"""Certificates of all layer pairs and token groups of a harvest, at one simultaneous confidence level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from redundancy._validate import check_real
from redundancy.bounds.lipschitz import printed_upper, unit_norm_upper
from redundancy.bounds.tail import sandwich_upper
from redundancy.certificate import RecheckReport, seal, unseal
from redundancy.concentration.betting import betting_upper
from redundancy.errors import InvalidInputError, StoreError
from redundancy.layer_pair import LayerPairCertificate
from redundancy.statistics import HarvestStatistics

__all__ = ["ProfileCertificate"]

SCHEMA = "skip-it/profile-certificate/1"
_LEAVES_PER_PAIR = 2  # mean distance and tail probability


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCertificate:
    """All pairs and groups; every certified statement holds jointly at `confidence_level`.

    Made by `from_statistics`. The estimand is the image average: the mean over images of the mean over an
    image's tokens.

    Parameters
    ----------
    confidence_level : float
        Joint level, by Bonferroni over `n_sampled` sampling statements.
    n_images : int
        Images harvested.
    pairs : tuple of LayerPairCertificate
        By group, then layer.
    population : str
        What the images are a sample of.
    statistics_digest : str
        Digest of the statistics that it was made from.
    """

    confidence_level: float
    n_images: int
    pairs: tuple[LayerPairCertificate, ...]
    population: str
    statistics_digest: str

    @classmethod
    def from_statistics(
        cls,
        statistics: HarvestStatistics,
        *,
        groups: Sequence[str] = ("vision", "text"),
        t: float = 0.05,
        alpha: float = 1.0,
        beta: float = 1.0,
        task_cap: float = 1.0,
        confidence_level: float = 0.95,
        population: str = "the population that the harvested samples were drawn from",
    ) -> ProfileCertificate:
        """Certify every adjacent pair of a harvest.

        Parameters
        ----------
        statistics : HarvestStatistics
            Of at least two images that all have tokens of every group.
        groups : sequence of str
            Token groups; part of the declaration, as each adds statements that share the error.
        t : float, default=0.05
            A harvested threshold for the tail probability.
        alpha, beta : float, default=1
            Declared Lipschitz constants for Theorem 1, whose conclusions carry the label A.
        task_cap : float, default=1
            An upper bound on the variance of the task variable, which no functional gap exceeds; 1 for one-hot.
        confidence_level : float, default=0.95
            Joint level of all statements.

        Raises
        ------
        InvalidInputError
            With fewer than two images, or a group that some image lacks.
        """
        confidence_level = check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
        n = statistics.n_samples
        if n < 2:
            raise InvalidInputError(f"need at least 2 images, the i.i.d. units of a certificate, got {n}")
        n_layers = statistics.spec.n_layers
        n_sampled = _LEAVES_PER_PAIR * n_layers * len(groups)
        level = 1.0 - (1.0 - confidence_level) / n_sampled
        pairs = []
        for group in groups:
            counts = statistics.pair_counts(group)
            if (counts == 0).any():
                row, column = np.argwhere(counts == 0)[0]
                raise InvalidInputError(
                    f"need tokens of group {group!r} in every image, {statistics.sample_ids[row]!r} has none with a "
                    f"distance at layer {column + 1}; certify other groups or drop the sample"
                )
            # Rounding may carry a mean of distances past the end of their range by an ulp.
            distances = np.clip(statistics.sample_distances(group), 0.0, 2.0)
            # The closed tail P[rho >= t] is what Definition 2 asks for, and bounds the open one of Prop. 1.
            tails = statistics.tail_counts(group, t, strict=False) / counts
            for layer in range(1, n_layers + 1):
                e = betting_upper(
                    values=distances[:, layer - 1], quantity="mean_distance", scale=2.0, confidence_level=level
                )
                p = betting_upper(values=tails[:, layer - 1], quantity="tail_prob_closed", confidence_level=level)
                derived = (
                    sandwich_upper(tail_prob=p, t=t, rho_max=2.0),
                    printed_upper(mean_distance=e, alpha=alpha, beta=beta, task_cap=task_cap),
                    unit_norm_upper(mean_distance=e, alpha=alpha, beta=beta, task_cap=task_cap),
                )
                pairs.append(
                    LayerPairCertificate(
                        layer=layer,
                        group=group,
                        n_images=n,
                        n_tokens=int(counts[:, layer - 1].sum()),
                        statements=(e, p, *derived),
                    )
                )
        return cls(
            confidence_level=confidence_level,
            n_images=n,
            pairs=tuple(pairs),
            population=population,
            statistics_digest=statistics.digest(),
        )

    @property
    def n_sampled(self) -> int:
        """Sampling statements that share the error."""
        return _LEAVES_PER_PAIR * len(self.pairs)

    def recheck(self) -> RecheckReport:
        """Recompute every statement, and that their sampling errors add up to the stated level."""
        problems = [p for pair in self.pairs for p in pair.recheck().problems]
        failures = {key: delta for pair in self.pairs for s in pair.statements for key, delta in s.failures}
        total = sum(failures.values())
        if total > (1.0 - self.confidence_level) * (1.0 + 1e-9):
            problems.append(
                f"the statements fail with probability up to {total:.6g}, above {1 - self.confidence_level:.6g}"
            )
        if any(pair.n_images != self.n_images for pair in self.pairs):
            problems.append(f"not every layer pair rests on {self.n_images} images")
        return RecheckReport(theorem="profile", problems=tuple(problems))

    def sentence(self) -> str:
        """What is and is not claimed, by the template of theory.md section 4."""
        return (
            f"With confidence at least {self.confidence_level:g} over the draw of {self.n_images} i.i.d. images from "
            f"{self.population}, jointly over {self.n_sampled} sampling statements, all bounds labelled C hold. "
            "Says nothing about: raw-state entropy, other populations, or the network with a layer removed."
        )

    def summary(self) -> str:
        """The sentence, and the certified pairs by group in words."""
        lines = [self.sentence()]
        for group in dict.fromkeys(pair.group for pair in self.pairs):
            own = [pair for pair in self.pairs if pair.group == group]
            close = [p for p in own if p.distance_upper is not None and p.distance_upper < 0.1]
            names = ", ".join(str(p.layer) for p in close) if close else "none"
            lines.append(f"{group}: mean distance certified below 0.1 at layers {names}.")
            vacuous = sum(s.is_vacuous for p in own for s in p.statements)
            lines.append(f"{group}: {vacuous} of {sum(len(p.statements) for p in own)} statements are vacuous.")
        return "\n".join(lines)

    def to_json(self) -> str:
        """Exact JSON: every array once, a digest of the whole."""
        arrays: dict[str, Any] = {}
        return seal(
            {
                "schema": SCHEMA,
                "confidence_level": self.confidence_level,
                "n_images": self.n_images,
                "population": self.population,
                "statistics_digest": self.statistics_digest,
                "sentence": self.sentence(),
                "pairs": [pair.to_dict(arrays) for pair in self.pairs],
                "arrays": arrays,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ProfileCertificate:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is no profile certificate or was altered.
        """
        body = unseal(text, SCHEMA)
        try:
            return cls(
                confidence_level=body["confidence_level"],
                n_images=body["n_images"],
                pairs=tuple(LayerPairCertificate.from_dict(pair, body["arrays"]) for pair in body["pairs"]),
                population=body["population"],
                statistics_digest=body["statistics_digest"],
            )
        except (KeyError, TypeError) as error:
            raise StoreError(f"need a profile certificate of schema {SCHEMA}, got one that lacks {error}") from None
