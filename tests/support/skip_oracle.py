"""Batches of every shape, and the skipping oracle: stock layers at full length, absent tokens masked and passed on."""

import torch

from extraction.skip import late_entry, random_keep, skip_attention, skip_layers, skip_mlp, vision_exit
from extraction.tiny import IMAGE_ID, tiny_batch

N = 5  # decoder layers
CLOSE = {"rtol": 0, "atol": 1e-5}  # fp32 sums in another order; the acceptance limit of the specification
PLANS = [
    late_entry(2),
    vision_exit(2),
    late_entry(1) + vision_exit(3),
    late_entry(N),
    skip_layers(0, 3),
    late_entry(2) + skip_layers(2) + skip_mlp(1),
    skip_attention(0, 2) + vision_exit(4),
    random_keep(0.4, seed=3),
    random_keep(0.4) + late_entry(1),
]


def ragged_batch(model, padding="left"):
    """Rows with one image, two images and none: every row keeps another number of tokens."""
    one, two = tiny_batch(model, 1, 4, seed=1), tiny_batch(model, 1, 5, seed=2)
    three = tiny_batch(model, 1, 6, seed=3)
    words = three["input_ids"][three["input_ids"] != IMAGE_ID][None]
    rows = [one["input_ids"][0], torch.cat([two["input_ids"][0], two["input_ids"][0][1:]]), words[0]]
    longest = max(len(row) for row in rows)
    ids, mask = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(longest - len(row), None) if padding == "left" else slice(None, len(row))
        ids[i, place], mask[i, place] = row, 1
    pixels = torch.cat([one["pixel_values"], two["pixel_values"], three["pixel_values"]])
    return {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels}


def uneven_batch(model):
    """Rows of one length with one image and with two: other tokens stay in each, and there is no padding to mask."""
    words, more = tiny_batch(model, 1, 14, seed=1), tiny_batch(model, 1, 3, seed=2)
    twice = torch.cat([more["input_ids"], more["input_ids"][:, 2:]], dim=1)
    ids = torch.cat([words["input_ids"], twice])
    pixels = torch.cat([words["pixel_values"], more["pixel_values"], more["pixel_values"].flip(-1)])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}


def batches(model):
    yield "even", tiny_batch(model, 2, 5)
    yield "uneven", uneven_batch(model)
    yield "left", tiny_batch(model, 3, [2, 6, 4], padding="left")
    yield "right", tiny_batch(model, 3, [2, 6, 4], padding="right")
    yield "ragged left", ragged_batch(model, "left")
    yield "ragged right", ragged_batch(model, "right")


def oracle_logits(model, batch, present):
    """Logits when layer i computes the tokens where present(i, vision) is True; nothing is removed, only masked."""
    ids, valid = batch["input_ids"], batch["attention_mask"].bool()
    vision = ids == IMAGE_ID
    decoder = model.model.language_model
    states = decoder.embed_tokens(ids)
    features = torch.cat(list(model.get_image_features(batch["pixel_values"]).pooler_output))
    states = states.masked_scatter(vision[..., None], features)
    length = ids.shape[1]
    tables = decoder.rotary_emb(states, torch.arange(length)[None])
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    for i, layer in enumerate(decoder.layers):
        here = present(i, vision)
        allowed = causal & (valid & here)[:, None, :] | torch.eye(length, dtype=torch.bool)
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
        output = layer(states, attention_mask=mask, position_embeddings=tables)
        states = torch.where(here[..., None], output, states)
    return model.lm_head(decoder.norm(states))


def valid_logits(logits, batch):
    return logits[batch["attention_mask"].bool()]


def window(entry, leave):
    """Presence of late_entry(entry) + vision_exit(leave)."""
    return lambda i, vision: ~vision if not entry <= i < leave else torch.ones_like(vision)
