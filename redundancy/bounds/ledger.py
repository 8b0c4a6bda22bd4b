"""The theorem ledger: every statement as printed and as used, why they differ, and where it is computed and checked."""

from __future__ import annotations

from redundancy.bounds.claims import CLAIMS, DEFINITIONS
from redundancy.certificates.former_ids import current_id
from redundancy.certificates.registry import RECORDS, STATUSES, TheoremRecord, register_all
from redundancy.errors import InvalidInputError

__all__ = ["STATUSES", "TheoremRecord", "find", "theorems"]


def theorems() -> tuple[TheoremRecord, ...]:
    """All records: definitions, lemmas, proposition, theorems, sampling, then logic and refuted claims.

    Returns
    -------
    tuple of TheoremRecord
        In the order of the ledger.

    Examples
    --------
    >>> [r.id for r in theorems() if r.status == "refuted"][:2]
    ['tail.printed_upper', 'claim.proximal_informational']
    """
    return tuple(_by_id().values())


def find(theorem: str) -> TheoremRecord:
    """The record of one id.

    Parameters
    ----------
    theorem : str
        Its id, as ``lipschitz.minkowski_upper``, or one that it had in release 0.1.0.

    Returns
    -------
    TheoremRecord
        The record.

    Raises
    ------
    InvalidInputError
        If the ledger has no such id.
    """
    records = _by_id()
    theorem = current_id(theorem)
    if theorem not in records:
        raise InvalidInputError(f"need a theorem id of the ledger, got {theorem!r}; `skip-it theorems` lists them")
    return records[theorem]


_PAPER = (
    "lemmas", "tail", "lipschitz", "plug_in", "fano", "braun_pokutta", "pinsker", "mismatch", "performance_gap",
    "concentration", "laws", "implications",
)  # fmt: skip


def _by_id() -> dict[str, TheoremRecord]:
    """Definitions, what is registered in the order of the paper, what others brought, claims."""
    register_all()
    place = {topic: k for k, topic in enumerate(_PAPER)}
    known = sorted(RECORDS.values(), key=lambda record: place.get(record.id.partition(".")[0], len(place)))
    return {record.id: record for record in (*DEFINITIONS, *known, *CLAIMS)}
