"""Laws of two layers and a task for which the functional gap is known, of a linear class and of the ideal predictors.

Both layers share coordinates c; the previous layer adds a, the next adds b, all independent standard normal and
then rotated and scaled, which no linear class notices. Rows of an image share a part of every coordinate and of the
noise: their correlation is the ICC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
KINDS = ("linear", "nonlinear", "classification", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """One law; `class_gap` is that of linear predictors, `ideal_gap` that of E[Z | layer]."""

    kind: str
    n_features: int
    icc: float
    class_gap: float
    ideal_gap: float
    target_range: tuple[float, float] | None

    def draw(self, n_images: int, tokens: int, rng: np.random.Generator):
        """(x_prev, x_next, target, image ids) of a sample."""
        half = self.n_features // 2
        n = n_images * tokens
        c, a, b = (self._normal(n_images, tokens, half, rng) for _ in range(3))
        noise = self._normal(n_images, tokens, 1, rng)[:, 0]
        scales = (1.0 + np.arange(2 * half)) ** -0.25
        x_prev, x_next = (np.concatenate([c, own], axis=1) @ _rotation(2 * half) * scales for own in (a, b))
        target = self._target(c, a, b, noise)
        return x_prev, x_next, target, np.repeat(np.arange(n_images), tokens)[:n]

    def _target(self, c, a, b, noise):
        if self.kind == "classification":
            # The label is read off a logistic threshold: P(Z = 1 | c, a, b) = sigmoid of the sum.
            uniform = 0.5 * (1.0 + np.vectorize(math.erf)(noise / math.sqrt(2.0)))
            return (uniform < _sigmoid(_SHARP * (c[:, 0] + a[:, 0] + b[:, 0]))).astype(np.int64)
        if self.kind == "nonlinear":
            uniform = np.vectorize(math.erf)(noise / math.sqrt(2.0))  # in (-1, 1)
            return np.tanh(2.0 * c[:, 0]) + 0.7 * (np.tanh(2.0 * a[:, 0]) + np.tanh(2.0 * b[:, 0])) + uniform
        spread = c.sum(axis=1) / math.sqrt(c.shape[1])
        if self.kind == "null":
            return np.clip(spread + noise, -8.0, 8.0)
        own = (0.4 * a.sum(axis=1) + 0.2 * b.sum(axis=1)) / math.sqrt(c.shape[1])
        return np.clip(spread + own + noise, -8.0, 8.0)

    def _normal(self, n_images, tokens, width, rng):
        shared = np.repeat(rng.standard_normal((n_images, width)), tokens, axis=0)
        return math.sqrt(self.icc) * shared + math.sqrt(1.0 - self.icc) * rng.standard_normal(shared.shape)


_SHARP = 1.5


def law(kind: str, n_features: int, icc: float) -> Law:
    """The law of this name with its gaps from closed forms or Gauss-Hermite quadrature (60 nodes an axis)."""
    target_range: tuple[float, float] | None = (-8.0, 8.0)
    if kind == "linear":
        class_gap = ideal_gap = 0.4**2 + 0.2**2  # clipping at eight deviations changes nothing that is printed
    elif kind == "null":
        class_gap = ideal_gap = 0.0
    elif kind == "nonlinear":
        bent = np.tanh(2.0 * _NODES)
        slope = _WEIGHTS @ (bent * _NODES)
        class_gap, ideal_gap = 2.0 * 0.49 * slope**2, 2.0 * 0.49 * (_WEIGHTS @ bent**2)
        target_range = (-3.4, 3.4)
    elif kind == "classification":
        # E[Z | c + a] is the sigmoid averaged over b, a function of one normal; slopes by Stein's identity.
        total = _NODES * math.sqrt(3.0)
        slope = _WEIGHTS @ (_sigmoid(_SHARP * total) * total) / 3.0
        class_gap = 2.0 * 2.0 * slope**2  # two one-hot coordinates, and two coordinates that differ

        def mean(s):
            return _sigmoid(_SHARP * (np.asarray(s)[..., None] + _NODES)) @ _WEIGHTS

        c, a, b = np.meshgrid(_NODES, _NODES, _NODES, indexing="ij", sparse=True)
        weight = _WEIGHTS[:, None, None] * _WEIGHTS[None, :, None] * _WEIGHTS[None, None, :]
        ideal_gap = 2.0 * float((weight * (mean(c + a) - mean(c + b)) ** 2).sum())
        target_range = None
    else:
        raise ValueError(f"need a kind among {KINDS}, got {kind!r}")
    return Law(
        kind=kind,
        n_features=n_features,
        icc=icc,
        class_gap=float(class_gap),
        ideal_gap=float(ideal_gap),
        target_range=target_range,
    )


def _rotation(n: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))
