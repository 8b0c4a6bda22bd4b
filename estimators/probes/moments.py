"""Sufficient statistics of a linear probe: weighted first and second moments, mergeable and independent of N."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.checks import as_floats
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["Centred", "Moments", "load_torch"]

Array = npt.NDArray[np.float64]

_BLOCK_BYTES = 1 << 25  # of one float64 block of rows: large enough for full speed of the products


@dataclass(frozen=True, slots=True, eq=False)
class Centred:
    """Means and scatter about them: what a ridge fit and its error are computed from.

    Attributes
    ----------
    weight : float
        Sum of the row weights, the number of rows if they are 1.
    mean_x : ndarray of shape (d,)
    mean_z : ndarray of shape (q,)
    xx, xz : ndarray of shape (d, d) and (d, q)
        Weighted sums of products of centred rows.
    zz : float
        Weighted sum of the squared lengths of the centred task vectors.
    """

    weight: float
    mean_x: Array
    mean_z: Array
    xx: Array
    xz: Array
    zz: float


class Moments:
    """Moments of rows (x, z) about a shift fixed by the first block.

    The shift keeps rounding harmless when means are large against deviations; merging moves it exactly.

    Parameters
    ----------
    n_features, n_outputs : int
    device : str, optional
        A torch device for the products, as ``"cuda"``; None for numpy.
    products : {"float64", "float32"}, default="float64"
        Precision of the products of one block; sums over blocks are always float64. float32 is for float32 data
        on fast devices: relative error about 1e-6 of a second moment.

    Examples
    --------
    >>> x, z = np.arange(12.0).reshape(6, 2) ** 2, np.arange(6.0).reshape(6, 1)
    >>> first, second = Moments(2, 1).update(x[:4], z[:4]), Moments(2, 1).update(x[4:], z[4:])
    >>> both, whole = first.merge(second).centred(), Moments(2, 1).update(x, z).centred()
    >>> bool(np.allclose(both.xx, whole.xx)), both.weight
    (True, 6.0)
    """

    def __init__(
        self, n_features: int, n_outputs: int, *, device: str | None = None, products: str = "float64"
    ) -> None:
        if products not in ("float64", "float32"):
            raise InvalidInputError(f"need products 'float64' or 'float32', got {products!r}")
        self.n_features, self.n_outputs = n_features, n_outputs
        self.device, self.products = device, products
        self.weight = 0.0
        self.n_rows = 0
        self.shift: Array | None = None  # of x, then z
        self.first = np.zeros(n_features + n_outputs)
        self.xx: Any = None  # numpy, or a tensor on the device until it is read
        self.xz: Any = None
        self.zz = 0.0

    def update(self, x: Any, z: Any, *, weights: npt.ArrayLike | None = None, shift: Array | None = None) -> Moments:
        """Add rows: x of shape (n, d), z of shape (n, q), weights of shape (n,), default 1; returns self."""
        if len(x) == 0:
            return self
        if self.shift is None:
            self.shift = self._pilot(x, z) if shift is None else shift
        step = max(1, _BLOCK_BYTES // (8 * (self.n_features + self.n_outputs)))
        w = None if weights is None else as_floats(weights, "weights")
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            self._add(x[part], z[part], None if w is None else w[part])
        return self

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of rows together; neither argument changes."""
        if (self.n_features, self.n_outputs) != (other.n_features, other.n_outputs):
            raise InvalidInputError(
                f"need moments of one shape, got {(self.n_features, self.n_outputs)} and "
                f"{(other.n_features, other.n_outputs)} (features, outputs)"
            )
        return Moments.total([self, other])

    @staticmethod
    def total(parts: list[Moments]) -> Moments:
        """Moments of all parts together, about the shift of the first that has rows."""
        result = parts[0]._empty()
        for part in parts:
            if part.shift is None:
                continue
            xx, xz, first, zz = part._about(part.shift if result.shift is None else result.shift)
            if result.shift is None:
                result.shift = part.shift.copy()
                result.xx, result.xz = xx.copy(), xz.copy()
            else:
                result.xx += xx
                result.xz += xz
            result.first = result.first + first
            result.zz += zz
            result.weight += part.weight
            result.n_rows += part.n_rows
        return result

    def centred(self) -> Centred:
        """Means and centred scatter.

        Raises
        ------
        InvalidInputError
            If no row was added.
        """
        if self.shift is None or self.weight <= 0.0:
            raise InvalidInputError("need at least one row of positive weight, got none; every fold must hold rows")
        mean = self.first / self.weight
        d = self.n_features
        xx = self._matrix(self.xx) - self.weight * np.outer(mean[:d], mean[:d])
        xz = self._matrix(self.xz) - self.weight * np.outer(mean[:d], mean[d:])
        zz = self.zz - self.weight * float(mean[d:] @ mean[d:])
        return Centred(self.weight, mean[:d] + self.shift[:d], mean[d:] + self.shift[d:], xx, xz, max(zz, 0.0))

    def select(self, columns: slice) -> Moments:
        """Moments of some of the features only."""
        result = Moments(len(range(self.n_features)[columns]), self.n_outputs)
        if self.shift is None:
            return result
        d = self.n_features
        outputs = np.arange(d, d + self.n_outputs)
        kept = np.concatenate([np.arange(d)[columns], outputs])
        result.weight, result.n_rows, result.zz = self.weight, self.n_rows, self.zz
        result.shift, result.first = self.shift[kept], self.first[kept]
        result.xx, result.xz = self._matrix(self.xx)[columns, columns], self._matrix(self.xz)[columns]
        return result

    def _empty(self) -> Moments:
        return Moments(self.n_features, self.n_outputs, device=self.device, products=self.products)

    def _pilot(self, x: Any, z: Any) -> Array:
        rows = slice(0, 1024)
        return np.concatenate([_numpy(x[rows]).mean(axis=0), _numpy(z[rows]).mean(axis=0)])

    def _add(self, x: Any, z: Any, w: Array | None) -> None:
        if self.shift is None:  # update() has set it
            raise AssertionError
        d = self.n_features
        targets = _numpy(z) - self.shift[d:]
        weighted = targets if w is None else targets * w[:, None]
        self.zz += float(np.einsum("ij,ij->", targets, weighted))
        self.weight += float(len(targets) if w is None else w.sum())
        self.n_rows += len(targets)
        if self.device is None:
            dtype = np.dtype(self.products)
            rows = np.subtract(_numpy(x), self.shift[:d]).astype(dtype, copy=False)
            # A product of an array with its own transpose costs half: scale by the square root of the weights.
            scaled = rows if w is None else rows * np.sqrt(w)[:, None].astype(dtype)
            xx = scaled.T @ scaled
            xz = rows.T @ weighted.astype(dtype, copy=False)
            first = rows.sum(axis=0, dtype=np.float64) if w is None else w @ rows
            if self.xx is None:
                self.xx, self.xz = xx.astype(np.float64), xz.astype(np.float64)
            else:
                self.xx += xx
                self.xz += xz
        else:
            first = self._add_on_device(x, weighted, w)
        self.first[:d] += first
        self.first[d:] += weighted.sum(axis=0)

    def _add_on_device(self, x: Any, weighted: Array, w: Array | None) -> Array:
        torch = load_torch()
        if self.shift is None:
            raise AssertionError
        wide = {"dtype": torch.float64, "device": self.device}
        narrow = {"dtype": getattr(torch, self.products), "device": self.device}
        rows = torch.as_tensor(x).to(**wide) - torch.as_tensor(self.shift[: self.n_features], **wide)
        first = rows.sum(dim=0) if w is None else torch.as_tensor(w, **wide) @ rows
        scaled = rows if w is None else rows * torch.as_tensor(np.sqrt(w), **wide)[:, None]
        rows, scaled = rows.to(**narrow), scaled.to(**narrow)
        xx = (scaled.T @ scaled).to(torch.float64)
        xz = (rows.T @ torch.as_tensor(weighted, **narrow)).to(torch.float64)
        self.xx, self.xz = (xx, xz) if self.xx is None else (self.xx + xx, self.xz + xz)
        return _numpy(first)

    def _about(self, shift: Array) -> tuple[Array, Array, Array, float]:
        """Second moments, first moments and zz about another shift."""
        if self.shift is None:
            raise AssertionError
        d, move = self.n_features, self.shift - shift
        xx, xz = self._matrix(self.xx), self._matrix(self.xz)
        if not move.any():
            return xx, xz, self.first, self.zz
        a, b = self.first[:d], self.first[d:]
        s, t = move[:d], move[d:]
        xx = xx + np.outer(a, s) + np.outer(s, a) + self.weight * np.outer(s, s)
        xz = xz + np.outer(a, t) + np.outer(s, b) + self.weight * np.outer(s, t)
        zz = self.zz + 2.0 * float(b @ t) + self.weight * float(t @ t)
        return xx, xz, self.first + self.weight * move, zz

    @staticmethod
    def _matrix(matrix: Any) -> Array:
        return matrix if isinstance(matrix, np.ndarray) else _numpy(matrix)


def _numpy(values: Any) -> Array:
    """Rows as float64 numpy, from numpy, anything array-like, or a tensor on any device."""
    return as_floats(values, "values")


def load_torch() -> Any:
    """The torch module, or a `MissingExtraError` that says how to install it."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError('moments on a device need torch: pip install "skip-it[extract]"') from None
    return torch
