"""The main jobs under pytest-benchmark, for whoever changes one: not part of the default run.

    python -m pytest tests/bench -m bench -n 0 --benchmark-autosave
    python -m pytest tests/bench -m bench -n 0 --benchmark-compare

Each times one call and checks its answer, so that a fast wrong result cannot pass. Races against other libraries are in
examples/benchmarks.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from support import load_script

pytestmark = pytest.mark.bench


def table(*shape, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(math.prod(shape))).reshape(shape)


@pytest.mark.parametrize("shape", [(2, 2, 2), (5, 10, 10), (10, 30, 30), (10, 100, 100)], ids=str)
def test_broja(benchmark, shape):
    from redundancy.pid import broja

    result = benchmark(broja, table(*shape), tolerance=1e-8)
    assert result.gap <= 1e-8


def test_broja_batch(benchmark):
    from redundancy.pid import broja_batch

    joints = np.random.default_rng(0).dirichlet(np.ones(48), size=500).reshape(-1, 3, 4, 4)
    assert benchmark(broja_batch, joints, tolerance=1e-8).gap.max() <= 1e-8


def test_pair_sums(benchmark):
    from redundancy.statistics.streaming import pair_sums

    x = np.random.default_rng(0).standard_normal((20_000, 512), dtype=np.float32)
    y = x + np.float32(0.1)
    benchmark(pair_sums, x, y, np.arange(20_000) // 100)


@pytest.mark.parametrize("layers", [8, 32, 128])
def test_profile_certificate(benchmark, layers):
    from redundancy.certificates.profile import ProfileCertificate

    stored = load_script("examples/benchmarks/certificates.py").stored_statistics(layers)
    certificate = benchmark(ProfileCertificate.from_statistics, stored, groups=("vision", "text"))
    assert len(certificate.pairs) == 2 * layers


def test_streaming_ridge(benchmark):
    from estimators.probes import StreamingRidge

    rng = np.random.default_rng(0)
    x = rng.standard_normal((10_000, 256))
    z = x[:, :4] + 0.1 * rng.standard_normal((10_000, 4))
    model = benchmark(lambda: StreamingRidge().fit(x, z, groups=np.arange(10_000) // 10))
    assert model.score(x, z) > 0.9


def test_codebook(benchmark):
    from estimators import fit_codebook

    states = np.random.default_rng(0).standard_normal((20_000, 128), dtype=np.float32)
    states /= np.linalg.norm(states, axis=1)[:, None]
    codebook = benchmark.pedantic(
        fit_codebook, ([states], np.arange(20_000) // 100), {"n_codes": 64}, rounds=3, warmup_rounds=1
    )
    assert codebook.centres.shape == (64, 128)


@pytest.fixture(scope="module")
def embedded():
    from extraction import default_model
    from extraction.data import as_sample

    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(16))]
    return default_model.load_model(), default_model.load_processor(), samples


def test_harvest(benchmark, embedded):
    from extraction import harvest

    model, processor, samples = embedded
    assert benchmark(harvest, model, samples, processor=processor, batch_size=16).n_samples == 16


@pytest.mark.parametrize("text", ["identity", "vision_exit(9)", "late_entry(6)", "fastv(3, 0.5)"])
def test_prefill(benchmark, embedded, text):
    import torch

    from extraction.skip import Plan, apply, parse_plan
    from extraction.study.validating import labelled_batch

    model, processor, samples = embedded
    batch = labelled_batch(model, processor, samples)
    inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "pixel_values")}
    with torch.inference_mode(), apply(model, Plan() if text == "identity" else parse_plan(text)):
        logits = benchmark(lambda: model(**inputs, logits_to_keep=1).logits)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("arguments", [("-c", "import redundancy"), ("-m", "redundancy", "--help")], ids=" ".join)
def test_start_up(benchmark, arguments):
    command = [sys.executable, *arguments]
    done = benchmark(subprocess.run, command, capture_output=True, check=True)
    assert done.returncode == 0
