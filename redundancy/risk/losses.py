"""Losses of plans on samples, and the one value per independent unit that every test and bound works on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.certificates.inputs import ArrayInput
from redundancy.checks import as_floats, to_numpy
from redundancy.errors import InvalidInputError
from redundancy.risk.p_values import check_losses, resolve_kind
from redundancy.sampling import hash_order, unit_means

__all__ = ["SALT", "LossTable"]

SALT = "skip-it/order/1"  # declared here, before any data


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTable:
    """Losses with what makes them evidence: range, units, groups and the order of the bets.

    Parameters
    ----------
    values : ArrayInput of shape (n_plans, n_samples)
        Losses.
    loss_range : (float, float)
        Declared range of a loss.
    kind : {"binomial", "betting", "betting_sequence"}
        P-value; see `redundancy.risk.p_value`.
    units : tuple of str, optional
        Independent unit of each sample; each sample is one by default.
    groups : tuple of str, optional
        Group of each sample; the risk is then controlled in every group.
    ceiling : ArrayInput of shape (n_samples,), optional
        The largest loss that any plan could have on each sample.
    nouns : (str, str)
        What units and samples are, for sentences.
    salt : str
        Of the order of the bets.
    """

    values: ArrayInput
    loss_range: tuple[float, float]
    kind: str
    units: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    ceiling: ArrayInput | None = None
    nouns: tuple[str, str] = ("samples", "samples")
    salt: str = SALT

    @classmethod
    def of(
        cls,
        losses: npt.ArrayLike,
        names: Sequence[str],
        *,
        loss_range: tuple[float, float],
        kind: str,
        units: Sequence[str] | None,
        groups: Sequence[str] | None,
        ceiling: npt.ArrayLike | None,
        nouns: tuple[str, str],
        salt: str,
    ) -> LossTable:
        """Checked losses; parameters as the fields, with "auto" for `kind`.

        More than eight parameters, one for each field.

        Raises
        ------
        InvalidInputError
            For losses outside their range, NaN, or shapes that do not match.
        """
        as_floats(losses, "losses")  # for what it refuses; the data type is needed below, to tell binary losses
        given = to_numpy(losses, "losses")
        if given.ndim != 2 or len(given) != len(names) or not names:
            raise InvalidInputError(f"need losses of shape ({len(names)} plans, n_samples), got shape {given.shape}")
        n = given.shape[1]
        own = cls._labels(units, "unit", n)
        several = own is not None and len(set(own)) < n
        if several and kind == "binomial":
            raise InvalidInputError(
                "need one loss per unit for the binomial p-value, got units of several samples; use kind='betting'"
            )
        kind = "betting" if several and kind == "auto" else resolve_kind(given, loss_range, kind)
        rows = [check_losses(row, loss_range, name=f"losses of {name}") for name, row in zip(names, given, strict=True)]
        top = None
        if ceiling is not None:
            top = ArrayInput(check_losses(ceiling, loss_range, name="ceiling of the losses"))
            if top.values.shape != (n,) or (np.stack(rows) > top.values).any():
                raise InvalidInputError(f"need a ceiling for each of {n} samples that no loss passes")
        return cls(
            values=ArrayInput(np.stack(rows)),
            loss_range=(float(loss_range[0]), float(loss_range[1])),
            kind=kind,
            units=own,
            groups=cls._labels(groups, "group", n),
            ceiling=top,
            nouns=(str(nouns[0]), str(nouns[1])),
            salt=salt,
        )

    @staticmethod
    def _labels(labels: Sequence[str] | None, name: str, n: int) -> tuple[str, ...] | None:
        if labels is None:
            return None
        if len(labels) != n:
            raise InvalidInputError(f"need a {name} for each of {n} samples, got {len(labels)}")
        return tuple(str(label) for label in labels)

    @property
    def n_samples(self) -> int:
        """Samples."""
        return int(self.values.values.shape[1])

    @property
    def n_units(self) -> int:
        """Independent units: what the evidence counts."""
        return self.n_samples if self.units is None else len(set(self.units))

    @property
    def draw(self) -> str:
        """The sample in words: "84 i.i.d. images (1,120 questions)"."""
        units = f"{self.n_units:,} i.i.d. {self.nouns[0]}"
        return units if self.n_units == self.n_samples else f"{units} ({self.n_samples:,} {self.nouns[1]})"

    @property
    def group_names(self) -> tuple[str, ...]:
        """Groups in alphabetical order; the one group "" if none were declared."""
        return ("",) if self.groups is None else tuple(sorted(set(self.groups)))

    def per_unit(self, group: str = "") -> npt.NDArray[np.float64]:
        """Mean loss of each unit under each plan, in the order of the bets, shape (n_plans, n_units)."""
        return self._means(self.values.values, group)

    def ceiling_per_unit(self, group: str = "") -> npt.NDArray[np.float64] | None:
        """Largest mean loss of each unit, shape (n_units,)."""
        return None if self.ceiling is None else self._means(self.ceiling.values, group)

    def by_group(self) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
        """Each group with its losses per unit."""
        return ((group, self.per_unit(group)) for group in self.group_names)

    def _means(self, table: npt.NDArray[np.float64], group: str) -> npt.NDArray[np.float64]:
        units = [str(k) for k in range(self.n_samples)] if self.units is None else list(self.units)
        if self.groups is not None:
            inside = [k for k, name in enumerate(self.groups) if name == group]
            table, units = table[..., inside], [units[k] for k in inside]
        rows, names = unit_means(table.T, units)
        means = np.ascontiguousarray(rows.T)  # sums of rows come out the same to the last bit
        # A stream was seen in its order; everything else is bet on in an order that cannot look at the values.
        # Release 0.1.0 had the order of the file, and an exact test needs none.
        as_it_stands = self.kind != "betting" or not self.salt
        return means if as_it_stands else means[..., hash_order(names, self.salt)]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; losses that are all whole are written as integers."""
        return {
            "losses": _compact(self.values.values),
            "loss_range": list(self.loss_range),
            "kind": self.kind,
            "units": None if self.units is None else list(self.units),
            "groups": None if self.groups is None else list(self.groups),
            "ceiling": None if self.ceiling is None else _compact(self.ceiling.values),
            "nouns": list(self.nouns),
            "salt": self.salt,
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> LossTable:
        """Inverse of `to_dict`; what release 0.1.0 wrote has losses, range and kind alone."""
        low, high = tree["loss_range"]
        units, groups, ceiling = (tree.get(name) for name in ("units", "groups", "ceiling"))
        one, many = tree.get("nouns", ("samples", "samples"))
        return cls(
            values=ArrayInput(np.array(tree["losses"], dtype=np.float64)),
            loss_range=(float(low), float(high)),
            kind=str(tree["kind"]),
            units=None if units is None else tuple(map(str, units)),
            groups=None if groups is None else tuple(map(str, groups)),
            ceiling=None if ceiling is None else ArrayInput(np.array(ceiling, dtype=np.float64)),
            nouns=(str(one), str(many)),
            salt=str(tree.get("salt", SALT)),
        )


def _compact(values: npt.NDArray[np.float64]) -> Any:
    whole = bool((values == np.rint(values)).all())
    return values.astype(np.int64).tolist() if whole else values.tolist()
