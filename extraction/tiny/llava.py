"""Random tiny LLaVA of any shape and inputs for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from extraction.tiny.weights import BOS_ID, EOS_ID, FIRST_WORD_ID, IMAGE_ID, PAD_ID, randomise
from redundancy.errors import InvalidInputError

__all__ = ["tiny_batch", "tiny_llava"]


def tiny_llava(
    *,
    n_layers: int = 4,
    hidden: int = 32,
    heads: int = 4,
    kv_heads: int = 2,
    intermediate: int = 48,
    image_size: int = 12,
    patch: int = 4,
    vocab: int = 61,
    attn_implementation: str = "sdpa",
    seed: int = 0,
) -> Any:
    """Random LLaVA (CLIP tower, projector, Llama decoder) in eval mode and float32.

    More than eight parameters, since each is one number of the model's configuration.

    Parameters
    ----------
    n_layers, hidden, heads, kv_heads, intermediate : int
        Shape of the Llama decoder.
    image_size, patch : int
        Pixels; an image gives ``(image_size // patch) ** 2`` vision tokens (9 by default).
    vocab : int
        Vocabulary: padding 0, BOS 1, EOS 2, image placeholder 3, words from 4 on.
    attn_implementation : str, default="sdpa"
        Attention of all parts.
    seed : int
        Decides every weight; the global random state is left alone.

    Returns
    -------
    LlavaForConditionalGeneration

    Examples
    --------
    >>> model = tiny_llava(n_layers=2)
    >>> batch = tiny_batch(model, 2, [3, 5])
    >>> tuple(batch["input_ids"].shape)
    (2, 15)
    """
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=patch,
        projection_dim=16,
    )
    text = LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=n_layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=hidden // heads,
        max_position_embeddings=512,
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_ID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(image_size // patch) ** 2,
    )
    with torch.random.fork_rng(devices=[]):
        model = LlavaForConditionalGeneration(config)
    model.set_attn_implementation(attn_implementation)
    return randomise(model, seed).eval()


def tiny_batch(
    model: Any,
    n: int = 2,
    text_lengths: int | Sequence[int] = 5,
    padding: str = "left",
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Model inputs for `n` rows: BOS, a word, the image, the other words; padded to the longest row.

    Parameters
    ----------
    model : LlavaForConditionalGeneration
        A model of `tiny_llava`.
    n : int
        Rows.
    text_lengths : int or sequence of n int
        Words of each row, without BOS and image tokens.
    padding : {"left", "right"}
        Side of the padding.
    seed : int
        Row i holds the same words and pixels for every `n` and padding.

    Returns
    -------
    dict
        ``input_ids`` and ``attention_mask`` (n, length) int64, ``pixel_values`` (n, 3, size, size) float32.

    Raises
    ------
    InvalidInputError
        For another side of padding, or lengths that are not n positive numbers.
    """
    if padding not in ("left", "right"):
        raise InvalidInputError(f'need padding "left" or "right", got {padding!r}')
    lengths = [text_lengths] * n if isinstance(text_lengths, int) else list(text_lengths)
    if len(lengths) != n or min(lengths) < 1:
        raise InvalidInputError(f"need {n} text lengths >= 1, got {lengths}")
    config = model.config
    size = config.vision_config.image_size
    n_vision = (size // config.vision_config.patch_size) ** 2
    longest = 1 + n_vision + max(lengths)
    ids = torch.full((n, longest), PAD_ID)
    mask = torch.zeros_like(ids)
    pixels = []
    for row, length in enumerate(lengths):
        rng = torch.Generator().manual_seed(1_000_003 * seed + row)
        pixels.append(torch.randn(3, size, size, generator=rng))
        words = torch.randint(FIRST_WORD_ID, config.text_config.vocab_size, (length,), generator=rng)
        image = torch.full((n_vision,), IMAGE_ID)
        tokens = torch.cat([torch.tensor([BOS_ID]), words[:1], image, words[1:]])
        place = slice(longest - len(tokens), None) if padding == "left" else slice(None, len(tokens))
        ids[row, place] = tokens
        mask[row, place] = 1
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": torch.stack(pixels)}
