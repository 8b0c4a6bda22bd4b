"""One small instance of every class of results."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import estimators
from estimators.store import ActivationStore
from extraction.skip import DecodeTiming, MemoryUse, PrefillTiming, late_entry
from extraction.store.writer import ActivationWriter, make_spec
from extraction.study import PlanEvaluation, SweepTable, choose_plan
from redundancy import ProfileCertificate, derive, theorems
from redundancy.comparison import RunLog, compare
from redundancy.concentration import holm
from redundancy.notions import geometric_verdict
from redundancy.pid import broja, broja_batch, gaussian_pid
from redundancy.risk import control_risk
from redundancy.risk.sample_size import SampleSize
from support.harvests import harvest

COPIES = np.array([[[0.36, 0.09], [0.04, 0.01]], [[0.01, 0.04], [0.09, 0.36]]])  # t, x, y: two noisy copies of a bit
PLAN = late_entry(2)


@cache
def four() -> estimators.FourRedundancies:
    """Two layers whose second is the first with little noise, and a label that the first feature tells."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(800, 4))
    after = states + 0.1 * rng.normal(size=states.shape)
    return estimators.redundancies(states, after, states[:, 0] > 0, np.arange(800) // 2, n_codes=4)


@cache
def profile() -> ProfileCertificate:
    return ProfileCertificate.from_statistics(harvest())


def scan(folder: Any) -> estimators.LayerScan:
    """A store of three depths, scanned."""
    rng = np.random.default_rng(1)
    spec = make_spec(
        model="known",
        model_type="none",
        n_layers=2,
        n_features=4,
        depths=(0, 1, 2),
        groups=("vision",),
        tokens_per_group=2,
    )
    with ActivationWriter(folder, spec) as writer:
        for i in range(120):
            states = rng.normal(size=(1, 2, 4)) + 0.1 * rng.normal(size=(3, 2, 4))
            label = "yes" if states[0, 0, 0] > 0 else "no"
            groups = np.zeros(2, dtype=int)
            writer.add(f"image {i:03d}", states, token_index=np.arange(2), groups=groups, record={"answer": label})
    return estimators.scan_layers(ActivationStore(folder), kinds=("adjacent",), n_codes=4, n_bootstrap=20)


def run_log(scores: list[float]) -> RunLog:
    n = len(scores)
    names = tuple(map(str, range(n)))
    return RunLog(
        source="run",
        metric="exact_match",
        tasks=("",) * n,
        keys=names,
        scores=tuple(scores),
        units=names,
        inputs=("",) * n,
        targets=("",) * n,
    )


def timing() -> PrefillTiming:
    plan, plain = tuple(1.0 + 0.01 * k for k in range(9)), tuple(1.5 + 0.01 * k for k in range(9))
    return PrefillTiming(
        plan=PLAN,
        total=plan,
        decoder=plan,
        vision=plan,
        plain_total=plain,
        plain_decoder=plain,
        plain_vision=plan,
        device="cpu",
    )


def decoding() -> DecodeTiming:
    sizes = {"cache_bytes": 10, "plain_cache_bytes": 20, "peak_bytes": None, "plain_peak_bytes": None}
    ms = tuple(1.0 + 0.01 * k for k in range(9))
    return DecodeTiming(plan=PLAN, token_ms=ms, plain_token_ms=ms[::-1], n_tokens=4, device="cpu", **sizes)


def memory() -> MemoryUse:
    return MemoryUse(
        plan=PLAN,
        kv_bytes=10,
        plain_kv_bytes=20,
        predicted_kv_bytes=10,
        predicted_plain_kv_bytes=20,
        least_kv_bytes=10,
        position_bytes=0,
        peak_bytes=None,
        plain_peak_bytes=None,
    )


def evaluation() -> PlanEvaluation:
    ids, tokens = tuple(f"s{k}" for k in range(20)), tuple(k % 3 for k in range(20))
    kl = tuple(0.01 * k for k in range(20))
    return PlanEvaluation(plan=PLAN, sample_ids=ids, plain_tokens=tokens, plan_tokens=(1,) * 20, kl=kl, answers=tokens)


def choice() -> Any:
    losses = [[0] * 200, [0] * 190 + [1] * 10]
    ids = [f"s{k}" for k in range(200)]
    return choose_plan(
        [late_entry(1), late_entry(2)], losses, costs=[0.9, 0.8], sample_ids=ids, loss="answer", risk=0.05
    )


# By the name of the class; each takes a folder to write in.
RESULTS: dict[str, Callable[[Any], Any]] = {
    "BoundCertificate": lambda _: profile().pairs[0].statements[0],
    "BrojaBatch": lambda _: broja_batch(np.stack([COPIES, COPIES[:, ::-1]])),
    "BrojaResult": lambda _: broja(COPIES),
    "Comparison": lambda _: compare(run_log([1.0] * 60), run_log([1.0] * 58 + [0.0] * 2), risk=0.1),
    "DecodeTiming": lambda _: decoding(),
    "Derivation": lambda _: derive(known={"mean_distance": 0.1}, alpha=1.0, beta=1.0),
    "EntropyEstimate": lambda _: four().entropy,
    "FourRedundancies": lambda _: four(),
    "FunctionalRedundancy": lambda _: four().functional,
    "GaussianPidEstimate": lambda _: gaussian_pid(np.eye(3) + 0.3, n_target=1, n_x=1),
    "HarvestStatistics": lambda _: harvest(),
    "HolmVerdict": lambda _: holm([0.001, 0.2, 0.04]),
    "LayerPairCertificate": lambda _: profile().pairs[0],
    "LayerScan": lambda folder: scan(folder / "store"),
    "MemoryUse": lambda _: memory(),
    "PairScan": lambda folder: scan(folder / "store").pairs[0],
    "PlanChoice": lambda _: choice(),
    "PlanEvaluation": lambda _: evaluation(),
    "PrefillTiming": lambda _: timing(),
    "ProfileCertificate": lambda _: profile(),
    "RedundancyVerdict": lambda _: geometric_verdict(mean_distance=profile().pairs[0].statements[0], epsilon=0.5),
    "RiskControl": lambda _: control_risk(
        [[0.0] * 100, [0.0] * 97 + [1.0] * 3], names=["a", "b"], costs=[1, 2], risk=0.1
    ),
    "SampleSize": lambda _: SampleSize(
        n_units=300, n_losses=2, power=0.9, risk=0.05, expected=0.01, level=0.05, how="exact"
    ),
    "SweepTable": lambda _: SweepTable(
        records=({"table": 1, "plan": "late_entry(1)", "model": "m", "layer": 1, "accuracy": 0.9, "flop_speedup": 1.1},)
    ),
    "TheoremRecord": lambda _: theorems()[0],
    "UniqueInformationEstimate": lambda _: four().pid,
}
