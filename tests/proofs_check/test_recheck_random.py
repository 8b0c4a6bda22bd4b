"""Whatever certificate redundancy makes, the independent formulas confirm it: random inputs, edges included."""

import inspect
import math
import random

import numpy as np
import pytest

from proofs_check.recheck import recheck
from redundancy.certificates.certificate import registered
from redundancy.errors import InvalidInputError
from redundancy.interval import Interval

THEOREMS = sorted(set(registered()) - {"implications.intersection"})
CHAINS = ["prev-next-task", "next-prev-task"]


class Draws:
    """Random inputs by the names that the bound functions share; ends and ties of their ranges are common."""

    def __init__(self, seed, theorem):
        self.random = random.Random(f"{seed} {theorem}")
        self.theorem = theorem
        r = self.random
        self.size, self.alphabet, self.parts = r.randint(1, 5), r.randint(5, 70), r.randint(1, 4)
        self.values = r.randint(1, 4)
        self.n = r.choice([2, 5, 30, 120])
        self.most = r.randint(1, self.alphabet)

    def share(self):
        r = self.random
        return r.choice([0.0, 1.0, 0.5, r.random(), r.random() ** 8, 1 - r.random() ** 8, 1e-12, r.randint(0, 8) / 8])

    def amount(self):
        r = self.random
        return r.choice([0.0, 1.0, r.random(), 10 ** r.uniform(-12, 6), float(r.randint(0, 5)), 1e-20])

    def evidence(self, draw):
        if self.random.random() < 0.6:
            return draw()
        return Interval(*sorted([draw(), draw()]))

    def law(self, *shape):
        r = self.random
        weights = np.array([r.choice([0, 0, 1, r.randint(0, 9), r.random()]) for _ in range(math.prod(shape))], float)
        weights[0] += not weights.any()
        return (weights / weights.sum()).reshape(shape)

    def distances(self):
        r = self.random
        table = [
            [r.choice([0, 0.05, 0.25, 1, 1.5, 2, 2 * r.random()]) for _ in range(self.size)] for _ in range(self.size)
        ]
        upper = np.triu(np.array(table), 1)
        return upper + upper.T

    def joint(self):
        if self.theorem == "lemmas.divergence_information":
            reading = self.law(self.size, 3) + 1e-3
            return np.einsum("xy,xz->xyz", self.law(self.size, self.size), reading / reading.sum(axis=1, keepdims=True))
        more = (self.values,) if self.theorem in ("laws.information_of_law", "laws.gap_of_law") else ()
        free = more or self.theorem in (
            "lemmas.self_unique_information",
            "laws.forward_entropy_of_law",
            "laws.backward_entropy_of_law",
            "pinsker.guessing_upper",
        )
        return self.law(self.size, self.random.randint(1, 5) if free else self.size, *more)

    def task_values(self):
        r = self.random
        rows = self.values if self.theorem == "laws.gap_of_law" else r.randint(1, 6)
        width = r.randint(1, 3)
        return [[r.choice([0.0, 1.0, -1.0, r.gauss(0, 3)]) for _ in range(width)] for _ in range(rows)]

    def sample(self):
        r = self.random
        if "clopper" in self.theorem:
            return np.array([r.choice([0.0, 0.0, 1.0]) for _ in range(self.n)])
        return np.array([r.choice([0.0, 1.0, r.random(), r.random() ** 6]) for _ in range(self.n)])

    def one(self, name):
        r, optional = self.random, self.random.random() < 0.4
        match name:
            case "tail_prob" | "tail_prob_closed" | "miss_prob" | "mismatch_prob" | "ball_prob" | "band":
                return self.evidence(self.share)
            case "ball_prob_min":
                return self.evidence(lambda: self.share() / 2)
            case "ball_prob_max":
                return self.evidence(lambda: 0.5 + self.share() / 2)
            case "mean_distance" | "value":
                return self.evidence(lambda: 2 * self.share())
            case "base":
                return None if self.theorem == "given" else r.choice([2.0, math.e, 10.0, 1.5, 2])
            case "t":
                return r.choice([0.0, 0.05, 0.25, 0.9, r.random()])
            case "rho_max":
                return r.choice([1.0, 2.0, 3.5])
            case "chain":
                return r.choice(CHAINS)
            case "task_cap" | "task_variance":
                return None if optional else self.evidence(self.amount)
            case "diameter":
                return (
                    None
                    if optional and self.theorem == "pinsker.free_entropy_upper"
                    else r.choice([self.amount(), math.sqrt(2)])
                )
            case "kind":
                return r.choice(["scalar", "one_hot", "vector"])
            case "norm_lower":
                return r.random()
            case "norm_upper":
                return 1 + self.amount()
            case "support_size":
                return (
                    None
                    if optional
                    and self.theorem
                    in ("fano.predictor_upper", "braun_pokutta.binary_lower", "braun_pokutta.law_lower")
                    else self.alphabet
                )
            case "ball_max":
                return self.most
            case "ball_min":
                return r.randint(0, self.most)
            case "list_size":
                return r.randint(1, self.alphabet)
            case "edges" | "thresholds":
                return sorted(r.sample([0.01, 0.1, 0.3, 0.6, 0.9, 1.0], self.parts))
            case "tail_upper" | "tail_closed_lower":
                return [self.share() for _ in range(self.parts)]
            case "joint_law" | "product_law":
                return self.law(self.parts)
            case "sizes":
                return list(range(1, self.parts + 1))
            case "mean_score":
                return self.evidence(lambda: r.gauss(0, 1))
            case "mean_exp_score":
                return self.evidence(lambda: 0.5 + self.share())
            case "population_size":
                return self.n + r.choice([0, 0, 1, 50])
            case "scale":
                return r.choice([1.0, 2.0, 3.7])
            case "confidence_level":
                return r.choice([0.95, 0.5, 0.999, 1 - 0.05 / 384])
            case "quantity":
                return "mean_distance"
            case "n_images":
                return r.randint(1, 5000)
            case "costs":
                return [self.evidence(self.amount) for _ in range(r.randint(1, 4))]
            case "estimated" | "strict":
                return optional
            case "joint" | "distances" | "task_values":
                return getattr(self, name)()
            case "values":
                return self.sample()
            case "counts" | "count_max":
                return None
            case "estimand":
                return "image_average"
            case "order":
                return "as given"
            case _:
                return self.evidence(self.amount)

    def inputs(self):
        found = {name: self.one(name) for name in inspect.signature(registered()[self.theorem]).parameters}
        if self.theorem == "fano.sized_lists_upper":
            found["hit_probs"], found["miss_probs"] = self.law(2, self.parts)
        if "counts" in found and (self.theorem == "concentration.dkw_tail" or self.random.random() < 0.5):
            found["counts"] = np.array([self.random.randint(1, 9) for _ in range(self.n)])
            found["values"] = found["values"] * found["counts"]
            if "count_max" in found and self.random.random() < 0.6:
                found |= {"estimand": "token_pooled", "count_max": 9}
                found["counts"][0] = found["values"][0] = 0
        return found


def confirmed(theorem, seeds):
    """How many certificates came about; each of them is confirmed."""
    made = 0
    for seed in seeds:
        inputs = Draws(seed, theorem).inputs()
        try:
            certificate = registered()[theorem](**inputs)
        except InvalidInputError:
            continue  # contradictory draws, such as a tail beside a ball that is the whole alphabet
        made += 1
        report = recheck(certificate)
        assert report.ok, (str(report)[:400], inputs)
    return made


@pytest.mark.parametrize("theorem", THEOREMS)
def test_every_certificate_is_confirmed(theorem):
    assert confirmed(theorem, range(12)) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("theorem", THEOREMS)
def test_every_certificate_is_confirmed_at_length(theorem):
    assert confirmed(theorem, range(1000, 1300)) >= 100


def test_a_finite_population_that_was_seen_whole():
    """The mean is then known; the values seen exclude all others, whatever the capital says."""
    values = [1.0, 0.0, 0.25, 0.25]
    for side in ("upper", "lower"):
        certificate = registered()[f"concentration.finite_population_{side}"](values=values, population_size=4)
        assert recheck(certificate).ok
        end = getattr(certificate.interval, side)
        assert end == pytest.approx(0.375, abs=1e-8)
