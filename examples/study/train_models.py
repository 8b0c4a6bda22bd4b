"""Train the small models of the study: one frozen image tower, then projector and decoder of each model.

    python examples/study/train_models.py --out ~/.cache/skip-it-study

About 5 minutes on one core per model. Run it again after an interruption: finished models are kept, the one
that was in work goes on from its last checkpoint. As in LLaVA, the tower is trained once (every patch names what
its cell shows, which stands for CLIP's pretraining), frozen and shared; training of the models is ordinary
cross-entropy on the answer word with all tokens in all layers, nothing is aware of skipping.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import CLIPVisionModel

from extraction.default_model.questions import VOCABULARY, sample_questions
from extraction.default_model.scenes import COLORS, COLUMNS, ROWS, SHAPES, Scene, sample_scene
from study_models import (
    SIDE,
    SPECS,
    TOWER_WIDTH,
    StudyModel,
    crops,
    features_of,
    make_model,
    make_processor,
    to_pixels,
    tower_config,
    vision_tokens,
)

WORD = {word: i for i, word in enumerate(VOCABULARY)}
PREFIX = ("<s>", "USER:")
TEXT_SLOTS, QUESTIONS = 72, 6
KINDS = ("nothing", *SHAPES, "digit")
N_SCENES = 8000
CHECKPOINT_EVERY = 100


def patch_cells(*, tiles: bool) -> torch.Tensor:
    """Cell of the 3 x 3 grid under each patch: (36,) of the crop, or (144,) of the tiles' common grid."""
    side = 2 * SIDE if tiles else SIDE
    at = torch.arange(side) * 3 // side
    return (at[:, None] * 3 + at).flatten()


def cell_labels(scenes: list[Scene]) -> torch.Tensor:
    """Kind and colour (0 = none) of each cell, shape (B, 9, 2)."""
    labels = torch.zeros(len(scenes), 9, 2, dtype=torch.long)
    for b, scene in enumerate(scenes):
        for item in scene.objects:
            labels[b, item.cell] = torch.tensor([KINDS.index(item.kind), 1 + list(COLORS).index(item.color)])
    return labels


def naming_loss(
    kinds: torch.Tensor, colors: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor | None, columns: Any
) -> torch.Tensor:
    """Cross-entropy of naming kind and colour, and row and column where the position decides them."""
    kind, color = labels.unbind(-1)
    loss = cross_entropy(kinds.flatten(0, 1), kind.flatten())
    loss = loss + cross_entropy(colors[color > 0], color[color > 0] - 1)
    if rows is not None:
        cells = patch_cells(tiles=False).expand(len(labels), -1)
        loss = loss + cross_entropy(rows.flatten(0, 1), (cells // 3).flatten())
        loss = loss + cross_entropy(columns.flatten(0, 1), (cells % 3).flatten())
    return loss


def rate(step: int, n_steps: int, warm: int = 40) -> float:
    """Linear warm-up, a plateau to 60 %, then linear decay."""
    return min(1.0, (step + 1) / warm, max(0.02, (1 - step / n_steps) / 0.4))


def train_tower(out: Path, n_steps: int) -> Any:
    """The shared tower; the thumbnail's patches and those of a quarter at double size, in turn."""
    if (out / "tower" / "config.json").exists():
        return CLIPVisionModel.from_pretrained(out / "tower", local_files_only=True).eval()
    torch.manual_seed(0)
    tower = CLIPVisionModel(tower_config())
    head = torch.nn.Linear(TOWER_WIDTH, len(KINDS) + len(COLORS) + 6)
    named = [(n, p) for n, p in tower.named_parameters() if "post_layernorm" not in n]
    matrices = [p for n, p in named if p.ndim == 2 and ".layers." in n]
    rest = [p for n, p in named if not (p.ndim == 2 and ".layers." in n)] + list(head.parameters())
    optimizers = [
        torch.optim.Muon(matrices, lr=2e-3, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=2e-3, weight_decay=0.0, betas=(0.9, 0.98), fused=True),
    ]
    rng = np.random.default_rng(0)
    fine_cells = patch_cells(tiles=True).view(2, SIDE, 2, SIDE).transpose(1, 2).reshape(4, -1)
    for step in tqdm(range(n_steps), desc="tower", disable=None):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = 2e-3 * rate(step, n_steps)
        scenes = [sample_scene(rng, held_out=False) for _ in range(24)]
        which = step % 5
        pixels = to_pixels(np.stack([crops(s)[which] for s in scenes]))
        cells = patch_cells(tiles=False) if which == 0 else fine_cells[which - 1]
        labels = cell_labels(scenes)[:, cells]
        logits = head(tower(pixels).last_hidden_state[:, 1:])
        kinds, colors, rows, columns = logits.split([len(KINDS), len(COLORS), 3, 3], -1)
        loss = naming_loss(kinds, colors, labels, rows if which == 0 else None, columns)
        tower.zero_grad()
        head.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(matrices + rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if step % 100 == 99:
            right = (kinds.argmax(-1) == labels[..., 0]).float().mean()
            print(f"tower step {step + 1}: loss {loss.item():.3f}, kinds {right:.3f}", flush=True)
    tower.save_pretrained(out / "tower")
    return tower.eval()


def scene_pool(out: Path, tower: Any) -> tuple[list[Scene], torch.Tensor]:
    """Training scenes and their tower features, (N, 5, 36, 64) in float16: the tower runs once for all models."""
    rng = np.random.default_rng(10)
    scenes = [sample_scene(rng, held_out=False) for _ in range(N_SCENES)]
    path = out / "features.pt"
    if path.exists():
        return scenes, torch.load(path, weights_only=True)
    chunks = [scenes[i : i + 50] for i in range(0, N_SCENES, 50)]
    parts = [features_of(tower, np.stack([crops(s) for s in c])).half() for c in tqdm(chunks, desc="features")]
    features = torch.cat(parts)
    torch.save(features, path)
    return scenes, features


@dataclass
class Questions:
    """Questions on a batch of scenes, packed into one row per scene; each sees the image and itself alone."""

    words: torch.Tensor  # (B, TEXT_SLOTS)
    mask: torch.Tensor  # (B, 1, S, S), True = may attend
    positions: torch.Tensor  # (B, S)
    read_at: torch.Tensor  # (B, QUESTIONS)
    answers: torch.Tensor  # (B, QUESTIONS), -100 = empty


def pack(scenes: list[Scene], rng: np.random.Generator, families: tuple[str, ...], n_image: int) -> Questions:
    n, prefix = len(scenes), len(PREFIX) + n_image
    words = torch.zeros(n, TEXT_SLOTS, dtype=torch.long)
    block = torch.full((n, TEXT_SLOTS), -1)
    offset = torch.zeros(n, TEXT_SLOTS, dtype=torch.long)
    read_at = torch.zeros(n, QUESTIONS, dtype=torch.long)
    answers = torch.full((n, QUESTIONS), -100)
    for b, scene in enumerate(scenes):
        start = 0
        for k, question in enumerate(sample_questions(scene, QUESTIONS, rng, families=families)):
            tokens = [WORD[w] for w in question.text.split()] + [WORD["ASSISTANT:"]]
            stop = start + len(tokens)
            if stop > TEXT_SLOTS:
                continue
            words[b, start:stop], block[b, start:stop] = torch.tensor(tokens), k
            offset[b, start:stop] = torch.arange(len(tokens))
            read_at[b, k], answers[b, k] = prefix + stop - 1, WORD[question.answer]
            start = stop
    length = prefix + TEXT_SLOTS
    mask = torch.ones(length, length, dtype=torch.bool).tril().expand(n, -1, -1).clone()
    mask[:, prefix:, prefix:] &= block[:, :, None] == block[:, None]
    positions = torch.cat([torch.arange(prefix).expand(n, -1), prefix + offset], 1)
    return Questions(words, mask[:, None], positions, read_at, answers)


def scene_words(scenes: list[Scene]) -> torch.Tensor:
    """Each scene in 36 words, four per cell (row, column, colour, kind): what stands for an image in text."""
    labels = cell_labels(scenes)
    rows = []
    for b in range(len(scenes)):
        row: list[str] = []
        for cell in range(9):
            kind, color = labels[b, cell].tolist()
            row += [ROWS[cell // 3], COLUMNS[cell % 3], ("nothing", *COLORS)[color], KINDS[kind]]
        rows.append([WORD[w] for w in row])
    return torch.tensor(rows)


def answer_logits(model: Any, image: torch.Tensor, batch: Questions) -> torch.Tensor:
    """Logits at the answer positions, with `image` (B, n, width) in the image's place."""
    decoder = model.model.language_model
    prefix = decoder.embed_tokens(torch.tensor([WORD[w] for w in PREFIX])).expand(len(image), -1, -1)
    stream = torch.cat([prefix, image, decoder.embed_tokens(batch.words)], 1)
    hidden = decoder(
        inputs_embeds=stream, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    return model.lm_head(hidden.gather(1, batch.read_at[..., None].expand(-1, -1, hidden.shape[-1])))


def optimizers_of(model: Any, lr: float) -> list[torch.optim.Optimizer]:
    """Muon on the decoder's matrices, AdamW on the rest; the projector at a tenth of the rate."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if p.ndim == 2 and ".layers." in n]
    projector = [p for n, p in named if "projector" in n]
    rest = [p for n, p in named if "projector" not in n and not (p.ndim == 2 and ".layers." in n)]
    groups = [{"params": projector, "lr": 0.1 * lr}, {"params": rest}]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=lr, weight_decay=0.0, betas=(0.9, 0.98), fused=True),
    ]


def align(model: Any, spec: StudyModel, scenes: list[Scene], features: torch.Tensor, n_steps: int = 150) -> None:
    """Projected patches name their cells through the tied word embeddings: LLaVA's first stage."""
    embed = model.model.language_model.embed_tokens.weight
    parameters = list(model.model.multi_modal_projector.parameters()) + ([] if spec.text_steps else [embed])
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05, fused=True)
    rng = np.random.default_rng([spec.seed, 1])
    words = [[WORD[w] for w in group] for group in (KINDS, COLORS, ROWS, COLUMNS)]
    coarse = patch_cells(tiles=False)
    for _ in tqdm(range(n_steps), desc=f"{spec.name} align", disable=None):
        chosen = rng.integers(len(scenes), size=32)
        tokens = model.model.multi_modal_projector(features[chosen, 0].float())
        kinds, colors, rows, columns = (4.0 * (tokens @ embed.t())[..., w] for w in words)
        labels = cell_labels([scenes[i] for i in chosen])[:, coarse]
        loss = naming_loss(kinds, colors, labels, rows, columns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def learn(
    model: Any, spec: StudyModel, scenes: list[Scene], features: torch.Tensor, folder: Path, *, stage: str, log: Any
) -> None:
    """Cross-entropy on the answer word, lookups first; resumes from the checkpoint in `folder`."""
    on_words = stage == "text"
    n_steps = spec.text_steps if on_words else spec.steps
    lr = 1e-3 if spec.text_steps and not on_words else 2e-3
    optimizers = optimizers_of(model, lr)
    base = [[group["lr"] for group in o.param_groups] for o in optimizers]
    parameters = [p for p in model.parameters() if p.requires_grad]
    path, first, seconds = folder / f"{stage}.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, seconds = state["step"], state["seconds"]
    started, smooth = time.perf_counter() - seconds, None
    n_image = SIDE * SIDE if on_words else spec.n_vision
    kept = slice(None) if spec.tiles else slice(0, 1)
    bar = tqdm(range(first, n_steps), initial=first, total=n_steps, desc=f"{spec.name} {stage}", disable=None)
    for step in bar:
        rng = np.random.default_rng([spec.seed, 2, on_words, step])
        for optimizer, rates in zip(optimizers, base, strict=True):
            for group, top in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = top * rate(step, n_steps)
        chosen = rng.integers(len(scenes), size=16)
        batch_scenes = [scenes[i] for i in chosen]
        easy = step < spec.easy_steps
        batch = pack(batch_scenes, rng, ("color", "shape") if easy else spec.families, n_image)
        if on_words:
            image = model.model.language_model.embed_tokens(scene_words(batch_scenes))
        else:
            image = vision_tokens(model, features[chosen][:, kept].float())
        logits = answer_logits(model, image, batch).flatten(0, 1)
        loss = cross_entropy(logits, batch.answers.flatten())
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        asked = batch.answers.flatten() >= 0
        right = (logits.argmax(-1) == batch.answers.flatten())[asked].float().mean().item()
        smooth = right if smooth is None else 0.98 * smooth + 0.02 * right
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == n_steps:
            seconds = time.perf_counter() - started
            log(stage=stage, step=step + 1, seconds=round(seconds, 1), loss=loss.item(), accuracy=round(smooth, 3))
            state = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
            torch.save({**state, "step": step + 1, "seconds": seconds}, path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)


def train(spec: StudyModel, out: Path, tower: Any, scenes: list[Scene], features: torch.Tensor) -> None:
    """Train one model, or go on with it, and save it with its processor."""
    folder = out / spec.name
    if (folder / "spec.json").exists():
        print(f"{spec.name}: done before")
        return
    folder.mkdir(parents=True, exist_ok=True)

    def log(**entry: Any) -> None:
        print(spec.name, entry, flush=True)
        with (folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    model = make_model(spec)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.vision_tower.requires_grad_(False)
    model.train()
    if spec.text_steps:
        learn(model, spec, scenes, features, folder, stage="text", log=log)
    if not (folder / "image.pt").exists():
        align(model, spec, scenes, features)
    learn(model, spec, scenes, features, folder, stage="image", log=log)
    model.save_pretrained(folder)
    make_processor(spec).save_pretrained(folder)
    (folder / "spec.json").write_text(json.dumps(asdict(spec)) + "\n")
    for name in ("text.pt", "image.pt"):
        (folder / name).unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=[s.name for s in SPECS], help="train these models only")
    parser.add_argument("--tower-steps", type=int, default=1200)
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = args.out.expanduser()
    out.mkdir(parents=True, exist_ok=True)
    tower = train_tower(out, args.tower_steps)
    scenes, features = scene_pool(out, tower)
    for spec in SPECS:
        if not args.only or spec.name in args.only:
            train(spec, out, tower, scenes, features)


if __name__ == "__main__":
    main()
