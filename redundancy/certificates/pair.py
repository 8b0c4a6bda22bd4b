"""The certificate of one layer pair: what is certified of two adjacent layers and one token group."""
# Over 400 lines: the record, its sentence and its recheck follow the same fields.

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from redundancy.certificates.certificate import ArrayInput, BoundCertificate, RecheckReport
from redundancy.certificates.certifying import Declared
from redundancy.certificates.finite_builders import CodeOptions, LawPlace, pair_of_codes, pair_of_law
from redundancy.certificates.former_ids import current_text
from redundancy.certificates.pair_builders import pair_of_arrays, pair_of_statistics
from redundancy.certificates.parts import drawn, sample_fields, sample_record
from redundancy.concentration.betting import rechecking
from redundancy.concentration.exchangeability import order_warning
from redundancy.errors import StoreError
from redundancy.files.digested import as_kind, reading, seal, unseal
from redundancy.files.tabular import Tabular
from redundancy.interval import text_down, text_level, text_up
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.units import unit_name

__all__ = ["SCHEMA", "LayerPairCertificate"]

SCHEMA = "skip-it/layer-pair-certificate/1"
SILENT = "raw-state entropy, other populations, or the network with a layer removed"
_WHOLE_SAMPLE = ("mean_distance", "tail_prob", "tail_prob_closed", "mismatch_prob")
_SYMBOLS = {
    "mean_distance": "mean distance",
    "tail_prob": "P(distance > t)",
    "tail_prob_closed": "P(distance >= t)",
    "functional_gap": "functional gap",
    "mutual_information": "mutual information",
    "conditional_entropy": "H(next code | previous code)",
    "backward_entropy": "H(previous code | next code)",
    "mismatch_prob": "P(codes differ)",
    "ball_prob": "P(distance <= t) of different images",
    "error_prev": "squared error of the probe on the previous layer",
    "error_next": "squared error of the probe on the next layer",
    "mmse_increase": "loss of an ideal reader of the previous layer",
    "information_next": "I(task; next | previous)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPairCertificate(Tabular):
    """Statements about layer `layer`, the pair (h_{layer-1}, h_layer), for the tokens of one group.

    Made by `from_statistics`, `from_arrays`, `from_codes` or `from_law`.

    Parameters
    ----------
    layer : int
        1..L; 0 if the pair came without a number.
    group : str
        Token group, as "vision".
    n_images, n_tokens : int
        Sample size; images are the i.i.d. units. 0 if the law is known and nothing was sampled.
    statements : tuple of BoundCertificate
        Sampling bounds first, then what the theorems derive of them.
    population : str
        What the images are a sample of.
    notes : tuple of str
        What a reader must know beside the assumptions: how rows were matched, which split was used.
    n_samples : int, optional
        Samples of the images, if several may show one: questions about it.
    units_assumed : bool, default=False
        Whether some samples name no image, so that each is taken for one.
    order_e_value : float, optional
        Against a random order of the file, if it is above 20; see `redundancy.concentration.exchangeability`.
    """

    layer: int
    group: str
    n_images: int
    n_tokens: int
    statements: tuple[BoundCertificate, ...]
    population: str = "the population that the samples were drawn from"
    notes: tuple[str, ...] = ()
    n_samples: int | None = None
    units_assumed: bool = False
    order_e_value: float | None = None

    # ------------------------------------------------------------------ makers

    @classmethod
    def from_statistics(
        cls, statistics: HarvestStatistics, *, layer: int, group: str, **declared: Unpack[Declared]
    ) -> LayerPairCertificate:
        """Certify one pair of a harvest; for all pairs at a simultaneous level see `ProfileCertificate`.

        Parameters
        ----------
        statistics : HarvestStatistics
        layer : int
            In 1..L.
        group : str
        **declared
            Fields of `redundancy.certificates.certifying.Declaration`: t, alpha, beta, task_cap, diameter,
            confidence_level, estimand, count_max, population, salt.
        """
        return cls(**pair_of_statistics(statistics, layer=layer, group=group, **declared))

    @classmethod
    def from_arrays(
        cls,
        x_prev: npt.NDArray[Any],
        x_next: npt.NDArray[Any],
        ids: npt.ArrayLike,
        *,
        target: npt.ArrayLike | None = None,
        target_range: tuple[float, float] | None = None,
        n_classes: int | None = None,
        layer: int = 0,
        group: str = "all",
        seed: int = 0,
        base: float = 2.0,
        progress: Callable[[int], None] | None = None,
        **declared: Unpack[Declared],
    ) -> LayerPairCertificate:
        """Certify two arrays of states, row by row the same token, in one pass; arrays may be memory-mapped.

        More than eight parameters: the data, the task, and what the record says of the pair.

        Parameters
        ----------
        x_prev, x_next : ndarray of shape (n_tokens, n_features), float16, float32 or float64
        ids : array_like of shape (n_tokens,)
            Image of each row, or whatever else is the unit of independence. Units, not rows, count.
        target : array_like of shape (n_tokens,) of int, or (n_tokens, n_dims) of float, optional
            Task value of each row: labels, or vectors inside a declared `target_range`. Adds certified bounds
            on the functional gap by linear probes that are fitted on half of the images.
        target_range : (float, float), optional
            Declared range of every coordinate of a real-valued target.
        n_classes : int, optional
            Declared number of classes, of which the sample may lack some.
        layer, group : int, str
            For the record.
        seed : int
            Of the split for the probes and of the pairs of images behind Theorem 4; on record.
        base : float, default=2
            Unit of information.
        progress : callable, optional
            Called with the number of rows of the main pass just done.
        **declared
            Fields of `redundancy.certificates.certifying.Declaration`.

        Raises
        ------
        InvalidInputError
            For shapes or ids that do not match, NaN, zero rows (named), or fewer than two images.
        """
        fields = pair_of_arrays(
            x_prev,
            x_next,
            ids,
            target=target,
            target_range=target_range,
            n_classes=n_classes,
            layer=layer,
            group=group,
            seed=seed,
            base=base,
            progress=progress,
            **declared,
        )
        return cls(**fields)

    @classmethod
    def from_codes(
        cls,
        prev_codes: npt.ArrayLike,
        next_codes: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        n_codes: int,
        **options: Unpack[CodeOptions],
    ) -> LayerPairCertificate:
        """Certify finite codes of both layers in one alphabet: mismatch rate, Theorems 3 and 5.

        Parameters
        ----------
        prev_codes, next_codes : array_like of int, shape (n_tokens,)
            Row by row the same token, in 0..n_codes - 1, by a codebook that was fixed on other data.
        ids : array_like of shape (n_tokens,)
            Image of each row, or whatever else is the unit of independence.
        n_codes : int
            Size of the alphabet, at least 2.
        **options
            ``task_values``, all values that the task can take, which adds bounds on the functional gap of the codes;
            ``base=2``, ``layer=0`` and ``group="all"``; and the fields of a `Declaration`.

        Raises
        ------
        InvalidInputError
            For codes or ids that do not fit, or fewer than two images.
        """
        return cls(**pair_of_codes(prev_codes, next_codes, ids, n_codes=n_codes, **options))

    @classmethod
    def from_law(cls, joint: npt.ArrayLike, **options: Unpack[LawPlace]) -> LayerPairCertificate:
        """Everything the theorems say of a *known* finite joint.

        Parameters
        ----------
        joint : array_like of shape (K, K) or (K, K, n_z)
            Axes (x_next, x_prev) or (x_next, x_prev, z).
        **options
            ``distances`` (K, K), symmetric cosine distances between the symbols; ``t=0.05``, the radius of printed
            forms; ``task_values`` of z; ``base=2``; ``alpha=1`` and ``beta=1``; ``layer=0`` and ``group="law"``.

        Raises
        ------
        InvalidInputError
            If the joint is no law over one alphabet, or distances or task values do not fit it.
        """
        return cls(**pair_of_law(joint, **options))

    # ------------------------------------------------------------------ reading

    @property
    def confidence_level(self) -> float | None:
        """Joint level of all statements; None if nothing was sampled."""
        failures = dict(f for s in self.statements for f in s.failures)
        return max(0.0, 1.0 - sum(failures.values())) if failures else None

    @property
    def n_sampled(self) -> int:
        """Sampling statements that share the error."""
        return len({key for s in self.statements for key, _ in s.failures})

    def find(self, theorem: str, quantity: str | None = None) -> BoundCertificate | None:
        """Return the first statement of a theorem (and quantity), or None."""
        for statement in self.statements:
            if statement.theorem == theorem and quantity in (None, statement.quantity):
                return statement
        return None

    def best_upper(self, quantity: str) -> float | None:
        """Smallest certified upper bound on a quantity that rests on no unverifiable assumption."""
        uppers = [s.interval.upper for s in self.statements if s.quantity == quantity and s.evidence in ("P", "C")]
        return min(uppers, default=None)

    @property
    def distance_upper(self) -> float | None:
        """Certified upper bound on the mean distance."""
        return self.best_upper("mean_distance")

    @property
    def tail_upper(self) -> float | None:
        """Certified upper bound on the tail probability."""
        return self.best_upper("tail_prob")

    def sentence(self) -> str:
        """What is and is not claimed, by the template of theory.md section 4."""
        return self._sentence(_claim, text_level)

    def _sentence(self, claim: Callable[[BoundCertificate], str], level_text: Callable[[float], str]) -> str:
        where = f"layer {self.layer}, {self.group} tokens" if self.layer else f"{self.group} tokens"
        useful = [s for s in self.statements if not s.is_vacuous]
        claims = "; ".join(dict.fromkeys(claim(s) for s in useful)) or "nothing beyond the trivial ranges"
        level = self.confidence_level
        if level is None:
            text = f"For the given law ({where}): {claims}."
        else:
            text = (
                f"With confidence at least {level_text(level)} over the draw of "
                f"{drawn(self.n_images, self.n_samples, assumed=self.units_assumed)} from {self.population}, "
                f"jointly over {self.n_sampled} sampling statements ({where}): {claims}."
            )
            text += order_warning(self.order_e_value)
        assumptions = dict.fromkeys([*(a.text for s in useful for a in s.assumptions), *self.notes])
        vacuous = dict.fromkeys(s.theorem for s in self.statements if s.is_vacuous)
        if assumptions:
            text += f" Assumes: {'; '.join(assumptions)}."
        if vacuous:
            text += (
                f" Vacuous, so without any content: {', '.join(vacuous)}; a bound that is missing or vacuous is no "
                "evidence against redundancy."
            )
        return f"{text} Says nothing about: {SILENT}."

    def __repr__(self) -> str:
        return (
            f"LayerPairCertificate(layer={self.layer}, group={self.group!r}, n_images={self.n_images}, "
            f"{len(self.statements)} statements)"
        )

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per statement."""
        return [statement.to_record() for statement in self.statements]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("quantity", "bound", "evidence", "by", "assumes"))
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(text)}</td>"
                for text in (
                    _SYMBOLS.get(s.quantity, s.quantity),
                    str(s.interval) + (f" {unit_name(s.base)}" if s.base else ""),
                    "V (vacuous)" if s.is_vacuous else s.label,
                    s.theorem,
                    "; ".join(a.text for a in s.assumptions),
                )
            )
            + "</tr>"
            for s in self.statements
        )
        title = f"Layer {self.layer}, {self.group}: {self.n_images} images, {self.n_tokens} tokens"
        return (
            f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p>{escape(self.sentence())}</p>"
        )

    # ------------------------------------------------------------------ checking and storing

    def recheck(self) -> RecheckReport:
        """Recompute every statement, and the sample size, from the stored inputs."""
        with rechecking(self.statements):
            problems = self.problems()
        return RecheckReport(theorem="layer_pair", problems=tuple(problems))

    def problems(self) -> list[str]:
        """What `recheck` found, as sentences; call it inside `rechecking` to solve many pairs in one pass."""
        place = f"layer {self.layer} {self.group}"
        found = [f"{place}, {s.theorem}: {problem}" for s in self.statements for problem in s.recheck().problems]
        for statement in self.statements:
            values, counts = statement.inputs.get("values"), statement.inputs.get("counts")
            if not isinstance(values, ArrayInput) or not isinstance(counts, ArrayInput):
                continue
            if statement.quantity not in _WHOLE_SAMPLE:
                continue  # probe errors and pairs of images rest on parts of the sample
            images, tokens = len(counts.values), int(np.sum(counts.values))
            if (images, tokens) != (self.n_images, self.n_tokens):
                found.append(
                    f"{place}: the certificate says {self.n_images} images and {self.n_tokens} tokens, the inputs of "
                    f"{statement.quantity} have {images} and {tokens}"
                )
        return found

    def to_dict(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """JSON-ready tree; arrays go into `arrays` under their hash."""
        return {
            "layer": self.layer,
            "group": self.group,
            "n_images": self.n_images,
            "n_tokens": self.n_tokens,
            "population": self.population,
            "notes": list(self.notes),
            "statements": [s.to_dict(arrays) for s in self.statements],
            **sample_record(self.n_samples, self.units_assumed, self.order_e_value),
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], arrays: Mapping[str, Any]) -> LayerPairCertificate:
        """Inverse of `to_dict`."""
        return cls(
            layer=as_kind(tree["layer"], int),
            group=as_kind(tree["group"], str),
            n_images=as_kind(tree["n_images"], int),
            n_tokens=as_kind(tree["n_tokens"], int),
            statements=tuple(BoundCertificate.from_dict(s, arrays) for s in tree["statements"]),
            population=as_kind(tree["population"], str),
            notes=tuple(as_kind(note, str) for note in tree["notes"]),
            **sample_fields(tree),
        )

    def to_json(self) -> str:
        """Exact JSON: every array once, the sentence, a digest of the whole."""
        arrays: dict[str, Any] = {}
        pair = self.to_dict(arrays)
        return seal({"schema": SCHEMA, "sentence": self.sentence(), "pair": pair, "arrays": arrays})

    @classmethod
    def from_json(cls, text: str) -> LayerPairCertificate:
        """Inverse of `to_json`.

        Raises
        ------
        StoreError
            If the text is no such certificate or was altered.
        """
        body = unseal(text, SCHEMA)
        with reading(SCHEMA):
            certificate = cls.from_dict(body["pair"], body["arrays"])
            stated, found = current_text(as_kind(body["sentence"], str)), certificate.sentence()
            nearest = certificate._sentence(_nearest_claim, "{:.6g}".format)
        if stated not in (found, nearest):
            raise StoreError("the certificate was altered: its sentence is not the one that its statements give")
        return certificate


def _claim(statement: BoundCertificate) -> str:
    lower, upper = text_down(statement.interval.lower, 4), text_up(statement.interval.upper, 4)
    return _in_words(statement, lower, upper, statement.label)


def _nearest_claim(statement: BoundCertificate) -> str:
    """As release 0.1.0 wrote it, with every number rounded to the nearest."""
    level, label = statement.confidence_level, statement.label
    if label.startswith("C") and level is not None:
        label = f"C({1.0 - level:.3g})"
    return _in_words(statement, f"{statement.interval.lower:.4g}", f"{statement.interval.upper:.4g}", label)


def _in_words(statement: BoundCertificate, lower: str, upper: str, label: str) -> str:
    name = _SYMBOLS.get(statement.quantity, statement.quantity.replace("_", " "))
    unit = f" {unit_name(statement.base)}" if statement.base else ""
    low = statement.interval.lower > statement.trivial.lower
    high = statement.interval.upper < statement.trivial.upper
    bound = f"in [{lower}, {upper}]" if low and high else f"<= {upper}" if high else f">= {lower}"
    return f"{name} {bound}{unit} [{label}, {statement.theorem}]"
