"""What a layer scan found: one entry per pair of depths, as a table, JSON and a figure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from estimators.entropy import EntropyEstimate
from estimators.functional import FunctionalRedundancy
from estimators.unique import UniqueInformationEstimate
from redundancy.certificates.certificate import BoundCertificate
from redundancy.figures import style
from redundancy.files.tabular import Tabular
from redundancy.interval import Interval, text_down, text_level, text_up

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SCHEMA", "LayerScan", "PairScan", "plot_scan"]

SCHEMA = "skip-it/layer-scan/1"
NOT_CLAIMED = (
    "Estimates [E] are about the best predictors of the probe class and about codes of the stored view, not about "
    "what a network with the layer removed would do: validate a plan for that."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScan(Tabular):
    """Results of one pair of depths; the numbers are None if `error` says why they could not be had.

    Attributes
    ----------
    prev, next : int
        Depths: h_d is the stream after d layers.
    kinds : tuple of str
        "adjacent", "entry" (0, l) or "exit" (l, L).
    functional : FunctionalRedundancy or None
    interval : Interval or None
        Of the estimate, at the level of the single pair; `functional.interval` is at the joint level.
    entropy, information : EntropyEstimate or None
        H(next code | previous code) and I.
    entropy_upper, information_lower : BoundCertificate or None
    atoms : UniqueInformationEstimate or None
    error : str
    """

    prev: int
    next: int
    kinds: tuple[str, ...]
    functional: FunctionalRedundancy | None = None
    interval: Interval | None = None
    entropy: EntropyEstimate | None = None
    information: EntropyEstimate | None = None
    entropy_upper: BoundCertificate | None = None
    information_lower: BoundCertificate | None = None
    atoms: UniqueInformationEstimate | None = None
    error: str = ""

    @property
    def distance_upper(self) -> BoundCertificate | None:
        """Certified upper bound on the mean cosine distance."""
        if self.functional is None:
            return None
        return next((c for c in self.functional.certified if c.quantity == "mean_distance"), None)

    @property
    def certificates(self) -> tuple[BoundCertificate, ...]:
        """Everything certified of this pair."""
        others = (self.entropy_upper, self.information_lower)
        functional = () if self.functional is None else self.functional.certified
        return (*functional, *(c for c in others if c is not None))

    def to_record(self) -> dict[str, Any]:
        """One flat row; absent numbers are None."""
        row: dict[str, Any] = {"prev": self.prev, "next": self.next, "kinds": "+".join(self.kinds), "error": self.error}
        if self.functional is not None and self.interval is not None:
            row |= self.functional.to_record()
            row |= {"lower": self.interval.lower, "upper": self.interval.upper}
            row["joint_confidence_level"] = row.pop("confidence_level")
        row["distance_upper"] = _end(self.distance_upper, "upper")
        for name, estimate in (("entropy", self.entropy), ("information", self.information)):
            if estimate is not None:
                row |= {
                    f"{name}_estimate": estimate.value,
                    f"{name}_lower": estimate.interval.lower,
                    f"{name}_upper": estimate.interval.upper,
                    f"{name}_regime": estimate.regime,
                    "n_codes": estimate.n_codes,
                    "base": estimate.base,
                }
        row["entropy_certified_upper"] = _end(self.entropy_upper, "upper")
        row["information_certified_lower"] = _end(self.information_lower, "lower")
        if self.atoms is not None:
            for name, value in self.atoms.atoms.items():
                interval = self.atoms.intervals[name]
                row |= {name: value, f"{name}_lower": interval.lower, f"{name}_upper": interval.upper}
            row["atoms_flagged"] = "+".join(self.atoms.flagged)
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScan(Tabular):
    """All pairs of one store.

    Attributes
    ----------
    pairs : tuple of PairScan
        In the order of (next, previous) depth.
    confidence_level : float
        Of the interval of each pair; and of all certificates of all pairs *jointly*.
    task : str
        Field of the samples' records, or "answers".
    codebook, atom_codebook : str
        Digests of the codebooks.
    settings : dict
        What else was fixed before.
    model : str
        Name of the model.
    group : str
        Token group.
    n_images : int
        Images that the statements rest on.
    n_fit_images : int
        Images that the codebooks were fitted on.
    n_tokens : int
        Tokens of the former.
    """

    model: str
    group: str
    task: str
    pairs: tuple[PairScan, ...]
    confidence_level: float
    n_images: int
    n_fit_images: int
    n_tokens: int
    codebook: str
    atom_codebook: str
    settings: dict[str, Any]

    def pair(self, prev: int, next: int) -> PairScan:
        """The result of one pair; KeyError if it was not scanned."""
        for found in self.pairs:
            if (found.prev, found.next) == (prev, next):
                return found
        raise KeyError((prev, next))

    def __repr__(self) -> str:
        return f"LayerScan({len(self.pairs)} pairs, model={self.model!r}, group={self.group!r}, task={self.task!r})"

    def to_records(self) -> list[dict[str, Any]]:
        """A tidy table: one flat row per pair, all with the same columns."""
        rows = [pair.to_record() for pair in self.pairs]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return [{name: row.get(name) for name in columns} for row in rows]

    def records_json(self) -> str:
        """Records and settings as strict JSON; infinities, as of bounds without a cap, become null."""
        head = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("pairs", "settings")}
        body = {"schema": SCHEMA, **head, "settings": self.settings, "not_claimed": NOT_CLAIMED}
        return json.dumps(_strict({**body, "pairs": self.to_records()}), indent=1, allow_nan=False)

    def plot(self, ax: Axes | None = None) -> Axes:
        """`plot_scan`."""
        return plot_scan(self, ax=ax)

    def summary(self) -> str:
        """A table for a terminal: what is estimated, what is certified, and Theorems 1 and 2 beside."""
        lines = [
            f"{self.model}, {self.group} tokens, task {self.task}: {self.n_tokens} tokens of {self.n_images} "
            f"images ({self.n_fit_images} others fitted the codebooks)",
            "Functional redundancy [E] with interval per pair; bounds [C] hold jointly over all pairs at "
            f"{text_level(self.confidence_level)}; theorems with estimated constants [E].",
            "",
            f"{'pair':>9} {'estimate [E]':>29} {'gap<= [C]':>10} {'D<= [C]':>8} {'H [E]':>7} {'H<= [C]':>8} "
            f"{'I>= [C]':>8} {'uni_next [E]':>12} {'Thm 1':>8} {'Thm 2':>8}",
        ]
        for pair in self.pairs:
            name = f"({pair.prev}, {pair.next})"
            if pair.error:
                lines.append(f"{name:>9} {pair.error}")
                continue
            row = pair.to_record()
            estimate = (
                f"{row['estimate']:.4f} [{text_down(row['lower'], decimals=4)}, {text_up(row['upper'], decimals=4)}]"
                + (" " if row["usable"] else "!")
            )
            cells = [
                f"{_bound(None if pair.functional is None else pair.functional.certified_upper, 'upper'):>10}",
                f"{_bound(pair.distance_upper, 'upper'):>8}",
                f"{_text(row['entropy_estimate']):>7}",
                f"{_bound(pair.entropy_upper, 'upper'):>8}",
                f"{_bound(pair.information_lower, 'lower'):>8}",
            ]
            atom = "" if pair.atoms is None else _text(pair.atoms.atoms["unique_next"])
            first = row.get("lipschitz.unit_norm_upper", row.get("lipschitz.minkowski_upper"))
            theorems = [_text(first), _text(row.get("plug_in.printed_upper"))]
            lines.append(f"{name:>9} {estimate:>29} {' '.join(cells)} {atom:>12} {theorems[0]:>8} {theorems[1]:>8}")
        unit = next((p.entropy.base for p in self.pairs if p.entropy is not None), 2.0)
        lines += [
            "",
            "V: vacuous, no more than the trivial range, and no evidence against redundancy.",
            "!: the interval is not usable, see the warnings (--json).",
            f"Entropies to base {unit:g}. {NOT_CLAIMED}",
        ]
        return "\n".join(lines)


def plot_scan(scan: LayerScan, *, ax: Axes | None = None) -> Axes:
    """Estimates with intervals and certified upper bounds over the layers, one series per kind of pair.

    Parameters
    ----------
    scan : LayerScan
    ax : Axes, optional
        A new figure by default.

    Returns
    -------
    Axes
    """
    ax = style.new_axes(ax, width=style.DOUBLE_COLUMN * 0.66, height=2.8)
    with style.style_context():
        _draw(scan, ax)
    return ax


def _draw(scan: LayerScan, ax: Axes) -> None:
    looks = {"adjacent": ("blue", "o"), "entry": ("vermillion", "s"), "exit": ("green", "^")}
    titles = {"adjacent": "adjacent (l-1, l)", "entry": "late entry (0, l)", "exit": "vision exit (l, L)"}
    for shift, (kind, (color, marker)) in enumerate(looks.items()):
        found = [pair for pair in scan.pairs if kind in pair.kinds and pair.functional and pair.interval]
        if not found:
            continue
        x = [(pair.prev if kind == "exit" else pair.next) + 0.12 * (shift - 1) for pair in found]
        y = [pair.functional.estimate for pair in found if pair.functional]
        ends = [(pair.interval.lower, pair.interval.upper) for pair in found if pair.interval]
        shade = style.OKABE_ITO[color]
        for place, (lower, upper) in zip(x, ends, strict=True):
            ax.plot([place, place], [lower, upper], color=shade, linewidth=1.0)
        ax.plot(x, y, marker=marker, color=shade, linewidth=1.0, label=titles[kind])
        bounds = [pair.functional.certified_upper for pair in found if pair.functional]
        high = [math.nan if bound is None or bound.is_vacuous else bound.interval.upper for bound in bounds]
        ax.plot(x, high, marker=marker, markerfacecolor="none", linestyle=":", linewidth=0.8, color=shade)
    style.polish(ax)
    style.layer_axis(ax, [pair.next for pair in scan.pairs] + [pair.prev for pair in scan.pairs], "layer l")
    ax.set_ylabel("functional gap\n(hollow: certified, where not vacuous)")
    style.legend_above(ax, columns=3)


def _end(certificate: BoundCertificate | None, end: str) -> float | None:
    return None if certificate is None else float(getattr(certificate.interval, end))


def _bound(certificate: BoundCertificate | None, end: str) -> str:
    """A certified number, or V where it says nothing."""
    if certificate is None or certificate.is_vacuous:
        return "" if certificate is None else "V"
    rounded = text_up if end == "upper" else text_down
    return rounded(getattr(certificate.interval, end), decimals=3)


def _text(value: Any) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _strict(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(v) for v in value]
    return value
