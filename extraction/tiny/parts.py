"""What tiny families share: the record, shapes of decoders and towers, rows of words and placeholders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from extraction.tiny.weights import BOS_ID, EOS_ID, PAD_ID
from redundancy.errors import InvalidInputError

__all__ = ["END", "IMAGE", "START", "TEXT", "TOWER", "VIDEO", "TinyFamily", "mrope", "pixels", "row_of"]

START, IMAGE, END, VIDEO = 90, 91, 92, 93
_VOCAB, _FIRST, _LAST = 99, 5, 80
# Inputs with an entry per token, which padding has to lengthen.
_PER_TOKEN = ("token_type_ids", "mm_token_type_ids", "cross_attention_mask", "image_attention_mask")

TEXT: dict[str, Any] = {
    "vocab_size": _VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": PAD_ID,
    "bos_token_id": BOS_ID,
    "eos_token_id": EOS_ID,
    "tie_word_embeddings": False,
}
TOWER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}


@dataclass(frozen=True, slots=True, eq=False)
class TinyFamily:
    """A tiny random model of one family, and rows of inputs for it.

    Attributes
    ----------
    name : str
        Name of the family, a key of `TINY_FAMILIES`.
    model : PreTrainedModel
        In eval mode.
    rows : tuple of dict
        Inputs of single samples without padding, of different length, and of different image size where the
        family takes that.
    n_vision : tuple of int
        Vision tokens of each row; 0 where images enter by cross-attention.
    image_id : int
        Placeholder of an image token.
    """

    name: str
    model: Any
    rows: tuple[dict[str, torch.Tensor], ...]
    n_vision: tuple[int, ...]
    image_id: int = field(default=IMAGE)

    def single(self, index: int) -> dict[str, torch.Tensor]:
        """Model inputs of one row, no padding."""
        return self.batch(indices=[index])

    def batch(self, padding: str = "left", indices: Sequence[int] | None = None) -> dict[str, torch.Tensor]:
        """Model inputs of several rows, all by default, padded to the longest.

        Parameters
        ----------
        padding : {"left", "right"}
            Side of the padding.
        indices : sequence of int, optional
            Which rows.
        """
        if padding not in ("left", "right"):
            raise InvalidInputError(f'need padding "left" or "right", got {padding!r}')
        rows = [self.rows[i] for i in (range(len(self.rows)) if indices is None else indices)]
        longest = max(row["input_ids"].shape[1] for row in rows)
        padded = []
        for row in rows:
            missing = longest - row["input_ids"].shape[1]
            own = {**row, "attention_mask": torch.ones_like(row["input_ids"])}
            for name in ("input_ids", "attention_mask", *_PER_TOKEN):
                if name in own:
                    own[name] = _pad(own[name], missing, padding, PAD_ID if name == "input_ids" else 0)
            padded.append(own)
        return {name: torch.cat([own[name] for own in padded]) for name in padded[0]}


def row_of(*parts: int | Sequence[int], words: int, seed: int) -> torch.Tensor:
    """Ids (1, length): BOS, one word, `parts` in order, then `words` random words."""
    rng = torch.Generator().manual_seed(seed)
    text = torch.randint(_FIRST, _LAST, (words + 1,), generator=rng).tolist()
    middle = [i for part in parts for i in ([part] if isinstance(part, int) else part)]
    return torch.tensor([[BOS_ID, text[0], *middle, *text[1:]]])


def pixels(*shape: int, seed: int) -> torch.Tensor:
    """Random normal pixels."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1000 + seed))


def mrope(**more: Any) -> dict[str, Any]:
    """Rotary parameters of three axes for heads of 8."""
    return {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4, **more}


def _pad(tensor: torch.Tensor, missing: int, side: str, value: int) -> torch.Tensor:
    """Lengthen axis 1."""
    filler = tensor.new_full((tensor.shape[0], missing, *tensor.shape[2:]), value)
    return torch.cat([filler, tensor] if side == "left" else [tensor, filler], dim=1)
