"""Where the samples of a harvest come from: which were left out, and whether looking at them ended it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from redundancy.errors import InvalidInputError

__all__ = ["Provenance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the numbers of a harvest do not show, kept beside them and merged with them.

    Attributes
    ----------
    failed : mapping of str to str
        Sample id of every sample that was left out, and the kind of its fault, such as "image" or "length".
    stopped_by : tuple of str
        Questions whose answer ended the harvest before its last sample: then the number of samples was decided by
        looking at them, and bounds for a fixed number do not hold.

    Examples
    --------
    >>> Provenance(failed={"a": "image", "b": "image", "c": "length"}).causes()
    {'image': 2, 'length': 1}
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    stopped_by: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.failed or self.stopped_by)

    def causes(self) -> dict[str, int]:
        """Number of samples left out, by kind of fault, in alphabetical order."""
        return dict(sorted(Counter(self.failed.values()).items()))

    def sentence(self, n_samples: int) -> str:
        """What a reader must know of the samples that are missing; "" if none is.

        Parameters
        ----------
        n_samples : int
            Samples that were harvested.
        """
        if not self.failed:
            return ""
        n_failed, n_all = len(self.failed), len(self.failed) + n_samples
        kinds = ", ".join(f"{cause} {n}" for cause, n in self.causes().items())
        return f"{n_failed} of {n_all} samples ({100 * n_failed / n_all:.3g} %) failed and are left out ({kinds})"

    @classmethod
    def merge_all(cls, parts: Iterable[Provenance]) -> Provenance:
        """Provenance of all samples together: an early stop of one part is one of the whole."""
        failed: dict[str, str] = {}
        stopped: dict[str, None] = {}
        for part in parts:
            failed.update(part.failed)
            stopped.update(dict.fromkeys(part.stopped_by))
        return cls(failed=dict(sorted(failed.items())), stopped_by=tuple(sorted(stopped)))

    def to_json(self) -> str:
        """Canonical JSON text, equal for equal provenance."""
        body = {"failed": dict(self.failed), "stopped_by": sorted(self.stopped_by)}
        return json.dumps(body, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Inverse of `to_json`; `InvalidInputError` for another form."""
        try:
            body = json.loads(text)
            failed, stopped = body["failed"], body["stopped_by"]
            texts = [*failed.keys(), *failed.values(), *stopped]
            if set(body) != {"failed", "stopped_by"} or not all(isinstance(one, str) for one in texts):
                raise ValueError(f"its fields are {sorted(body)}")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidInputError(f"need the JSON of a provenance (failed, stopped_by), got: {error}") from error
        return cls(failed=failed, stopped_by=tuple(stopped))
