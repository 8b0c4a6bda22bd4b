"""Sums of one batch on the device: distances, tails, histograms, norms and the depth matrix, without any wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from extraction.harvesting.attention import AttentionMasses
from extraction.harvesting.kernels import Kernels, kernels_for
from extraction.harvesting.kernels.layout import COLUMNS, Layout
from extraction.harvesting.kernels.plain import pairwise_distances
from extraction.harvesting.tokens import VISION, TokenGroups
from redundancy.statistics.harvest_statistics import RATIO_EDGES, HarvestStatistics, StatisticsSpec

__all__ = ["BatchAccumulator"]

_CHUNK_CPU, _CHUNK_GPU = 1 << 20, 1 << 25  # entries of a fp32 temporary of the depth matrix


@dataclass(frozen=True, slots=True, eq=False)
class _Constants:
    """What a batch needs on one device; copied there before the forward pass, in which a copy would wait."""

    kernels: Kernels
    layout: Layout
    slots: torch.Tensor
    shift: torch.Tensor | None


class BatchAccumulator:
    """Collects one batch: feed every pair and attention layer, then `finish`.

    Nothing here waits for the device before `finish`: groups are fixed before the forward pass, every
    reduction has a fixed size, and padding goes to a group of its own that is dropped at the end.

    Parameters
    ----------
    spec : StatisticsSpec
        The declaration of the run.
    tokens : TokenGroups
        Groups of the batch, B rows of S tokens.
    shift : Tensor of shape (groups, L+1, d), optional
        Means for the centred distance, float32.
    """

    def __init__(self, spec: StatisticsSpec, tokens: TokenGroups, shift: torch.Tensor | None = None) -> None:
        self.spec = spec
        self.n_rows, self.n_tokens = tokens.groups.shape
        self.n_slots = len(spec.groups) + 1
        self._groups = tokens.groups.reshape(-1)
        rows = torch.arange(self.n_rows, device=tokens.groups.device).repeat_interleave(self.n_tokens)
        self._slots = rows * self.n_slots + self._groups
        self._shift = shift
        self._constants: dict[torch.device, _Constants] = {}
        self._values: list[torch.Tensor | None] = [None] * spec.n_layers
        self._masses: list[AttentionMasses | None] = [None] * spec.n_layers
        self._states: list[torch.Tensor] = []
        self._on(tokens.groups.device)  # copies to the device now, since they would wait inside the forward pass

    # ------------------------------------------------------------------ inside the forward pass

    def pair(self, layer: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Take input and output states of `layer` (1..L), each of shape (B, S, d)."""
        y = y.to(x.device)
        if self.spec.has_matrix:
            # Clones, since some models add to a layer's output in place.
            self._states.extend([x.clone(), y.clone()] if layer == 1 else [y.clone()])
        at = self._on(x.device)
        means = None if at.shift is None else (at.shift[:, layer - 1], at.shift[:, layer])
        x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
        # Three or six numbers per token; their sums wait for `finish`, where one call does for all layers.
        self._values[layer - 1] = at.kernels.row_values(x, y, at.layout.groups, means)

    def attention(self, layer: int, masses: AttentionMasses) -> None:
        """Take the masses of the layer with index `layer` (0..L-1)."""
        self._masses[layer] = masses

    def _on(self, device: torch.device) -> _Constants:
        if device not in self._constants:
            shift = None
            if self._shift is not None:  # a row of zeros for tokens in no group
                shift = torch.cat([self._shift, torch.zeros_like(self._shift[:1])]).to(device)

            def table(values: Sequence[float]) -> torch.Tensor:
                return torch.tensor(values, dtype=torch.float64, device=device)

            self._constants[device] = _Constants(
                kernels=kernels_for(device),
                layout=Layout(
                    n_rows=self.n_rows,
                    n_tokens=self.n_tokens,
                    n_groups=self.n_slots - 1,
                    groups=self._groups.to(device),
                    # The last edge, 2, bounds nothing: the last bin is closed.
                    edges=table(self.spec.edges[:-1]),
                    ratio_edges=table(RATIO_EDGES),
                    thresholds=table(self.spec.thresholds),
                ),
                slots=self._slots.to(device),
                shift=shift,
            )
        return self._constants[device]

    # ------------------------------------------------------------------ after it

    def finish(self, sample_ids: list[str], units: Sequence[str] | None = None) -> HarvestStatistics:
        """Statistics of the batch, whose samples have these units; brings all to the host."""
        missing = [i + 1 for i, values in enumerate(self._values) if values is None]
        if missing:
            raise RuntimeError(f"layers {missing} did not run in the forward pass")
        sums, histogram, ratio_histogram, highest = self._reduced()
        # (L, B, groups, columns) -> (B, groups, L, columns)
        sums = sums.transpose(1, 2, 0, 3)
        own = {name: sums[..., i] for i, name in enumerate(COLUMNS)}
        n_tails = len(self.spec.thresholds)
        tails = _whole(sums[..., len(COLUMNS) :])

        def pooled(name: str) -> npt.NDArray[np.float64]:
            total: npt.NDArray[np.float64] = own[name].sum(axis=0)
            return total

        def by_depth(name: str) -> npt.NDArray[np.float64]:
            """Inputs of the first layer, then outputs of all."""
            return np.concatenate([pooled(f"{name}_x")[:, :1], pooled(f"{name}_y")], axis=1)

        tokens = np.bincount(self._slots.cpu().numpy(), minlength=self.n_rows * self.n_slots)
        arrays: dict[str, npt.NDArray[Any]] = {
            "token_counts": tokens.reshape(self.n_rows, self.n_slots)[:, :-1],
            "pair_counts": _whole(own["pairs"]),
            "distance_sums": own["distance"],
            "tail_strict": tails[..., :n_tails],
            "tail_weak": tails[..., n_tails:],
            "ratio_sums": pooled("ratio"),
            "ratio_counts": _whole(pooled("ratio_count")),
            "centred_sums": pooled("centred"),
            "centred_counts": _whole(pooled("centred_count")),
            "constant_counts": _whole(pooled("constant")),
            "one_zero_counts": _whole(pooled("one_zero")),
            "both_zero_counts": _whole(pooled("both_zero")),
            "histogram": histogram.swapaxes(0, 1),
            "ratio_histogram": ratio_histogram.swapaxes(0, 1),
            "distance_max": highest.max(axis=1).T,
            "norm_sums": by_depth("norm"),
            "norm_counts": _whole(by_depth("finite")),
            "zero_counts": _whole(by_depth("zero")),
            "nonfinite_counts": _whole(by_depth("nonfinite")),
        }
        if self._shift is not None:
            arrays["shift"] = self._shift.cpu().numpy()
        if self.spec.has_matrix:
            arrays |= self._depth_matrix()
        if self.spec.has_attention:
            arrays |= self._attention_arrays(arrays["token_counts"][:, VISION] > 0)
        return HarvestStatistics(self.spec, sample_ids=sample_ids, arrays=arrays, units=units)

    def _reduced(self) -> tuple[npt.NDArray[Any], ...]:
        """Sums of all layers, on the host; one call for the layers of each device."""
        layers_on: dict[torch.device, list[int]] = {}
        for layer, values in enumerate(self._values):
            if values is not None:
                layers_on.setdefault(values.device, []).append(layer)
        parts = []
        for device, layers in layers_on.items():
            at = self._on(device)
            stacked = torch.stack([v for v in (self._values[layer] for layer in layers) if v is not None])
            parts.append([t.cpu().numpy() for t in at.kernels.reduce_rows(stacked, at.layout)])
        self._values = []
        order = np.argsort([layer for layers in layers_on.values() for layer in layers])
        return tuple(np.concatenate(column)[order] for column in zip(*parts, strict=True))

    def _attention_arrays(self, has_vision: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """Masses of every layer; NaN without softmax attention or without vision tokens in the stream."""
        shape = (self.n_rows, self.spec.n_layers, self.spec.n_heads)
        names = {"answer_var": "answer", "answer_value_var": "answer_value"}
        names |= {"text_var_mean": "text_mean", "text_var_max": "text_max"}
        arrays = {name: np.full(shape, np.nan, dtype=np.float32) for name in names}
        for layer, masses in enumerate(self._masses):
            if masses is not None:
                together = torch.stack([getattr(masses, attribute) for attribute in names.values()]).cpu().numpy()
                for name, found in zip(names, together, strict=True):
                    arrays[name][has_vision, layer] = found[has_vision]
        return arrays

    def _depth_matrix(self) -> dict[str, npt.NDArray[Any]]:
        """Distances between all depths of each token, a chunk of tokens at a time."""
        states = [s.reshape(-1, s.shape[-1]) for s in self._states]
        device = states[0].device
        at = self._on(device)
        n_tokens, width = states[0].shape
        n_depths, n_groups = len(states), self.n_slots - 1
        matrix = torch.zeros(self.n_slots, 2 * n_depths**2, dtype=torch.float64, device=device)
        # Columns: entry sums, entry counts, exit sums, exit counts.
        rows = torch.zeros(self.n_rows * self.n_slots, 4 * n_depths, dtype=torch.float64, device=device)
        step = max(1, (_CHUNK_GPU if device.type == "cuda" else _CHUNK_CPU) // (n_depths * (width + n_depths)))
        for start in range(0, n_tokens, step):
            part = slice(start, start + step)
            chunk = torch.stack([s[part].to(device).float() for s in states], dim=1)
            rho = pairwise_distances(chunk)
            known = ~rho.isnan()
            rho = torch.where(known, rho, 0).double()
            both = torch.stack([rho, known.double()], dim=1)
            matrix.index_add_(0, at.layout.groups[part], both.reshape(len(both), -1))
            edge = torch.cat([both[:, :, 0], both[:, :, -1]], dim=1)
            rows.index_add_(0, at.slots[part], edge.reshape(len(edge), -1))
        self._states.clear()
        pooled = matrix.cpu().numpy().reshape(self.n_slots, 2, n_depths, n_depths)[:n_groups]
        own = rows.cpu().numpy().reshape(self.n_rows, self.n_slots, 4, n_depths)[:, :n_groups]
        return {
            "matrix_sums": pooled[:, 0],
            "matrix_counts": _whole(pooled[:, 1]),
            "entry_sums": own[:, :, 0],
            "entry_counts": _whole(own[:, :, 1]),
            "exit_sums": own[:, :, 2],
            "exit_counts": _whole(own[:, :, 3]),
        }


def _whole(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Integers that were summed in float64, where they are exact up to 2^53."""
    return counts.astype(np.int64)
