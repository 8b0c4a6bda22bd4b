"""How often every interval of `redundancy.concentration` holds, and what intervals over tokens would have done.

    python examples/simulations/coverage.py --runs 2000 --out docs

writes coverage.md and coverage.json. Images are i.i.d., tokens of an image anything from unrelated (ICC 0) to
equal (ICC 1); one image in a hundred may be bad throughout; large images may differ from small ones.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.special import betaincinv
from scipy.stats import binom, norm, t

from redundancy.concentration import (
    betting_lower,
    betting_sequence_lower,
    betting_sequence_upper,
    betting_upper,
    bonferroni,
    clopper_pearson_lower,
    clopper_pearson_upper,
    dkw_band,
    dkw_tail,
    empirical_bernstein_lower,
    empirical_bernstein_upper,
    finite_population_lower,
    finite_population_upper,
    hoeffding_lower,
    hoeffding_upper,
    holm,
    mean_p_value,
)
from redundancy.concentration.betting import together
from redundancy.concentration.capital import Problem, solved_together

LEVEL = 0.95
SIZES = (30, 100, 420)
RHO = np.array([0.0, 0.01, 0.02, 0.04, 0.3, 2.0])  # cosine distances that tokens take
TAIL = RHO > 0.05
USUAL = np.array([0.2, 0.3, 0.3, 0.172, 0.018, 0.01])  # P(rho > 0.05) = 0.028, as in the paper's Table 1
GOOD = np.array([0.25, 0.35, 0.25, 0.15, 0.0, 0.0])
WORSE = np.array([0.15, 0.25, 0.3, 0.2, 0.08, 0.02])
POPULATION = 840  # images of the benchmark that is sampled without replacement
N_LAYERS = 8
NOT_OFFERED = "t over images (not offered)"
PAIRS = {
    "betting": ((betting_upper, "concentration.betting_upper"), (betting_lower, "concentration.betting_lower")),
    "betting, all n at once": (
        (betting_sequence_upper, "concentration.betting_sequence_upper"),
        (betting_sequence_lower, "concentration.betting_sequence_lower"),
    ),
    "Hoeffding": (hoeffding_upper, hoeffding_lower),
    "Maurer-Pontil": (empirical_bernstein_upper, empirical_bernstein_lower),
}
CLOPPER_PEARSON = (clopper_pearson_upper, clopper_pearson_lower)


@dataclass(frozen=True)
class Law:
    """A population of images: kinds with probability, tokens and a law of rho each, and how alike tokens are."""

    name: str
    icc: float
    kinds: tuple[tuple[float, int, tuple[float, ...]], ...]

    def draw(self, rng: np.random.Generator, runs: int, n: int) -> np.ndarray:
        """Tokens of each image per value of rho, shape (runs, n, 6)."""
        masses, sizes, laws = (np.array(column) for column in zip(*self.kinds, strict=True))
        kind = rng.choice(len(masses), p=masses, size=(runs, n))
        shares = laws[kind]
        if self.icc == 1.0:
            return rng.multinomial(1, shares) * sizes[kind][..., None]
        if self.icc > 0.0:
            gamma = rng.standard_gamma((1 / self.icc - 1) * shares)
            shares = gamma / gamma.sum(axis=-1, keepdims=True)
        return rng.multinomial(sizes[kind], shares)

    def truth(self, values: np.ndarray, estimand: str) -> float:
        """Mean of `values` over images or over tokens."""
        masses, sizes, laws = (np.array(column) for column in zip(*self.kinds, strict=True))
        weights = masses * sizes if estimand == "token_pooled" else masses
        return float(weights @ (laws @ values) / weights.sum())


def even(name: str, icc: float, law: np.ndarray = USUAL) -> Law:
    """Images of 576 tokens of one law."""
    return Law(name, icc, ((1.0, 576, tuple(law)),))


BAD = tuple(float(v == 2.0) for v in RHO)
LAWS = {
    "icc0": even("ICC 0", 0.0),
    "icc03": even("ICC 0.3", 0.3),
    "icc1": even("ICC 1", 1.0),
    "bad": Law("1 % bad images", 0.0, ((0.99, 576, tuple(GOOD)), (0.01, 576, BAD))),
    "skewed": Law(
        "skewed sizes, ICC 0.3",
        0.3,
        ((0.55, 16, tuple(GOOD)), (0.25, 64, tuple(USUAL)), (0.15, 256, tuple(USUAL)), (0.05, 576, tuple(WORSE))),
    ),
}
TARGETS = {
    "tail": ("P(rho > 0.05)", TAIL.astype(float), 1.0),
    "mean": ("mean rho", RHO, 2.0),
}
PLAN = (
    ("icc0", "tail", "image_average"),
    ("icc03", "tail", "image_average"),
    ("icc1", "tail", "image_average"),
    ("icc03", "mean", "image_average"),
    ("bad", "mean", "image_average"),
    ("skewed", "tail", "image_average"),
    ("skewed", "tail", "token_pooled"),
)


@dataclass(frozen=True)
class Row:
    """One interval under one law at one n; `excess` is the mean distance from the truth to the bound."""

    law: str
    quantity: str
    bound: str
    side: str
    n: int
    runs: int
    misses: int
    excess: float
    token_level: float
    note: str = ""
    nominal: float = LEVEL

    @property
    def offered(self) -> bool:
        """Whether the package has this interval."""
        return self.bound != NOT_OFFERED

    @property
    def p_value(self) -> float:
        """Exact binomial p-value of "the coverage is at least nominal"."""
        return float(binom.sf(self.misses - 1, self.runs, 1 - self.nominal))

    @property
    def coverage(self) -> float:
        """Share of runs in which the interval held."""
        return 1 - self.misses / self.runs

    @property
    def error(self) -> float:
        """Standard error of the coverage, not zero when no run missed."""
        p = (self.misses + 0.5) / (self.runs + 1)
        return math.sqrt(p * (1 - p) / self.runs)


def token_level(counts: np.ndarray, values: np.ndarray, side: str, level: float = LEVEL) -> np.ndarray:
    """What somebody would report who takes tokens for the sample: Clopper-Pearson for shares, normal for means."""
    tokens = counts.sum(axis=(1, 2))
    sums = (counts @ values).sum(axis=1)
    sign = 1 if side == "upper" else -1
    if set(np.unique(values)) <= {0.0, 1.0}:
        a, b = (sums + 1, tokens - sums) if side == "upper" else (sums, tokens - sums + 1)
        end = betaincinv(np.maximum(a, 1e-9), np.maximum(b, 1e-9), level if side == "upper" else 1 - level)
        return np.where(a == 0, 0.0, np.where(b == 0, 1.0, end))
    mean = sums / tokens
    spread = np.sqrt((counts @ values**2).sum(axis=1) / tokens - mean**2)
    return mean + sign * norm.ppf(level) * spread / np.sqrt(tokens)


def ends(pair: tuple, samples: list[dict], side: str) -> np.ndarray:
    """Bounds by the package's public functions, betting bounds many at once."""
    function = pair[side == "lower"]
    if isinstance(function, tuple):
        certificates = together([(*function, sample) for sample in samples])
    else:
        certificates = [function(**sample) for sample in samples]
    return np.array([getattr(c.interval, side) for c in certificates])


def mean_rows(key: str, target: str, estimand: str, n: int, runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """All bounds on one mean."""
    law, (quantity, values, scale) = LAWS[key], TARGETS[target]
    counts, truth = law.draw(rng, runs, n), law.truth(values, estimand)
    sums, tokens = counts @ values, counts.sum(axis=-1)
    pooled = estimand == "token_pooled"
    common = {"scale": scale, "confidence_level": LEVEL}
    samples = [{"values": s, "counts": k, **common} for s, k in zip(sums, tokens, strict=True)]
    pairs = dict(PAIRS)
    if pooled:
        samples = [{**s, "estimand": estimand, "count_max": 576} for s in samples]
        pairs = {name: pair for name, pair in PAIRS.items() if "betting" in name}
        quantity += ", per token"
    for side in ("upper", "lower"):
        sign = 1 if side == "upper" else -1
        naive = float((sign * (token_level(counts, values, side) - truth) >= 0).mean())

        found = {name: ends(pair, samples, side) for name, pair in pairs.items()}
        if key == "icc1" and target == "tail":
            ones = [{"values": s, "confidence_level": LEVEL} for s in (sums / tokens).round()]
            found["Clopper-Pearson on images"] = ends(CLOPPER_PEARSON, ones, side)
        if not pooled:
            x = sums / tokens
            width = t.ppf(LEVEL, n - 1) * x.std(axis=1, ddof=1) / math.sqrt(n)
            found[NOT_OFFERED] = x.mean(axis=1) + sign * width
        for bound, end in found.items():
            slack = sign * (end - truth)
            misses = int((slack < 0).sum())
            yield Row(law.name, quantity, bound, side, n, runs, misses, float(slack.mean()), naive)


def band_row(key: str, n: int, runs: int, rng: np.random.Generator) -> Row:
    """The band around the tail function, all thresholds and both sides at once; DKW over tokens beside it."""
    law = LAWS[key]
    counts = law.draw(rng, runs, n)
    tokens = counts.sum(axis=-1)
    band, misses = dkw_band(n_images=n, confidence_level=LEVEL), 0
    tails = [np.arange(len(RHO)) > i for i in range(len(RHO) - 1)]
    truths = [law.truth(tail.astype(float), "image_average") for tail in tails]
    for c, k in zip(counts, tokens, strict=True):
        found = (dkw_tail(band=band, values=c @ tail, counts=k).interval for tail in tails)
        misses += any(truth not in interval for truth, interval in zip(truths, found, strict=True))
    deviation = np.abs(((counts @ np.array(tails).T) / tokens[..., None]).mean(axis=1) - np.array(truths)).max(axis=1)
    per_token = np.sqrt(math.log(2 / (1 - LEVEL)) / (2 * tokens.sum(axis=1)))
    naive = float((deviation <= per_token).mean())
    return Row(law.name, "P(rho > t), all t", "DKW on images", "both", n, runs, misses, band.interval.upper, naive)


def finite_rows(key: str, n: int, runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """A fixed benchmark of 840 images, n of them drawn without replacement."""
    law, (quantity, values, _) = LAWS[key], TARGETS["tail"]
    population = law.draw(np.random.default_rng(0), 1, POPULATION)[0]
    truth = float((population @ values / population.sum(axis=-1)).mean())
    drawn = population[np.array([rng.permutation(POPULATION)[:n] for _ in range(runs)])]
    x = drawn @ values / drawn.sum(axis=-1)
    for side, function in (("upper", finite_population_upper), ("lower", finite_population_lower)):
        sign = 1 if side == "upper" else -1
        naive = float((sign * (token_level(drawn, values, side) - truth) >= 0).mean())
        with solved_together([Problem(row, None, 1 - LEVEL, side, "fixed", POPULATION) for row in x]):
            certificates = [function(values=row, population_size=POPULATION, confidence_level=LEVEL) for row in x]
        slack = sign * (np.array([getattr(c.interval, side) for c in certificates]) - truth)
        name = f"betting, n of {POPULATION} without replacement"
        yield Row(law.name, quantity, name, side, n, runs, int((slack < 0).sum()), float(slack.mean()), naive)


def family_rows(icc: float, n: int, runs: int, rng: np.random.Generator) -> Iterator[Row]:
    """Eight layers in pairs that share their images' fate: four at the threshold 0.028, four at 0.004."""
    limit, means = 0.028, np.array([0.028] * 4 + [0.004] * 4)
    if icc == 0.0:
        share = np.broadcast_to(means, (runs, n, N_LAYERS))
    else:
        u = np.repeat(rng.random((runs, n, N_LAYERS // 2)), 2, axis=-1)
        share = (
            (u < means).astype(float) if icc == 1.0 else betaincinv(*((1 / icc - 1) * np.array([means, 1 - means])), u)
        )
    x = rng.binomial(576, share) / 576
    each = bonferroni(LEVEL, N_LAYERS)[0]
    calls = [
        (betting_upper, "concentration.betting_upper", {"values": run[:, i], "confidence_level": each})
        for run in x
        for i in range(N_LAYERS)
    ]
    uppers = np.array([c.interval.upper for c in together(calls)]).reshape(runs, N_LAYERS)
    tokens = np.stack([576 * (1 - x), 576 * x], axis=-1)
    naive = np.stack(
        [token_level(tokens[:, :, i], np.array([0.0, 1.0]), "upper", each) for i in range(N_LAYERS)], axis=1
    )
    name, quantity = f"ICC {icc:g}, 8 layers", "P(rho > 0.05) of each layer"
    simultaneous, excess = int((uppers < means).any(axis=1).sum()), float((uppers - means).mean())
    single_tokens = float((naive >= means).all(axis=1).mean())
    yield Row(name, quantity, "Bonferroni bounds, jointly", "upper", n, runs, simultaneous, excess, single_tokens)
    p_values = [[mean_p_value(run[:, i], limit, confidence_level=each) for i in range(N_LAYERS)] for run in x]
    verdicts = [holm(p).refuted for p in p_values]
    power = float(np.mean([v[4:] for v in verdicts]))
    alone = float(np.mean(uppers[:, 4:] < limit))
    wrong = sum(any(v[:4]) for v in verdicts)
    tokens_alone = float((naive[:, :4] >= limit).all(axis=1).mean())
    note = f"finds {power:.2f} (Bonferroni {alone:.2f})"
    question = f"{quantity} < 0.028?"
    yield Row(name, question, "Holm: no false verdict", "upper", n, runs, wrong, math.nan, tokens_alone, note)


def simulate(runs: int, sizes: tuple[int, ...] = SIZES, seed: int = 2025, plan: tuple = PLAN) -> list[Row]:
    """All rows; every part has a generator of its own, so that parts can be left out."""
    keys = tuple(dict.fromkeys(key for key, _, _ in plan))
    rows: list[Row] = []
    for n in sizes:
        for i, (key, target, estimand) in enumerate(plan):
            rows += mean_rows(key, target, estimand, n, runs, np.random.default_rng([seed, n, i]))
        for i, key in enumerate(keys):
            rows.append(band_row(key, n, runs, np.random.default_rng([seed, n, 100 + i])))
        for i, key in enumerate(k for k in keys if k in ("icc03", "icc1", "skewed")):
            rows += finite_rows(key, n, runs, np.random.default_rng([seed, n, 200 + i]))
        for i, icc in enumerate((0.0, 0.3, 1.0)):
            rows += family_rows(icc, n, max(runs // 4, 50), np.random.default_rng([seed, n, 300 + i]))
    return rows


def table(rows: list[Row]) -> list[str]:
    """Markdown of the rows of one law and quantity: bounds down, sample sizes across."""
    sizes = sorted({row.n for row in rows})
    lines = [
        "| bound | side | " + " | ".join(f"n = {n}: held | distance | token-level" for n in sizes) + " |",
        "| --- | --- | " + " | ".join(["--- | --- | ---"] * len(sizes)) + " |",
    ]
    for bound, side in dict.fromkeys((row.bound, row.side) for row in rows):
        cells = []
        for n in sizes:
            found = [row for row in rows if (row.bound, row.side, row.n) == (bound, side, n)]
            for row in found:
                distance = row.note or f"{row.excess:.4f}"
                cells.append(f"{row.coverage:.3f} ± {row.error:.3f} | {distance} | {row.token_level:.3f}")
            if not found:
                cells.append(" | | ")
        lines.append(f"| {bound} | {side} | " + " | ".join(cells) + " |")
    return lines


def page(rows: list[Row], *, runs: int, seed: int, seconds: float) -> str:
    """The Markdown page."""
    offered = [row for row in rows if row.offered]
    worst = min(offered, key=lambda row: row.coverage)
    least = min(row.p_value for row in offered)
    clustered = [row for row in rows if row.law.startswith(("ICC 0.3", "ICC 1", "1 %")) and row.side != "both"]
    naive = [row.token_level for row in clustered]
    lines = [
        "# Coverage of every interval",
        "",
        f"Written by `examples/simulations/coverage.py` on {datetime.now(UTC):%Y-%m-%d}: "
        f"{runs} runs per row (a quarter of them for families of layers), seed {seed}, {seconds:.0f} s on one core.",
        "",
        f"All bounds are for {LEVEL:.0%}, one-sided unless the side says both. **held**: share of runs in which the "
        "bound held, with its Monte Carlo standard error. **distance**: mean distance of the bound from the truth. "
        "**token-level**: how often the interval held that takes tokens for the sample (Clopper-Pearson for shares, "
        "normal for means, DKW for bands); the package does not offer it. Bounds that hold more often than "
        "they say pay for it in distance; none may hold less often.",
        "",
        f"- Lowest coverage among the {len(offered)} rows of offered intervals: {worst.coverage:.3f} "
        f"({worst.bound}, {worst.side}, {worst.law}, n = {worst.n}).",
        f'- Smallest binomial p-value of "holds at least as often as it says": {least:.2g} over {len(offered)} rows.',
        f"- Token-level intervals where tokens of an image are alike: {min(naive):.3f} to {max(naive):.3f}, "
        f"mean {np.mean(naive):.3f}.",
        '- "all n at once" is the bound after n images of a sequence that was looked at after each of them: it is '
        "the tightest of all looks, so its coverage is that of all looks together.",
        "- Holm's rows say instead of a distance which share of the four layers that are below the threshold it finds.",
        "",
        "Laws: images of 576 tokens whose rho takes six values, P(rho > 0.05) = 0.028; Dirichlet shares per image for "
        "ICC between 0 and 1. Bad images: one in a hundred has rho = 2 in all tokens. Skewed sizes: 16, 64, 256 or 576 "
        "tokens with probabilities 0.55, 0.25, 0.15, 0.05, the largest images the worst, so that the mean over images "
        "and the mean over tokens differ.",
    ]
    for law, quantity in dict.fromkeys((row.law, row.quantity) for row in rows):
        part = [row for row in rows if (row.law, row.quantity) == (law, quantity)]
        lines += ["", f"## {law}: {quantity}", "", *table(part)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2025)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    args = parser.parse_args()
    start = time.process_time()
    rows = simulate(args.runs, seed=args.seed)
    text = page(rows, runs=args.runs, seed=args.seed, seconds=time.process_time() - start)
    records = [{**asdict(row), "coverage": row.coverage, "error": row.error, "offered": row.offered} for row in rows]
    for record in records:
        record["excess"] = None if math.isnan(record["excess"]) else round(record["excess"], 6)
        record["error"] = round(record["error"], 6)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "coverage.md").write_text(text, encoding="utf-8")
    body = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "runs": args.runs, "seed": args.seed, "level": LEVEL}
    rows_text = ",\n".join(json.dumps(record) for record in records)
    head = json.dumps(body)[:-1]
    (args.out / "coverage.json").write_text(f'{head}, "rows": [\n{rows_text}\n]}}\n', encoding="utf-8")
    print(text.split("## ")[0])


if __name__ == "__main__":
    main()
