"""Multi-layer perceptron probe: trained with torch, kept and evaluated as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from estimators.probes.lipschitz_constants import product_upper
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["MLPProbe"]

Array = npt.NDArray[np.float64]


class MLPProbe(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Standardised inputs, ReLU layers, squared loss, AdamW with a cosine schedule.

    Parameters
    ----------
    hidden : sequence of int, default=(64,)
        Widths of the hidden layers.
    epochs : int, default=60
    batch_size : int, default=64
    learning_rate : float, default=0.01
    weight_decay : float, default=1e-3
    device : str, default="cpu"
        Where it is trained.
    random_state : int, default=0
        Same state, data and device: same probe. torch's global generator is left alone.

    Attributes
    ----------
    layers_ : list of (ndarray, ndarray)
        Weights of shape (n_in, n_out) and offsets, the standardisation folded into the first and the last.
    lipschitz_ : float
        Product of spectral norms, an upper bound on the probe's Lipschitz constant.
    """

    probe_class = "multi-layer perceptron"

    def __init__(
        self,
        hidden: Sequence[int] = (64,),
        *,
        epochs: int = 60,
        batch_size: int = 64,
        learning_rate: float = 0.01,
        weight_decay: float = 1e-3,
        device: str = "cpu",
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> MLPProbe:
        """Fit; raises `MissingExtraError` without torch."""
        widths = [check_count(w, "hidden", lower=1) for w in self.hidden]
        if not widths:
            raise InvalidInputError("need one hidden layer at least, got none; a linear probe is StreamingRidge")
        check_count(self.epochs, "epochs", lower=1)
        check_count(self.batch_size, "batch_size", lower=1)
        check_real(self.learning_rate, "learning_rate", lower=0.0, open_ends=True)
        check_real(self.weight_decay, "weight_decay", lower=0.0)
        x, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        self._vector = y.ndim == 1
        z = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        centre, scale = x.mean(axis=0), _spread(x)
        target_centre, target_scale = z.mean(axis=0), _spread(z)
        trained = self._train((x - centre) / scale, (z - target_centre) / target_scale, widths)
        first, offset = trained[0]
        trained[0] = (first / scale[:, None], offset - (centre / scale) @ first)
        last, offset = trained[-1]
        trained[-1] = (last * target_scale, offset * target_scale + target_centre)
        self.layers_ = trained
        return self

    def predict(self, X: Any) -> Array:
        """Predictions of shape (n_rows,) or (n_rows, n_outputs)."""
        check_is_fitted(self, "layers_")
        x = validate_data(self, X, reset=False, dtype=np.float64)
        for weights, offset in self.layers_[:-1]:
            x = np.maximum(x @ weights + offset, 0.0)
        weights, offset = self.layers_[-1]
        out = x @ weights + offset
        return np.asarray(out[:, 0] if self._vector else out)

    @property
    def lipschitz_(self) -> float:
        """Upper bound on the probe's Lipschitz constant in Euclidean norms: the product of spectral norms."""
        check_is_fitted(self, "layers_")
        return product_upper([w for w, _ in self.layers_])

    def _train(self, x: Array, z: Array, widths: list[int]) -> list[tuple[Array, Array]]:
        try:
            import torch
        except ImportError:
            raise MissingExtraError('the MLP probe needs torch: pip install "skip-it[extract]"') from None
        rng = np.random.default_rng(self.random_state)
        sizes = [x.shape[1], *widths, z.shape[1]]
        options: dict[str, Any] = {"dtype": torch.float32, "device": self.device}
        layers = []
        for n_in, n_out in pairwise(sizes):
            start = rng.standard_normal((n_in, n_out)) * np.sqrt(2.0 / n_in)
            weights = torch.tensor(start, requires_grad=True, **options)
            layers.append((weights, torch.zeros(n_out, requires_grad=True, **options)))
        rows, goals = torch.tensor(x, **options), torch.tensor(z, **options)
        parameters = [p for layer in layers for p in layer]
        optimiser = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs)
        for _ in range(self.epochs):
            order = torch.as_tensor(rng.permutation(len(x)), device=self.device)
            for start in range(0, len(x), self.batch_size):
                batch = order[start : start + self.batch_size]
                state = rows[batch]
                for weights, offset in layers[:-1]:
                    state = torch.relu(state @ weights + offset)
                loss = ((state @ layers[-1][0] + layers[-1][1] - goals[batch]) ** 2).mean()
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            schedule.step()
        return [(w.detach().cpu().double().numpy(), b.detach().cpu().double().numpy()) for w, b in layers]


def _spread(x: Array) -> Array:
    """Standard deviation of every column, 1 for constant ones."""
    spread = x.std(axis=0)
    return np.asarray(np.where(spread > 1e-12 * (1.0 + np.abs(x).max(axis=0)), spread, 1.0))
