"""Bias of entropy estimates on codes, and what the certified bounds cost, on laws with known entropy.

Usage: python examples/benchmarks/entropies.py [--repeats 20] [--write docs/benchmarks/entropies.md]
"""

import argparse
import math
from pathlib import Path

import numpy as np
from scipy.stats import entropy

from estimators.codes.pairs import CodedPair
from estimators.entropy import (
    METHODS,
    conditional_entropy_estimate,
    conditional_entropy_upper,
    mutual_information_lower,
)

parser = argparse.ArgumentParser()
parser.add_argument("--repeats", type=int, default=20)
parser.add_argument("--write", type=Path)
arguments = parser.parse_args()

SPREAD = 8  # next codes that a previous code leads to
TOKENS = 20  # of one image


def circle(k: int) -> np.ndarray:
    """Distances of k codes on a circle."""
    angle = 2 * np.pi * np.arange(k) / k
    return np.round(1 - np.cos(angle[:, None] - angle), 12)


def flat(k: int) -> np.ndarray:
    """8 next codes alike."""
    return np.where(np.arange(k) < SPREAD, 1.0 / SPREAD, 0.0)


def uneven(k: int) -> np.ndarray:
    """All next codes, with masses that fall like rank^-1.5."""
    mass = np.arange(1, k + 1) ** -1.5
    return mass / mass.sum()


def scattered(rng: np.random.Generator, k: int, n: int, law: np.ndarray) -> CodedPair:
    """Independent tokens; each previous code has its own random order of the next codes."""
    order = np.random.default_rng(k).permuted(np.tile(np.arange(k), (k, 1)), axis=1)
    prev = rng.integers(k, size=n)
    after = order[prev, rng.choice(k, size=n, p=law)]
    return CodedPair.of(prev, after, np.arange(n) // TOKENS, n_codes=k)


def near(rng: np.random.Generator, k: int, images: int) -> CodedPair:
    """Moves by -4 to 3 places on a circle; 30 % of the tokens of an image repeat its first previous code."""
    own = rng.integers(k, size=(images, TOKENS))
    prev = np.where(rng.random(own.shape) < 0.3, own[:, :1], own)
    after = (prev + rng.integers(SPREAD, size=prev.shape) - SPREAD // 2) % k
    ids = np.repeat(np.arange(images), TOKENS)
    return CodedPair.of(prev.ravel(), after.ravel(), ids, n_codes=k, distances=circle(k))


lines = ["| law | K | N | N / K^2 | truth | " + " | ".join(METHODS) + " |", "|---" * (5 + len(METHODS)) + "|"]
for make in (flat, uneven):
    for k, n in ((64, 1_000), (64, 10_000), (1024, 10_000), (1024, 100_000)):
        law = make(k)
        truth = float(entropy(law))
        bias = {}
        for method in METHODS:
            rng = np.random.default_rng(0)
            pairs = (scattered(rng, k, n, law) for _ in range(arguments.repeats if n <= 10_000 else 3))
            values = [conditional_entropy_estimate(pair, method=method, base=math.e).value for pair in pairs]
            bias[method] = f"{float(np.mean(values)) - truth:+.3f}"
        lines.append(f"| {make.__name__} | {k} | {n:,} | {n / k**2:.3g} | {truth:.3f} | {' | '.join(bias.values())} |")
        print(lines[-1], flush=True)

truth = math.log(SPREAD)
bounds = [
    "| K | images | H upper: covered | mean excess | I lower: covered | mean | true I |",
    "|---|---|---|---|---|---|---|",
]
for k, images in ((64, 100), (64, 1_000), (256, 1_000)):
    rng = np.random.default_rng(1)
    high, low = [], []
    for seed in range(arguments.repeats):
        pair = near(rng, k, images)
        high.append(conditional_entropy_upper(pair, base=math.e, random_state=seed).interval.upper)
        low.append(mutual_information_lower(pair, base=math.e, random_state=seed).interval.lower)
    information = math.log(k) - truth
    above, below = sum(u >= truth for u in high), sum(v <= information for v in low)
    bounds.append(
        f"| {k} | {images:,} | {above} of {len(high)} | {np.mean(high) - truth:+.3f} | {below} of {len(low)} | "
        f"{np.mean(low):.3f} | {information:.3f} |"
    )
    print(bounds[-1], flush=True)

if arguments.write:
    text = f"""# Entropies on codes: bias, and what certainty costs

Mean error in nats of each estimate of H(next code | previous code), over {arguments.repeats} draws of N independent
tokens (3 for N = 100,000). "flat": each of K codes leads to {SPREAD} codes alike. "uneven": to all, with masses that
fall like rank^-1.5, in an order of its own.

{chr(10).join(lines)}

The signs and the winners depend on the law, which nobody knows: no point estimate is a bound, and each result says
N / K^2 for that reason.

The certified bounds at 95 %: codes move to one of {SPREAD} neighbours on a circle, images have {TOKENS} tokens of which
30 % repeat the first.

{chr(10).join(bounds)}

Made by `python examples/benchmarks/entropies.py --repeats {arguments.repeats} --write docs/benchmarks/entropies.md`.
"""
    arguments.write.parent.mkdir(parents=True, exist_ok=True)
    arguments.write.write_text(text)
