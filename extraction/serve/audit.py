"""A declared share of the answers is computed again without the plan, and bet against the certified risk."""

from __future__ import annotations

import random
from pathlib import Path

from extraction.serve.batcher import Batcher, Job
from extraction.skip.plan import Plan
from redundancy.checks import check_real
from redundancy.errors import InvalidInputError
from redundancy.files.writing import write_text
from redundancy.risk import DriftAlarm

__all__ = ["Auditor"]

_MOST_WAITING = 32  # audits beyond are left out, chosen by load and never by what an answer says


class Auditor:
    """Compare answers under the plan with those of the unmodified model, when nobody waits.

    Parameters
    ----------
    risk : float
        Certified share of inputs whose answer the plan changes.
    share : float
        Of greedy answers that are audited, in (0, 1]; drawn at random.
    alpha : float
        Largest probability of a false alarm, ever.
    path : Path, optional
        File that holds the evidence; a restarted server goes on from it.

    Raises
    ------
    InvalidInputError
        If the file belongs to another risk or alpha.
    """

    def __init__(self, risk: float, *, share: float = 0.01, alpha: float = 0.05, path: Path | None = None) -> None:
        self.alarm = DriftAlarm(risk, alpha)
        self.share = check_real(share, "share", lower=0.0, upper=1.0)
        self._path = path
        self._waiting = 0
        self._draw = random.SystemRandom()
        if path is not None and path.exists():
            self.alarm = DriftAlarm.from_json(path.read_text(encoding="utf-8"))
            if (self.alarm.risk, self.alarm.alpha) != (risk, alpha):
                raise InvalidInputError(
                    f"need the audits of risk {risk:g} and alpha {alpha:g}, {path} has {self.alarm.risk:g} and "
                    f"{self.alarm.alpha:g}; name another file"
                )

    def consider(self, job: Job, batcher: Batcher) -> None:
        """Audit this answer, perhaps, as soon as nobody waits."""
        if job.request.temperature > 0.0 or self._waiting >= _MOST_WAITING or self._draw.random() >= self.share:
            return
        self._waiting += 1
        batcher.when_idle(lambda: self._audit(job, batcher))

    def _audit(self, job: Job, batcher: Batcher) -> None:
        self._waiting -= 1
        self.alarm.update([float(batcher.answer(job.request, Plan()) != job.text)])
        if self._path is not None:
            write_text(self._path, self.alarm.to_json())
