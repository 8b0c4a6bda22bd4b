"""Certificates of all layer pairs and token groups of a harvest, at one simultaneous confidence level."""
# Over 400 lines: the record, its sentence and its recheck follow the same fields.

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import BoundCertificate, RecheckReport
from redundancy.certificates.certifying import SAMPLED_PER_PAIR, Declared, refutation_p_value
from redundancy.certificates.finite_builders import LawOptions
from redundancy.certificates.former_ids import current_text
from redundancy.certificates.pair import SILENT, LayerPairCertificate
from redundancy.certificates.parts import drawn, sample_fields, sample_record
from redundancy.certificates.profile_builders import (
    GIVEN_LAW,
    profile_of_arrays,
    profile_of_laws,
    profile_of_statistics,
)
from redundancy.concentration.betting import rechecking
from redundancy.concentration.exchangeability import order_warning
from redundancy.concentration.multiplicity import bonferroni, holm
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.digested import as_kind, reading, seal, unseal
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_level, text_up
from redundancy.sampling import salt_of, unit_sums
from redundancy.statistics.harvest_statistics import HarvestStatistics

__all__ = ["SCHEMA", "ProfileCertificate"]

SCHEMA = "skip-it/profile-certificate/1"
_CLOSE = 0.1  # what the summary calls a small mean distance
_SEVERAL = "; an image with several questions counts once, with the mean over them"
_MEANS = {
    "image_average": "means are over images of the mean over an image's tokens",
    "token_pooled": "means are over tokens: expected sum over expected count",
}


def means_of(estimand: str, n_images: int, n_samples: int | None) -> str:
    """What the means of a profile are taken over, in words."""
    return _MEANS[estimand] + (_SEVERAL if n_samples not in (None, n_images) else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCertificate(Tabular):
    """All pairs and groups; every certified statement holds jointly at `confidence_level`.

    Made by `from_statistics`, `from_arrays` or `from_laws`.

    Parameters
    ----------
    confidence_level : float or None
        Joint level, by Bonferroni over `n_sampled` sampling statements; None if nothing was sampled.
    n_images : int
        Images harvested; 0 if nothing was sampled.
    pairs : tuple of LayerPairCertificate
        By group, then layer.
    population : str
        What the images are a sample of.
    estimand : str
        "image_average", "token_pooled", or "given_law" if nothing was sampled.
    statistics_digest : str
        Digest of the statistics that it was made from; "" for arrays and laws.
    n_samples, units_assumed, order_e_value
        As of a `LayerPairCertificate`.
    """

    drawn_by = "certificate_intervals"
    confidence_level: float | None
    n_images: int
    pairs: tuple[LayerPairCertificate, ...]
    population: str
    estimand: str
    statistics_digest: str
    n_samples: int | None = None
    units_assumed: bool = False
    order_e_value: float | None = None

    @classmethod
    def from_statistics(
        cls, statistics: HarvestStatistics, *, groups: Sequence[str] = ("vision", "text"), **declared: Unpack[Declared]
    ) -> ProfileCertificate:
        """Certify every adjacent pair of a harvest, all groups, in one pass.

        Parameters
        ----------
        statistics : HarvestStatistics
            Of at least two images that all have tokens of every group.
        groups : sequence of str
            Token groups; part of the declaration, as each adds statements that share the error.
        **declared
            Fields of `redundancy.certificates.certifying.Declaration`: t=0.05, alpha=1, beta=1, task_cap=1, diameter,
            confidence_level=0.95, estimand, count_max, population, salt.

        Raises
        ------
        InvalidInputError
            With fewer than two images, or a group that some image lacks.
        AssumptionError
            If the harvest was stopped by looking (``--until``): bounds for a fixed number of images do not hold.

        Notes
        -----
        32 layers, 3 groups and 500 images take about 0.1 s; time grows with layers, groups and images alike.
        """
        return cls(**profile_of_statistics(statistics, groups=groups, **declared))

    @classmethod
    def from_arrays(
        cls,
        states: Sequence[Any],
        ids: npt.ArrayLike,
        *,
        token_groups: npt.ArrayLike | None = None,
        groups: Sequence[str] | None = None,
        progress: Callable[[int], None] | None = None,
        **declared: Unpack[Declared],
    ) -> ProfileCertificate:
        """Certify every adjacent pair of arrays of states, one streaming pass per pair.

        Parameters
        ----------
        states : sequence of L + 1 arrays of shape (n_tokens, n_features)
            h_0, h_1, ..., h_L, row by row the same token; may be memory-mapped.
        ids : array_like of shape (n_tokens,)
            Image of each row, or whatever else is the unit of independence.
        token_groups : array_like of str, shape (n_tokens,), optional
            Group of each row; without it all rows are of one group "all".
        groups : sequence of str, optional
            Groups to certify; all that occur by default.
        progress : callable, optional
            Called with the number of rows just done, for each pair anew.
        **declared
            Fields of `redundancy.certificates.certifying.Declaration`.

        Raises
        ------
        InvalidInputError
            For shapes or ids that do not match, NaN, zero rows (named), fewer than two images, or a group that
            some image lacks.
        """
        return cls(
            **profile_of_arrays(states, ids, token_groups=token_groups, groups=groups, progress=progress, **declared)
        )

    @classmethod
    def from_laws(
        cls, laws: Sequence[npt.ArrayLike] | Mapping[str, Sequence[npt.ArrayLike]], **options: Unpack[LawOptions]
    ) -> ProfileCertificate:
        """Everything the theorems say of *known* joints with axes (x_next, x_prev[, z]), one per layer.

        Parameters
        ----------
        laws : sequence of array_like, or mapping of group to such a sequence
        **options
            As `LayerPairCertificate.from_law`: distances, t, task_values, base, alpha, beta.
        """
        return cls(**profile_of_laws(laws, **options))

    @property
    def n_sampled(self) -> int:
        """Sampling statements that share the error."""
        return 0 if self.confidence_level is None else SAMPLED_PER_PAIR * len(self.pairs)

    @property
    def groups(self) -> tuple[str, ...]:
        """Token groups, in the order of the declaration."""
        return tuple(dict.fromkeys(pair.group for pair in self.pairs))

    def find(self, layer: int, group: str) -> LayerPairCertificate:
        """Return the certificate of one pair.

        Raises
        ------
        InvalidInputError
            If the profile has none for this layer and group.
        """
        for pair in self.pairs:
            if (pair.layer, pair.group) == (layer, group):
                return pair
        raise InvalidInputError(f"need a layer and group of the profile ({self.groups}), got {layer!r} and {group!r}")

    def below(self, threshold: float, *, quantity: str = "mean_distance") -> list[dict[str, Any]]:
        """Which means are below a threshold, tested by Holm at the joint level: a *set*, with more power.

        Parameters
        ----------
        threshold : float
            Fixed beforehand: in [0, 2] for "mean_distance", in [0, 1] for "tail_prob".
        quantity : {"mean_distance", "tail_prob"}

        Returns
        -------
        list of dict
            Per pair: layer, group, adjusted_p, and below: whether "the mean is at least `threshold`" is refuted.
            All refutations are right with probability at least `confidence_level`; this error is one of its
            own, not shared with that of the simultaneous bounds.

        Raises
        ------
        InvalidInputError
            For a threshold outside its range, another quantity, or a profile of known laws.
        """
        sampled = [pair.find("concentration.betting_upper", quantity) for pair in self.pairs]
        if self.confidence_level is None or None in sampled:
            raise InvalidInputError(f"need a sampled profile and mean_distance or tail_prob, got {quantity!r}")
        p_values = [refutation_p_value(bound, threshold) for bound in sampled if bound is not None]
        verdict = holm(p_values, confidence_level=self.confidence_level)
        return [
            {"layer": pair.layer, "group": pair.group, "adjusted_p": p, "below": refuted}
            for pair, p, refuted in zip(self.pairs, verdict.adjusted, verdict.refuted, strict=True)
        ]

    def recheck(self, statistics: HarvestStatistics | None = None) -> RecheckReport:
        """Recompute every statement, and check the whole: layers, sample sizes, and the sum of the errors.

        Parameters
        ----------
        statistics : HarvestStatistics, optional
            The harvest that the certificate is of; then its inputs are compared with the harvest, too.
        """
        with rechecking(s for pair in self.pairs for s in pair.statements):
            problems = [p for pair in self.pairs for p in pair.problems()]
        problems += self._problems_of_the_whole()
        if statistics is not None:
            problems += self._problems_against(statistics)
        return RecheckReport(theorem="profile", problems=tuple(problems))

    def _problems_of_the_whole(self) -> list[str]:
        problems = []
        declared = {pair.population for pair in self.pairs}
        if any(pair.n_images != self.n_images for pair in self.pairs):
            problems.append(f"not every layer pair rests on {self.n_images} images")
        sample = (self.n_samples, self.units_assumed)
        if any((pair.n_samples, pair.units_assumed) != sample for pair in self.pairs):
            problems.append(f"not every layer pair is of the {self.n_samples} samples that the profile names")
        if declared != {self.population}:
            problems.append(f"the pairs are about {sorted(declared)}, the profile about {self.population!r}")
        for group in self.groups:
            layers = [pair.layer for pair in self.pairs if pair.group == group]
            if layers != list(range(1, len(layers) + 1)):
                problems.append(f"{group}: need layers 1, 2, ... in order, got {layers}")
        sampled = [s for pair in self.pairs for s in pair.statements if "values" in s.inputs]
        estimands = {str(s.inputs["estimand"]) for s in sampled}
        if estimands != (set() if self.confidence_level is None else {self.estimand}):
            problems.append(f"the sampling statements have estimand {sorted(estimands)}, not {self.estimand!r}")
        # Pair by pair: two layers with equal samples are two statements, though their inputs have one key.
        failures = [d for p in self.pairs for d in dict(f for s in p.statements for f in s.failures).values()]
        if self.confidence_level is None:
            return [*problems, "it names no confidence level and has samples"] if failures else problems
        level = bonferroni(self.confidence_level, self.n_sampled)[0]
        if len(sampled) != self.n_sampled or any(s.inputs["confidence_level"] != level for s in sampled):
            levels = sorted({s.inputs["confidence_level"] for s in sampled})
            problems.append(
                f"need {self.n_sampled} sampling statements at level {level!r} each for a joint level of "
                f"{self.confidence_level!r}, got {len(sampled)} at {levels}"
            )
        total = math.fsum(failures)
        if total > 1.0 - self.confidence_level:
            problems.append(
                f"the statements fail with probability up to {total:.6g}, above 1 - {self.confidence_level}"
            )
        return problems

    def _problems_against(self, statistics: HarvestStatistics) -> list[str]:
        if statistics.digest() != self.statistics_digest:
            return ["the statistics are not the ones that the certificate was made from (their digest differs)"]
        if (self.n_images, self.n_samples) not in (
            (statistics.n_units, statistics.n_samples),
            (statistics.n_samples, None),
        ):
            return [
                f"the statistics are of {statistics.n_units} images and {statistics.n_samples} samples, not as it says"
            ]
        problems = []
        for pair in self.pairs:
            for statement in pair.statements:
                if "values" not in statement.inputs:
                    continue
                harvested = self._harvested(statistics, pair, statement)
                if any(not np.array_equal(statement.inputs[k].values, v) for k, v in harvested.items()):
                    problems.append(
                        f"layer {pair.layer} {pair.group}: the inputs of {statement.quantity} are not those of the "
                        "statistics"
                    )
        return problems

    def _harvested(
        self, statistics: HarvestStatistics, pair: LayerPairCertificate, statement: BoundCertificate
    ) -> dict[str, npt.NDArray[Any]]:
        """What the inputs of a sampling statement must be."""
        if statement.quantity == "mean_distance":
            values: npt.NDArray[Any] = statistics.distance_sums(pair.group)
        else:
            derived = next(s for s in pair.statements if s.theorem == "tail.sandwich_upper")
            values = statistics.tail_counts(pair.group, derived.inputs["t"], strict=statement.quantity == "tail_prob")
        column, counts = pair.layer - 1, statistics.pair_counts(pair.group)
        salt = salt_of(str(statement.inputs["order"]))
        if salt is None:  # release 0.1.0 placed its bets in the order of the sample ids
            return {"values": values[:, column], "counts": counts[:, column]}
        pooled = self.estimand == "token_pooled"
        sums, totals, _ = unit_sums(values, counts, statistics.units, salt=salt, pooled=pooled)
        return {"values": sums[:, column], "counts": totals[:, column]}

    def sentence(self) -> str:
        """What is and is not claimed, by the template of theory.md section 4."""
        return self._sentence(text_level)

    def _sentence(self, level_text: Callable[[float], str]) -> str:
        statements = [s for pair in self.pairs for s in pair.statements]
        firm = "P" if self.confidence_level is None else "C"
        first = dict.fromkeys(a.text for s in statements if s.evidence == firm for a in s.assumptions)
        conditional = dict.fromkeys(
            a.text for s in statements if s.evidence == "A" and not s.is_vacuous for a in s.assumptions
        )
        if self.confidence_level is None:
            text = f"For the {len(self.pairs)} given laws all bounds labelled P hold."
        else:
            text = (
                f"With confidence at least {level_text(self.confidence_level)} over the draw of "
                f"{drawn(self.n_images, self.n_samples, assumed=self.units_assumed)} from {self.population}, "
                f"jointly over {self.n_sampled} sampling statements, all bounds labelled C hold; "
                f"{means_of(self.estimand, self.n_images, self.n_samples)}."
            )
            text += order_warning(self.order_e_value)
        text += f" Assumes: {'; '.join(first)}."
        only = [a for a in conditional if a not in first]
        if only:
            text += f" Bounds labelled A assume besides: {'; '.join(only)}."
        notes = [f"layer {p.layer} {p.group}: {note}" for p in self.pairs for note in p.notes]
        if notes:
            text += f" Note: {'; '.join(notes)}."
        return f"{text} Says nothing about: {SILENT}."

    def summary(self) -> str:
        """The sentence, and the certified pairs by group in words."""
        lines = [self.sentence()]
        for group in self.groups:
            own = [pair for pair in self.pairs if pair.group == group]
            close = [p for p in own if p.distance_upper is not None and p.distance_upper < _CLOSE]
            names = ", ".join(str(p.layer) for p in close) if close else "none"
            lines.append(f"{group}: mean distance certified below {_CLOSE:g} at layers {names}.")
            vacuous = sum(s.is_vacuous for p in own for s in p.statements)
            lines.append(f"{group}: {vacuous} of {sum(len(p.statements) for p in own)} statements are vacuous.")
        lines.append("A bound that is missing or vacuous is no evidence against redundancy; a small distance is none")
        lines[-1] += " that skipping is safe."
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"ProfileCertificate({len(self.pairs)} pairs, n_images={self.n_images}, "
            f"confidence_level={self.confidence_level})"
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per statement, with layer and group."""
        return [
            {"layer": pair.layer, "group": pair.group, **record} for pair in self.pairs for record in pair.to_records()
        ]

    def _repr_html_(self) -> str:
        def text(statement: BoundCertificate | None, end: str) -> str:
            if statement is None or statement.is_vacuous:
                return "<td>vacuous</td>"
            rounded = text_up if end == "upper" else text_down
            return f"<td>{rounded(getattr(statement.interval, end), 4)}</td>"

        rows = "".join(
            f"<tr><td>{escape(pair.group)}</td><td>{pair.layer}</td>"
            + text(pair.find("concentration.betting_lower", "mean_distance"), "lower")
            + text(pair.find("concentration.betting_upper", "mean_distance"), "upper")
            + text(pair.find("concentration.betting_upper", "tail_prob"), "upper")
            + "</tr>"
            for pair in self.pairs
        )
        head = "".join(
            f"<th>{name}</th>"
            for name in ("group", "layer", "distance &ge;", "distance &le;", "P(distance &gt; t) &le;")
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{escape(self.sentence())}</p>"

    def to_json(self) -> str:
        """Exact JSON: every array once, a digest of the whole."""
        arrays: dict[str, Any] = {}
        return seal(
            {
                "schema": SCHEMA,
                "confidence_level": self.confidence_level,
                "n_images": self.n_images,
                "population": self.population,
                "estimand": self.estimand,
                "statistics_digest": self.statistics_digest,
                "sentence": self.sentence(),
                **sample_record(self.n_samples, self.units_assumed, self.order_e_value),
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
        with reading(SCHEMA):
            certificate = cls(
                confidence_level=body["confidence_level"],
                n_images=body["n_images"],
                pairs=tuple(LayerPairCertificate.from_dict(pair, body["arrays"]) for pair in body["pairs"]),
                population=body["population"],
                estimand=body["estimand"],
                statistics_digest=body["statistics_digest"],
                **sample_fields(body),
            )
            is_known = certificate.estimand in (*_MEANS, GIVEN_LAW)
            stated = current_text(as_kind(body["sentence"], str))
            # Release 0.1.0 rounded the level to the nearest.
            found = [certificate.sentence(), certificate._sentence("{:g}".format)] if is_known else []
        if stated not in found:
            raise StoreError("the certificate was altered: its sentence is not the one that its statements give")
        return certificate
