"""Append the token that the model answers with, so that its own attention can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from extraction.data.scoring import last_prompt_logits
from extraction.harvesting.tokens import last_valid
from extraction.models.device import to_device
from redundancy.errors import UnsupportedModelError

if TYPE_CHECKING:
    from extraction.harvesting.harvester import Harvester

__all__ = ["append_generated"]

# Inputs that say more of a new token than zeros would.
_NOT_EXTENDED = ("position_ids", "token_type_ids")


def append_generated(harvester: Harvester, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Batch with the model's greedy next token after each prompt, as answer query and in no token group.

    Costs one more forward pass. Rows stay padded on their side.

    Raises
    ------
    UnsupportedModelError
        If the batch has per-token inputs whose value for a new token is the model's own affair.
    """
    given = [name for name in _NOT_EXTENDED if name in batch]
    if given:
        raise UnsupportedModelError(
            f'need a batch without {given[0]} to append the generated token, got one; use answer="last_prompt"'
        )
    batch = to_device(batch, harvester.device)
    ids = batch["input_ids"]
    valid = batch.get("attention_mask")
    valid = torch.ones_like(ids) if valid is None else valid
    with torch.inference_mode():
        logits = harvester.call(harvester.model_inputs(batch)).logits
        tokens = last_prompt_logits(logits, valid.to(logits.device)).argmax(dim=-1).to(ids.device)
    longer = {
        name: torch.nn.functional.pad(value, (0, 1)) if torch.is_tensor(value) and value.shape == ids.shape else value
        for name, value in {**batch, "attention_mask": valid}.items()
    }
    place = (torch.arange(len(ids), device=ids.device), last_valid(valid.bool()) + 1)
    longer["input_ids"] = longer["input_ids"].index_put(place, tokens)
    longer["attention_mask"] = longer["attention_mask"].index_put(place, torch.ones_like(valid[:, 0]))
    ignored = torch.zeros_like(longer["input_ids"], dtype=torch.bool)
    longer["ignored_mask"] = ignored.index_put(place, torch.ones_like(ignored[:, 0]))
    longer["answer_positions"] = place[1]
    return longer
