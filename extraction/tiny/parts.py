"""What tiny families share: the record, shapes of decoders and towers, rows of words, placeholders and pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from extraction.tiny.weights import BOS_ID, EOS_ID, PAD_ID
from redundancy.errors import InvalidInputError

__all__ = [
    "END",
    "IMAGE",
    "QWEN_IDS",
    "QWEN_TOWER",
    "START",
    "TEXT",
    "TOWER",
    "VIDEO",
    "WORDS",
    "Built",
    "Rows",
    "TinyFamily",
    "fixed_rows",
    "mrope",
    "patch_rows",
    "pixels",
    "row_of",
]

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
Rows = list[dict[str, torch.Tensor]]
Built: TypeAlias = "tuple[Any, Rows] | tuple[Any, Rows, dict[str, Any]]"  # model, rows, and `TinyFamily.joins` if any
WORDS = (6, 3, 5)  # of each row

TOWER: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}

QWEN_IDS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}
QWEN_TOWER = {"num_heads": 2, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}


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
    joins : mapping
        For inputs that a processor does not put one after another along the first axis, how rows join.
    """

    name: str
    model: Any
    rows: tuple[dict[str, torch.Tensor], ...]
    n_vision: tuple[int, ...]
    image_id: int = field(default=IMAGE)
    joins: Mapping[str, Callable[[list[torch.Tensor]], torch.Tensor]] = field(default_factory=dict)

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
        return {name: self.joins.get(name, torch.cat)([own[name] for own in padded]) for name in padded[0]}


def row_of(*parts: int | Sequence[int], words: int, seed: int) -> torch.Tensor:
    """Ids (1, length): BOS, one word, `parts` in order, then `words` random words."""
    rng = torch.Generator().manual_seed(seed)
    text = torch.randint(_FIRST, _LAST, (words + 1,), generator=rng).tolist()
    middle = [i for part in parts for i in ([part] if isinstance(part, int) else part)]
    return torch.tensor([[BOS_ID, text[0], *middle, *text[1:]]])


def fixed_rows(n_vision: int, *, wrap: bool = False, types: bool = False, axes: int = 0) -> Rows:
    """Rows with one image of 16 x 16 each; `axes` leading axes of length 1 before the pixels'."""
    rows: Rows = []
    for i, words in enumerate(WORDS):
        image = [START, *[IMAGE] * n_vision, END] if wrap else [IMAGE] * n_vision
        ids = row_of(image, words=words, seed=i)
        row = {"input_ids": ids, "pixel_values": pixels(*[1] * axes, 1, 3, 16, 16, seed=i)}
        if types:
            row["token_type_ids"] = torch.zeros_like(ids)
        rows.append(row)
    return rows


def patch_rows(patch_values: int) -> Rows:
    """Images of different size, two in the last row; patches are flattened over the batch."""
    rows: Rows = []
    for i, grids in enumerate([[(4, 4)], [(4, 8)], [(2, 4), (4, 4)]]):
        images = [[START, *[IMAGE] * (high * wide // 4), END] for high, wide in grids]
        ids = row_of(*images, words=WORDS[i], seed=i)
        rows.append(
            {
                "input_ids": ids,
                "pixel_values": pixels(sum(high * wide for high, wide in grids), patch_values, seed=i),
                "image_grid_thw": torch.tensor([(1, *grid) for grid in grids]),
                "mm_token_type_ids": (ids == IMAGE).long(),
            }
        )
    return rows


def pixels(*shape: int, seed: int) -> torch.Tensor:
    """Random normal pixels."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1000 + seed))


def mrope(**more: float) -> dict[str, Any]:
    """Rotary parameters of three axes for heads of 8."""
    return {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4, **more}


def _pad(tensor: torch.Tensor, missing: int, side: str, value: int) -> torch.Tensor:
    """Lengthen axis 1."""
    filler = tensor.new_full((tensor.shape[0], missing, *tensor.shape[2:]), value)
    return torch.cat([filler, tensor] if side == "left" else [tensor, filler], dim=1)
