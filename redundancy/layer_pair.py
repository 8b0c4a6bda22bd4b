"""The certificate of one layer pair: what is certified of two adjacent layers and one token group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redundancy.certificate import BoundCertificate, RecheckReport

__all__ = ["LayerPairCertificate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPairCertificate:
    """Statements about layer `layer`, the pair (h_{layer-1}, h_layer), for the tokens of one group.

    Parameters
    ----------
    layer : int
        1..L.
    group : str
        Token group, as "vision".
    n_images, n_tokens : int
        Sample size; images are the i.i.d. units.
    statements : tuple of BoundCertificate
        Leaves from the sample first, then what the theorems derive of them.
    """

    layer: int
    group: str
    n_images: int
    n_tokens: int
    statements: tuple[BoundCertificate, ...]

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
        """Certified upper bound on P[rho >= t], the share of tokens that are not t-proximal."""
        return self.best_upper("tail_prob_closed")

    def recheck(self) -> RecheckReport:
        """Recompute every statement from the stored inputs."""
        problems = tuple(
            f"layer {self.layer} {self.group}, {statement.theorem}: {problem}"
            for statement in self.statements
            for problem in statement.recheck().problems
        )
        return RecheckReport(theorem="layer_pair", problems=problems)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat row per statement."""
        return [statement.to_record() for statement in self.statements]

    def to_dict(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """JSON-ready tree; arrays go into `arrays` under their hash."""
        return {
            "layer": self.layer,
            "group": self.group,
            "n_images": self.n_images,
            "n_tokens": self.n_tokens,
            "statements": [s.to_dict(arrays) for s in self.statements],
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any], arrays: Mapping[str, Any]) -> LayerPairCertificate:
        """Inverse of `to_dict`."""
        return cls(
            layer=tree["layer"],
            group=tree["group"],
            n_images=tree["n_images"],
            n_tokens=tree["n_tokens"],
            statements=tuple(BoundCertificate.from_dict(s, arrays) for s in tree["statements"]),
        )
