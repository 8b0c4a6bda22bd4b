"""Newton system with the cell weights kept as unknowns: slower, and exact where s / z swamps everything else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dgetrf, dgetrs

from redundancy.pid.dense import DenseKernel

__all__ = ["AugmentedKernel"]

Array = npt.NDArray[np.float64]


class AugmentedKernel(DenseKernel):
    """The rescue of tables on which the reduced matrix loses the digits that matter.

    The reduced matrix is H + R (s / z) R'. When x and y are near copies, cells that carry nearly all mass put s / z
    of 1e9 on directions along which H is 1e-9: their sum, rounded, no longer knows H. Here the two stay apart:

    ``[H, R; R', -z / s] (d, p) = (rhs, 0)``, of size T(X + Y) plus the number of cells, by LU with pivoting.
    """

    def factor(self, s: Array, ratio: Array, diagonal: Array, regularisation: float) -> bool:
        """Factor the Newton matrix."""
        n, cells = self.n, len(s)
        h = self.newton_matrix(s, -s, diagonal, regularisation)
        h = np.triu(h) + np.triu(h, 1).T
        r = (self.incidence[:, None, :] * self.r.T).reshape(n, cells)
        own = 1.0 / ratio
        self.scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        r *= self.scale[:, None]
        reach = np.sqrt(np.maximum(own, np.einsum("ij,ij->j", r, r)))
        whole = np.zeros((n + cells, n + cells), order="F")
        whole[:n, :n] = h * self.scale * self.scale[:, None]
        whole[:n, n:] = r / reach
        whole[n:, :n] = whole[:n, n:].T
        index = np.arange(n, n + cells)
        whole[index, index] = -own / reach**2
        self.reach, self.share = reach, own
        self.whole, self.order, info = dgetrf(whole, overwrite_a=1)
        return bool(info == 0)

    def solve(self, rhs: Array) -> tuple[Array, Array, Array]:
        """Solve with the last factor."""
        full = np.zeros(len(self.whole))
        full[: self.n] = rhs * self.scale
        full = dgetrs(self.whole, self.order, full)[0]
        lift = full[self.n :] / self.reach
        return full[: self.n] * self.scale, self.share * lift, lift
