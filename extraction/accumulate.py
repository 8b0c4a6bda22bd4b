"""Sums of one batch on the device: distances, tails, histograms, norms and the depth matrix, without any wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from extraction.attention import AttentionMasses
from extraction.tokens import VISION, TokenGroups
from redundancy.statistics import RATIO_EDGES, HarvestStatistics, StatisticsSpec

__all__ = ["BatchAccumulator", "pair_distances"]

# A centred vector this much shorter than the vector is rounding: fp32 states leave about 1e-6 of noise.
_CONSTANT = 1e-4
_CHUNK_CPU, _CHUNK_GPU = 1 << 17, 1 << 25  # entries of a fp32 temporary: half a MiB stays in a core's cache
_FIXED = ("distance", "pairs", "ratio", "ratio_count", "centred", "centred_count", "constant", "one_zero", "both_zero")


def pair_distances(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Cosine distances of paired rows, and both norms, in float32.

    .. math:: \rho = \tfrac12 |y\,(a/b) - x|^2 / a^2, \qquad a = |x|, \; b = |y|

    equals 1 - cos(x, y) and keeps about six digits where 1 - cos loses all of them.

    Parameters
    ----------
    x, y : Tensor of shape (N, d)
        Any floating type.

    Returns
    -------
    rho, a, b : Tensor of shape (N,)
        Distance in [0, 2]: 0 for two zero vectors, 1 for one, NaN if a vector is not finite (or so long that
        its square overflows float32); rounding above 2 is cut, since no cosine distance exceeds it.
    """
    n, width = x.shape
    step = max(1, (_CHUNK_GPU if x.is_cuda else _CHUNK_CPU) // width)
    if n > step:
        parts = [pair_distances(*chunk) for chunk in zip(torch.split(x, step), torch.split(y, step), strict=True)]
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]
    x, y = x.float(), y.float()
    a2, b2 = x.square().sum(dim=-1), y.square().sum(dim=-1)
    a, b = a2.sqrt(), b2.sqrt()
    rho = 0.5 * (y * (a / b).unsqueeze(-1) - x).square().sum(dim=-1) / a2
    zeros = (a == 0).to(rho.dtype) + (b == 0).to(rho.dtype)
    rho = torch.where(zeros == 1, 1.0, torch.where(zeros == 2, 0.0, rho.clamp(max=2.0)))
    bad = ~(torch.isfinite(a) & torch.isfinite(b))
    return rho.masked_fill(bad, torch.nan), a, b


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
        self._constants: dict[torch.device, dict[str, torch.Tensor]] = {}
        self._pairs: list[dict[str, torch.Tensor] | None] = [None] * spec.n_layers
        self._depths: list[torch.Tensor | None] = [None] * (spec.n_layers + 1)
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
        x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
        at = self._on(x.device)
        rho, a, b = pair_distances(x, y)
        if layer == 1:
            self._depths[0] = self._norms(a, at)
        self._depths[layer] = self._norms(b, at)
        finite = ~rho.isnan()
        rho = torch.where(finite, rho, 0).double()
        ratio_known = finite & (a > 0)
        ratio = torch.where(ratio_known, b.double() / a.double(), 0)
        centred, centred_known, constant = self._centred(layer, x, y, a, b, at)
        strict = [(rho > t) & finite for t in self.spec.thresholds]
        weak = [(rho >= t) & finite for t in self.spec.thresholds]
        zeros = (a == 0).int() + (b == 0).int()
        columns = [rho, finite, ratio, ratio_known, centred, centred_known, constant]
        columns += [finite & (zeros == 1), finite & (zeros == 2), *strict, *weak]
        sums = torch.zeros(self.n_rows * self.n_slots, len(columns), dtype=torch.float64, device=x.device)
        sums.index_add_(0, at["slots"], torch.stack([c.double() for c in columns], dim=-1))
        # A token without a distance joins the padding's group in what is counted per token.
        groups = torch.where(finite, at["groups"], self.n_slots - 1)
        bins = torch.bucketize(rho, at["edges"], right=True) + (rho > 0)
        highest = torch.full((self.n_slots,), -torch.inf, dtype=torch.float64, device=x.device)
        self._pairs[layer - 1] = {
            "sums": sums,
            "histogram": _count(groups, bins, self.n_slots, len(self.spec.edges) + 1),
            "ratio_histogram": _count(
                torch.where(ratio_known, groups, self.n_slots - 1),
                torch.bucketize(ratio, at["ratio_edges"], right=True),
                self.n_slots,
                len(RATIO_EDGES) + 1,
            ),
            "max": highest.scatter_reduce_(0, groups, rho, "amax"),
        }

    def attention(self, layer: int, masses: AttentionMasses) -> None:
        """Take the masses of the layer with index `layer` (0..L-1)."""
        self._masses[layer] = masses

    def _on(self, device: torch.device) -> dict[str, torch.Tensor]:
        if device not in self._constants:
            self._constants[device] = {
                "groups": self._groups.to(device),
                "slots": self._slots.to(device),
                # The last edge, 2, bounds nothing: the last bin is closed.
                "edges": torch.tensor(self.spec.edges[:-1], dtype=torch.float64, device=device),
                "ratio_edges": torch.tensor(RATIO_EDGES, dtype=torch.float64, device=device),
            }
            if self._shift is not None:
                padding = torch.zeros_like(self._shift[:1])
                self._constants[device]["shift"] = torch.cat([self._shift, padding]).to(device)
        return self._constants[device]

    def _norms(self, norm: torch.Tensor, at: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum of norms, finite count, zero count and non-finite count per group."""
        finite = norm.isfinite()
        columns = [torch.where(finite, norm, 0), finite, norm == 0, ~finite]
        sums = torch.zeros(self.n_slots, len(columns), dtype=torch.float64, device=norm.device)
        return sums.index_add_(0, at["groups"], torch.stack([c.double() for c in columns], dim=-1))

    def _centred(
        self,
        layer: int,
        x: torch.Tensor,
        y: torch.Tensor,
        a: torch.Tensor,
        b: torch.Tensor,
        at: dict[str, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Centred distance, where it is known, and where the centred vectors are but rounding."""
        if self._shift is None:
            nothing = torch.zeros_like(a)
            return nothing, nothing, nothing
        means = at["shift"]
        step = max(1, (_CHUNK_GPU if x.is_cuda else _CHUNK_CPU) // x.shape[1])
        parts = [
            pair_distances(xs.float() - means[g, layer - 1], ys.float() - means[g, layer])
            for xs, ys, g in zip(*(torch.split(t, step) for t in (x, y, at["groups"])), strict=True)
        ]
        rho, short_x, short_y = (torch.cat(column) for column in zip(*parts, strict=True))
        finite = ~rho.isnan()
        constant = finite & ((short_x <= _CONSTANT * a) | (short_y <= _CONSTANT * b))
        known = finite & ~constant
        return torch.where(known, rho, 0), known, constant

    # ------------------------------------------------------------------ after it

    def finish(self, sample_ids: list[str]) -> HarvestStatistics:
        """Statistics of the batch; brings everything to the host, and computes the depth matrix."""
        missing = [i + 1 for i, pair in enumerate(self._pairs) if pair is None]
        if missing:
            raise RuntimeError(f"layers {missing} did not run in the forward pass")
        n_groups = self.n_slots - 1
        layers = [{name: t.cpu().numpy() for name, t in pair.items()} for pair in self._pairs if pair is not None]
        # (L, B, slots, columns) -> (B, groups, L, columns), the padding's slot dropped
        sums = np.stack([p["sums"].reshape(self.n_rows, self.n_slots, -1) for p in layers])
        sums = sums[:, :, :n_groups].transpose(1, 2, 0, 3)
        fixed = {name: sums[..., i] for i, name in enumerate(_FIXED)}
        n_tails = len(self.spec.thresholds)
        tails = _whole(sums[..., len(_FIXED) :])
        depths = np.stack([d.cpu().numpy() for d in self._depths if d is not None])[:, :n_groups].transpose(1, 0, 2)
        tokens = np.bincount(self._slots.cpu().numpy(), minlength=self.n_rows * self.n_slots)
        arrays: dict[str, npt.NDArray[Any]] = {
            "token_counts": tokens.reshape(self.n_rows, self.n_slots)[:, :n_groups],
            "pair_counts": _whole(fixed["pairs"]),
            "distance_sums": fixed["distance"],
            "tail_strict": tails[..., :n_tails],
            "tail_weak": tails[..., n_tails:],
            "ratio_sums": fixed["ratio"].sum(axis=0),
            "ratio_counts": _whole(fixed["ratio_count"].sum(axis=0)),
            "centred_sums": fixed["centred"].sum(axis=0),
            "centred_counts": _whole(fixed["centred_count"].sum(axis=0)),
            "constant_counts": _whole(fixed["constant"].sum(axis=0)),
            "one_zero_counts": _whole(fixed["one_zero"].sum(axis=0)),
            "both_zero_counts": _whole(fixed["both_zero"].sum(axis=0)),
            "histogram": np.stack([p["histogram"] for p in layers], axis=1)[:n_groups],
            "ratio_histogram": np.stack([p["ratio_histogram"] for p in layers], axis=1)[:n_groups],
            "distance_max": np.stack([p["max"] for p in layers], axis=1)[:n_groups],
            "norm_sums": depths[..., 0],
            "norm_counts": _whole(depths[..., 1]),
            "zero_counts": _whole(depths[..., 2]),
            "nonfinite_counts": _whole(depths[..., 3]),
        }
        if self._shift is not None:
            arrays["shift"] = self._shift.cpu().numpy()
        if self.spec.has_matrix:
            arrays |= self._depth_matrix()
        if self.spec.has_attention:
            arrays |= self._attention_arrays(arrays["token_counts"][:, VISION] > 0)
        return HarvestStatistics(self.spec, sample_ids=sample_ids, arrays=arrays)

    def _attention_arrays(self, has_vision: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """Masses of every layer; NaN without softmax attention or without vision tokens in the stream."""
        shape = (self.n_rows, self.spec.n_layers, self.spec.n_heads)
        names = {"answer_var": "answer", "answer_value_var": "answer_value"}
        names |= {"text_var_mean": "text_mean", "text_var_max": "text_max"}
        arrays = {name: np.full(shape, np.nan, dtype=np.float32) for name in names}
        for layer, masses in enumerate(self._masses):
            if masses is not None:
                for name, attribute in names.items():
                    arrays[name][has_vision, layer] = getattr(masses, attribute).cpu().numpy()[has_vision]
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
        step = max(1, (_CHUNK_GPU if device.type == "cuda" else 8 * _CHUNK_CPU) // (n_depths * (width + n_depths)))
        for start in range(0, n_tokens, step):
            part = slice(start, start + step)
            chunk = torch.stack([s[part].to(device).float() for s in states], dim=1)
            rho = _all_pairs(chunk)
            known = ~rho.isnan()
            rho = torch.where(known, rho, 0).double()
            both = torch.stack([rho, known.double()], dim=1)
            matrix.index_add_(0, at["groups"][part], both.reshape(len(both), -1))
            edge = torch.cat([both[:, :, 0], both[:, :, -1]], dim=1)
            rows.index_add_(0, at["slots"][part], edge.reshape(len(edge), -1))
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


def _all_pairs(states: torch.Tensor) -> torch.Tensor:
    """Cosine distances between the D vectors of each token: (T, D, d) -> (T, D, D), as `pair_distances`."""
    norms = states.square().sum(dim=-1, keepdim=True).sqrt()
    unit = states / torch.where(norms == 0, 1.0, norms)
    gap = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    rho = (0.5 * gap.square()).clamp(max=2.0)
    zero = (norms == 0).float()
    rho = torch.where(zero != zero.transpose(1, 2), 1.0, rho)
    bad = ~norms.isfinite()
    return rho.masked_fill(bad | bad.transpose(1, 2), torch.nan)


def _count(groups: torch.Tensor, bins: torch.Tensor, n_groups: int, n_bins: int) -> torch.Tensor:
    """Table of counts by group and bin; `bincount` would wait for the device."""
    table = torch.zeros(n_groups * n_bins, dtype=torch.int64, device=bins.device)
    return table.index_add_(0, groups * n_bins + bins, torch.ones_like(groups)).view(n_groups, n_bins)


def _whole(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Integers that were summed in float64, where they are exact up to 2^53."""
    return counts.astype(np.int64)
