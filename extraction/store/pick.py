"""The chosen tokens of a batch, at every depth, seen in a forward pass that somebody else runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from extraction.harvesting.harvester import Harvester
from extraction.harvesting.tokens import TokenGroups
from extraction.harvesting.watch import watch_layers
from extraction.models.adapters import Adapter
from extraction.store.choice import choose_tokens
from redundancy.errors import InvalidInputError
from redundancy.statistics.harvest_statistics import BASE_GROUPS

__all__ = ["Picks", "choose_rows", "watch_states"]


class Picks:
    """What is kept of a batch.

    Parameters
    ----------
    tokens : TokenGroups
        Of the batch.
    batch : mapping
        Model inputs with "sample_ids".
    spec : mapping
        Of `extraction.store.writer.make_spec`.

    Attributes
    ----------
    rows : list of array of int
        For each sample the chosen positions, counted from its first valid token, so that padding does not move them.
    groups : list of array of int
        Place of each chosen token in `BASE_GROUPS`.
    index : LongTensor of shape (B, longest)
        Columns of the batch; shorter rows are filled up with 0.
    """

    def __init__(self, tokens: TokenGroups, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        table = tokens.groups.cpu().numpy()
        mask = batch.get("attention_mask")
        valid = np.ones(table.shape, dtype=bool) if mask is None else np.asarray(mask.cpu()).astype(bool)
        codes = [BASE_GROUPS.index(group) for group in spec["groups"]]
        firsts = [int(row.argmax()) for row in valid]
        self.rows = [
            np.sort(
                np.concatenate(
                    [
                        choose_tokens(
                            name, np.flatnonzero(row == code) - first, spec["tokens_per_group"], seed=spec["seed"]
                        )
                        for code in codes
                    ]
                )
            )
            for name, row, first in zip(batch["sample_ids"], table, firsts, strict=True)
        ]
        places = list(zip(table, self.rows, firsts, strict=True))
        self.groups = [row[rows + first] for row, rows, first in places]
        index = np.zeros((len(places), max(1, *(len(rows) for rows in self.rows))), dtype=np.int64)
        for i, (_, rows, first) in enumerate(places):
            index[i, : len(rows)] = rows + first
        self.index = torch.from_numpy(index)
        self.depths = tuple(spec["depths"])
        self._kept: dict[int, torch.Tensor] = {}
        self._places: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}

    def take(self, layer: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Take what is chosen of the input and output of `layer` (1..L)."""
        if layer == 1:
            self._take(0, x)
        self._take(layer, y)

    def states(self) -> npt.NDArray[np.float32]:
        """States of the chosen tokens, shape (depths, B, longest, features), once the forward pass is over."""
        missing = [depth for depth in self.depths if depth not in self._kept]
        if missing:
            raise InvalidInputError(f"need the states of all depths, the forward pass did not reach {missing}")
        return np.stack([self._kept[depth].cpu().numpy() for depth in self.depths])

    def _take(self, depth: int, states: torch.Tensor) -> None:
        if depth not in self.depths:
            return
        if states.device not in self._places:  # once per device, not per layer
            here = self.index.to(states.device)
            self._places[states.device] = (torch.arange(len(here), device=states.device)[:, None], here)
        self._kept[depth] = states[self._places[states.device]].float()


def choose_rows(harvester: Harvester, batch: Mapping[str, Any], spec: Mapping[str, Any]) -> Picks:
    """Choose the tokens of a batch, before its forward pass."""
    return Picks(harvester.groups(batch), batch, spec)


@contextmanager
def watch_states(adapter: Adapter, picks: Picks) -> Iterator[None]:
    """Keep the chosen states of the one forward pass that happens inside."""
    with watch_layers(adapter, picks.take):
        yield
