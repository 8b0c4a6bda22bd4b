"""Train the default model from scratch: about an hour on 2 CPU cores.

    torchrun --nproc-per-node 2 examples/default_model/train.py --out runs/default_model
    python examples/default_model/export.py runs/default_model/fp32

Two ordinary stages, as LLaVA has them. *Alignment* stands for CLIP's pretraining: every projected
patch names what its cell shows, through the tied word embeddings. *Instruction* freezes the tower and
trains projector and decoder with cross-entropy on the answer word, first on images at a quarter of the
resolution (2 x 2 patches pooled), then at full resolution. Eight questions share one image: a block mask
lets each see the image and itself alone, so a packed sequence equals eight single prompts.

Nothing here knows of skipping: all tokens are in all layers at every step.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from blueprint import N_VISION_TOKENS, PATCH, PIXEL_MEAN, PIXEL_STD, make_config
from torch.nn.functional import cross_entropy
from transformers import AttentionInterface, LlavaForConditionalGeneration
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from extraction.default_model.questions import FAMILIES, VOCABULARY, sample_questions
from extraction.default_model.scenes import (
    CELL,
    COLORS,
    COLUMNS,
    GENERATOR_VERSION,
    IMAGE_SIZE,
    ROWS,
    SHAPES,
    render,
    sample_scene,
)

WORD = {word: i for i, word in enumerate(VOCABULARY)}
PREFIX = ("<s>", "USER:")
N_PREFIX = len(PREFIX) + N_VISION_TOKENS
TEXT_SLOTS = 80
QUESTIONS_PER_IMAGE = 8
KINDS = ("nothing", *SHAPES, "digit")
# Cell of each patch, in the row-major order of the vision tokens.
_PER_CELL = CELL // PATCH
PATCH_CELL = torch.tensor(
    [(r // _PER_CELL) * 3 + c // _PER_CELL for r in range(IMAGE_SIZE // PATCH) for c in range(IMAGE_SIZE // PATCH)]
)


@dataclass
class Packed:
    """One packed batch: images, question words and, per question, where its answer is read."""

    pixels: torch.Tensor  # (B, 3, 96, 96)
    words: torch.Tensor  # (B, TEXT_SLOTS)
    mask: torch.Tensor  # (B, 1, S, S), True = may attend
    positions: torch.Tensor  # (B, S)
    read_at: torch.Tensor  # (B, QUESTIONS_PER_IMAGE)
    answers: torch.Tensor  # (B, QUESTIONS_PER_IMAGE), -100 = empty slot
    family: torch.Tensor  # (B, QUESTIONS_PER_IMAGE)


def to_pixels(images: np.ndarray) -> torch.Tensor:
    return ((torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_STD).contiguous()


def pack(rng: np.random.Generator, n_images: int, *, held_out: bool, families: tuple[str, ...]) -> Packed:
    images = np.empty((n_images, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    words = np.zeros((n_images, TEXT_SLOTS), np.int64)
    block = np.full((n_images, TEXT_SLOTS), -1, np.int64)
    offset = np.zeros((n_images, TEXT_SLOTS), np.int64)
    read_at = np.zeros((n_images, QUESTIONS_PER_IMAGE), np.int64)
    answers = np.full((n_images, QUESTIONS_PER_IMAGE), -100, np.int64)
    family = np.zeros((n_images, QUESTIONS_PER_IMAGE), np.int64)
    for b in range(n_images):
        scene = sample_scene(rng, held_out=held_out)
        images[b] = render(scene)
        start = 0
        for k, question in enumerate(sample_questions(scene, QUESTIONS_PER_IMAGE, rng, families=families)):
            tokens = [WORD[w] for w in question.text.split()] + [WORD["ASSISTANT:"]]
            stop = start + len(tokens)
            if stop > TEXT_SLOTS:
                continue
            words[b, start:stop], block[b, start:stop], offset[b, start:stop] = tokens, k, range(len(tokens))
            read_at[b, k], answers[b, k] = N_PREFIX + stop - 1, WORD[question.answer]
            family[b, k] = FAMILIES.index(question.family)
            start = stop
    length = N_PREFIX + TEXT_SLOTS
    blocks = torch.from_numpy(block)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    mask = causal.expand(n_images, -1, -1).clone()
    mask[:, N_PREFIX:, N_PREFIX:] &= blocks[:, :, None] == blocks[:, None]
    positions = torch.cat([torch.arange(N_PREFIX).expand(n_images, -1), N_PREFIX + torch.from_numpy(offset)], 1)
    return Packed(
        to_pixels(images),
        torch.from_numpy(words),
        mask[:, None],
        positions,
        *map(torch.from_numpy, (read_at, answers, family)),
    )


def vision_tokens(model: LlavaForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    return model.model.multi_modal_projector(model.model.vision_tower(pixels).last_hidden_state[:, 1:])


def pool_two_by_two(tokens: torch.Tensor) -> torch.Tensor:
    """Mean of each 2 x 2 block of patches: (B, 144, d) -> (B, 36, d)."""
    side = IMAGE_SIZE // PATCH
    return tokens.unflatten(1, (side // 2, 2, side // 2, 2)).mean(dim=(2, 4)).flatten(1, 2)


# Sequence positions that the pooled tokens stand for, so that the words keep theirs in both resolutions.
POOLED = len(PREFIX) + torch.arange(N_VISION_TOKENS).view(IMAGE_SIZE // PATCH, -1)[::2, ::2].flatten()
COARSE = torch.cat([torch.arange(len(PREFIX)), POOLED, torch.arange(N_PREFIX, N_PREFIX + TEXT_SLOTS)])


def answer_logits(model: LlavaForConditionalGeneration, batch: Packed, *, coarse: bool = False) -> torch.Tensor:
    """Logits at the answer positions; `coarse` reads the image through 36 pooled tokens instead of 144."""
    embed = model.model.language_model.embed_tokens
    n = len(batch.words)
    prefix = embed(torch.tensor([WORD[w] for w in PREFIX])).expand(n, -1, -1)
    image = vision_tokens(model, batch.pixels).float()
    mask, positions, read_at = batch.mask, batch.positions, batch.read_at
    if coarse:
        image = pool_two_by_two(image)
        mask, positions = mask[:, :, COARSE][..., COARSE], positions[:, COARSE]
        read_at = (read_at - (N_VISION_TOKENS - len(POOLED))).clamp(min=0)
    stream = torch.cat([prefix, image, embed(batch.words)], 1)
    hidden = model.model.language_model(
        inputs_embeds=stream, attention_mask=mask, position_ids=positions, use_cache=False
    ).last_hidden_state
    at_answers = hidden.gather(1, read_at[..., None].expand(-1, -1, hidden.shape[-1]))
    return model.lm_head(at_answers).float()


def alignment_batch(rng: np.random.Generator, n_images: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = np.empty((n_images, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    labels = np.zeros((n_images, 9, 3), np.int64)  # kind, color, digit; 0 = none
    for b in range(n_images):
        scene = sample_scene(rng, held_out=False)
        images[b] = render(scene)
        for item in scene.objects:
            digit = 0 if item.digit is None else 1 + item.digit
            labels[b, item.cell] = KINDS.index(item.kind), 1 + list(COLORS).index(item.color), digit
    return to_pixels(images), torch.from_numpy(labels)[:, PATCH_CELL]


def alignment_loss(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy of naming kind, colour, digit, row and column, each among its own words."""

    def among(words: tuple[str, ...]) -> torch.Tensor:
        return logits[..., [WORD[w] for w in words]]

    kind, color, digit = labels.unbind(-1)
    rows = (PATCH_CELL // 3).expand(len(labels), -1)
    columns = (PATCH_CELL % 3).expand(len(labels), -1)
    is_color, is_digit = color > 0, digit > 0
    kind_logits = among(KINDS)
    loss = cross_entropy(kind_logits.flatten(0, 1), kind.flatten())
    loss = loss + cross_entropy(among(ROWS).flatten(0, 1), rows.flatten())
    loss = loss + cross_entropy(among(COLUMNS).flatten(0, 1), columns.flatten())
    loss = loss + cross_entropy(among(tuple(COLORS))[is_color], color[is_color] - 1)
    loss = loss + cross_entropy(among(tuple("0123456789"))[is_digit], digit[is_digit] - 1)
    right = {"kind": kind_logits.argmax(-1) == kind}
    right["digit"] = among(tuple("0123456789"))[is_digit].argmax(-1) == digit[is_digit] - 1
    return loss, {k: v.float().mean().item() for k, v in right.items()}


def average_gradients(parameters: list[torch.nn.Parameter]) -> None:
    if not dist.is_initialized():
        return
    flat = torch.cat([p.grad.reshape(-1) for p in parameters])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad.copy_(part.view_as(parameter))


def trapezoid(step: int, n_steps: int, *, warm: int, flat_until: float, floor: float) -> float:
    """Linear warm-up, a plateau, then linear decay to `floor` of the peak rate."""
    done = step / n_steps
    decay = 1.0 if done < flat_until else max(floor, (1 - done) / (1 - flat_until))
    return min(1.0, (step + 1) / warm) * decay


def align(model: LlavaForConditionalGeneration, args: argparse.Namespace, rank: int, log: Callable[..., None]) -> None:
    embed = model.model.language_model.embed_tokens.weight
    modules = (model.model.vision_tower, model.model.multi_modal_projector)
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad] + [embed]
    parameters = [
        p for n, p in model.named_parameters() if any(p is q for q in parameters) and "post_layernorm" not in n
    ]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98), fused=True)
    rng = np.random.default_rng([args.seed, 1, rank])
    started = time.time()
    for step in range(args.align_steps):
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * trapezoid(step, args.align_steps, warm=80, flat_until=0.5, floor=0.1)
        pixels, labels = alignment_batch(rng, args.align_images)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = vision_tokens(model, pixels)
        loss, right = alignment_loss(4.0 * tokens.float() @ embed.t(), labels)
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 49:
            norm = tokens.detach().float().norm(dim=-1).mean().item()
            log(stage="align", step=step + 1, seconds=time.time() - started, loss=loss.item(), norm=norm, **right)


@torch.no_grad()
def evaluate(model: LlavaForConditionalGeneration, batches: list[Packed], *, coarse: bool) -> dict[str, float]:
    right, total = np.zeros(len(FAMILIES)), np.zeros(len(FAMILIES))
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            guess = answer_logits(model, batch, coarse=coarse).argmax(-1)
        asked = batch.answers >= 0
        np.add.at(right, batch.family[asked].numpy(), (guess == batch.answers)[asked].numpy())
        np.add.at(total, batch.family[asked].numpy(), 1)
    return {"accuracy": right.sum() / total.sum(), **dict(zip(FAMILIES, (right / total).tolist(), strict=True))}


def instruct(
    model: LlavaForConditionalGeneration, args: argparse.Namespace, rank: int, log: Callable[..., None]
) -> None:
    """Muon on the decoder's matrices, AdamW on the rest; single-attribute questions come first."""
    model.model.vision_tower.requires_grad_(False)
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if p.ndim == 2 and ".layers." in n]
    taken = {id(p) for p in matrices}
    projector = [p for n, p in named if "projector" in n]
    taken |= {id(p) for p in projector}
    rest = [p for _, p in named if id(p) not in taken]
    parameters = matrices + projector + rest
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": projector, "scale": 0.1}, {"params": rest}],
            lr=args.lr,
            weight_decay=0.0,
            betas=(0.9, 0.98),
            fused=True,
        ),
    ]
    held_out = np.random.default_rng([args.seed, 2])
    evaluation = [pack(held_out, 40, held_out=True, families=FAMILIES) for _ in range(4)] if rank == 0 else []
    easy = ("color", "shape", "digit")
    full = FAMILIES + ("relation",) * 2 + ("count",)
    batches: queue.Queue[Packed] = queue.Queue(3)

    def produce() -> None:
        rng = np.random.default_rng([args.seed, 3, rank, args.first_step])
        for step in range(args.first_step, args.steps):
            batches.put(pack(rng, args.images, held_out=False, families=easy if step < args.easy_steps else full))

    threading.Thread(target=produce, daemon=True).start()
    started, smooth = time.time(), None
    for step in range(args.first_step, args.steps):
        scale = trapezoid(step, args.steps, warm=80, flat_until=0.6, floor=0.02)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = args.lr * scale * group.get("scale", 1.0)
        batch = batches.get()
        with torch.autocast("cpu", torch.bfloat16):
            logits = answer_logits(model, batch, coarse=step < args.coarse_steps)
        loss = cross_entropy(logits.flatten(0, 1), batch.answers.flatten())
        model.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if rank == 0 and (step + 1) % args.log_every == 0:
            with torch.no_grad():
                norm = vision_tokens(model, batch.pixels[:2]).norm(dim=-1).mean().item()
            seconds = time.time() - started
            scores = evaluate(model, evaluation, coarse=step < args.coarse_steps)
            log(stage="instruct", step=step + 1, seconds=seconds, loss=smooth, norm=norm, **scores)
            save(model, args.out)


def save(model: LlavaForConditionalGeneration, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out / "fp32")


def fp32_attention(module: Any, query: Any, key: Any, value: Any, mask: Any, **kwargs: Any) -> Any:
    # The backward pass of CPU attention in bf16 is about nine times slower than in fp32.
    with torch.autocast("cpu", enabled=False):
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), mask, **kwargs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="start the instruction stage from this checkpoint")
    parser.add_argument("--align-steps", type=int, default=700)
    parser.add_argument("--align-images", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--first-step", type=int, default=0)
    parser.add_argument("--easy-steps", type=int, default=350)
    parser.add_argument("--coarse-steps", type=int, default=1500)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=100)
    args = parser.parse_args()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(1)  # one single-threaded process per core beats two threads in one process
    torch.manual_seed(args.seed)
    if world > 1:
        dist.init_process_group("gloo")
    AttentionInterface.register("fp32_sdpa", fp32_attention)
    AttentionMaskInterface.register("fp32_sdpa", sdpa_mask)
    if args.init:
        model = LlavaForConditionalGeneration.from_pretrained(args.init, dtype=torch.float32)
    else:
        model = LlavaForConditionalGeneration(make_config())
    model.set_attn_implementation("fp32_sdpa")
    model.train()
    args.out.mkdir(parents=True, exist_ok=True)

    def log(**entry: Any) -> None:
        if rank == 0:
            print(
                " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in entry.items()), flush=True
            )
            with (args.out / "log.jsonl").open("a") as file:
                file.write(json.dumps(entry) + "\n")

    arguments = {k: v if isinstance(v, (int, float)) else str(v) for k, v in vars(args).items()}
    log(generator=GENERATOR_VERSION, parameters=sum(p.numel() for p in model.parameters()), arguments=arguments)
    if not args.init:
        align(model, args, rank, log)
        if rank == 0:
            model.save_pretrained(args.out / "aligned")
    instruct(model, args, rank, log)
    if rank == 0:
        save(model, args.out)


if __name__ == "__main__":
    main()
