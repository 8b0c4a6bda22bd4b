"""Row kernels: every implementation against one float64 reference, with the same inputs and tolerances."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from extraction.harvesting.kernels import kernels_for
from extraction.harvesting.kernels.layout import COLUMNS, CONSTANT, Layout
from extraction.harvesting.kernels.plain import settle
from extraction.harvesting.stream import harvest
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, MissingExtraError
from redundancy.statistics.harvest_statistics import RATIO_EDGES, default_edges

N_ROWS, N_TOKENS, N_GROUPS, THRESHOLDS = 2, 21, 4, (0.05, 0.2)
RTOL_DISTANCE = 5e-6  # of the float32 formula, measured at 2e-6
RTOL_NORM = 1e-6  # a float32 sum of squares and its root
MARGIN = 2e-5  # no case may lie this close to an edge: its bin would be a matter of rounding
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def implementations():
    """Triton runs here only in a process of its own, or on a GPU."""
    outside = pytest.mark.skipif(not INTERPRETED, reason="runs in test_triton_in_its_interpreter")
    return [
        "plain",
        pytest.param("compile", marks=pytest.mark.slow),
        pytest.param("triton", marks=[needs_triton, outside]),
    ]


# ---------------------------------------------------------------------- cases


def case(width, dtype, seed=1):
    """States of three samples with every kind of row: near, far, equal, opposite, scaled, zero, not finite."""
    rng = np.random.default_rng(seed)
    n = N_ROWS * N_TOKENS
    x = rng.normal(size=(n, width)) * 10 ** rng.uniform(-1, 2, size=(n, 1))
    step = 10 ** rng.uniform(-2, 0.5, size=(n, 1)) * np.linalg.norm(x, axis=1, keepdims=True) / np.sqrt(width)
    y = x * rng.uniform(0.5, 3, size=(n, 1)) + step * rng.normal(size=(n, width))
    x, y = (torch.from_numpy(t).to(dtype) for t in (x, y))
    groups = torch.from_numpy(rng.integers(0, N_GROUPS + 1, size=n))
    mean_x, mean_y = (torch.from_numpy(rng.normal(size=(N_GROUPS + 1, width)).astype(np.float32)) for _ in "xy")
    mean_x[-1] = mean_y[-1] = 0
    y[0] = x[0]
    y[1] = -x[1]
    y[2] = 2 * x[2]
    x[3] = 0
    y[4] = 0
    x[5] = y[5] = 0
    x[6, width // 2] = torch.nan
    y[7, 0] = torch.inf
    x[8] = mean_x[1].to(dtype)  # its centred vector is zero, or rounding
    mean_x[1] = x[8].float()
    groups[:9] = 1
    if dtype == torch.float32:
        x[9] = 1e25  # its square overflows float32
        groups[9] = 2
    return x, y, groups, (mean_x, mean_y)


def layout_of(groups, device="cpu"):
    def table(values):
        return torch.tensor(values, dtype=torch.float64, device=device)

    return Layout(
        n_rows=N_ROWS,
        n_tokens=N_TOKENS,
        n_groups=N_GROUPS,
        groups=groups,
        edges=table(default_edges(THRESHOLDS)[:-1]),
        ratio_edges=table(RATIO_EDGES),
        thresholds=table(THRESHOLDS),
    )


# ---------------------------------------------------------------------- reference: textbook formulas, 80 bits


def exact_values(x, y):
    """Distance and norms by 1 - cos in extended precision."""
    x, y = (t.double().numpy().astype(np.longdouble) for t in (x, y))
    with np.errstate(all="ignore"):
        a2, b2 = (x * x).sum(axis=1), (y * y).sum(axis=1)
        largest = np.finfo(np.float32).max
        a, b = (np.where(s > largest, np.inf, np.sqrt(s)) for s in (a2, b2))
        rho = 1 - (x * y).sum(axis=1) / (a * b)
    rho[(a == 0) != (b == 0)] = 1
    rho[(a == 0) & (b == 0)] = 0
    rho[~(np.isfinite(a) & np.isfinite(b))] = np.nan
    same = (np.isfinite(x).all(axis=1)) & ((x == y).all(axis=1) | (2 * x == y).all(axis=1))
    rho[same] = 0
    return np.stack([rho, a, b]).astype(np.float64)


def exact_sums(values, groups):
    """Loops over tokens, one at a time."""
    edges, ratio_edges = np.array(default_edges(THRESHOLDS)), np.array(RATIO_EDGES)
    sums = np.zeros((N_ROWS, N_GROUPS, len(COLUMNS) + 2 * len(THRESHOLDS)))
    histogram = np.zeros((N_GROUPS, len(edges) + 1), dtype=np.int64)
    ratio_histogram = np.zeros((N_GROUPS, len(ratio_edges) + 1), dtype=np.int64)
    highest = np.full((N_ROWS, N_GROUPS), -np.inf)
    for i, group in enumerate(groups.tolist()):
        if group == N_GROUPS:
            continue
        rho, a, b, centred, short_x, short_y = values[:, i]
        to = dict.fromkeys(COLUMNS, 0.0)
        for side, norm in (("x", a), ("y", b)):
            to[f"finite_{side}"], to[f"nonfinite_{side}"] = np.isfinite(norm), not np.isfinite(norm)
            to[f"zero_{side}"], to[f"norm_{side}"] = norm == 0, norm if np.isfinite(norm) else 0
        tails = [0.0] * (2 * len(THRESHOLDS))
        if not np.isnan(rho):
            to |= {"distance": rho, "pairs": 1, "one_zero": (a == 0) != (b == 0), "both_zero": a == b == 0}
            tails = [rho > t for t in THRESHOLDS] + [rho >= t for t in THRESHOLDS]
            assert all(abs(rho - e) > MARGIN * e for e in edges if rho not in (0, 1) and rho < 1.9)
            histogram[group, 0 if rho == 0 else 1 + (edges[:-1] <= rho).sum()] += 1
            highest[i // N_TOKENS, group] = max(highest[i // N_TOKENS, group], rho)
            if a > 0:
                to |= {"ratio": b / a, "ratio_count": 1}
                assert all(abs(b / a - e) > MARGIN * e or b / a == e for e in ratio_edges)
                ratio_histogram[group, (ratio_edges <= b / a).sum()] += 1
        if not np.isnan(centred):
            constant = short_x <= CONSTANT * a or short_y <= CONSTANT * b
            to |= {"constant": constant, "centred_count": not constant, "centred": 0 if constant else centred}
        sums[i // N_TOKENS, group] += np.array([*to.values(), *tails], dtype=np.float64)
    return sums, histogram, ratio_histogram, highest


def check(kernels, width, dtype, device="cpu"):
    """The one comparison that every implementation must pass."""
    x, y, groups, means = case(width, dtype)
    own = groups
    expected = np.concatenate([exact_values(x, y), exact_values(x.float() - means[0][own], y.float() - means[1][own])])
    x, y, groups = (t.to(device) for t in (x, y, groups))
    values = kernels.row_values(x, y, groups, tuple(m.to(device) for m in means))
    assert values.shape == expected.shape
    assert values.dtype == torch.float32
    found = settle(values).cpu().numpy()
    for row, rtol in zip(range(6), (RTOL_DISTANCE, RTOL_NORM, RTOL_NORM) * 2, strict=True):
        # Differences of float32 states and means carry the rounding of the subtraction.
        atol = 1e-9 if row != 3 else 2e-6
        np.testing.assert_allclose(found[row], expected[row], rtol=rtol, atol=atol, err_msg=f"row {row}")
    layout = layout_of(groups, device)
    two = kernels.reduce_rows(torch.stack([values, values.flip(0).contiguous().flip(0)]), layout)
    sums, histogram, ratio_histogram, highest = exact_sums(expected, own)
    for layer in range(2):
        np.testing.assert_allclose(two.sums[layer].cpu().numpy(), sums, rtol=2 * RTOL_DISTANCE, atol=1e-6)
        np.testing.assert_array_equal(two.histogram[layer].cpu().numpy(), histogram)
        np.testing.assert_array_equal(two.ratio_histogram[layer].cpu().numpy(), ratio_histogram)
        np.testing.assert_allclose(two.highest[layer].cpu().numpy(), highest, rtol=RTOL_DISTANCE)
    plain = kernels.row_values(x, y)
    assert torch.equal(plain.nan_to_num(-1), values[:3].nan_to_num(-1))
    return values


# ---------------------------------------------------------------------- every implementation


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("width", [33, 128])
@pytest.mark.parametrize("name", implementations())
def test_reference(name, width, dtype):
    """Values, sums, counts and histograms of rows of every kind."""
    check(kernels_for(torch.device("cpu"), name), width, dtype)


@pytest.mark.parametrize("name", implementations())
def test_same_bits_every_time(name):
    """A resumed run must equal an uninterrupted one."""
    kernels = kernels_for(torch.device("cpu"), name)
    x, y, groups, means = case(64, torch.float32)
    first, second = (kernels.row_values(x, y, groups, means) for _ in range(2))
    assert torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))
    one, two = (kernels.reduce_rows(v[None], layout_of(groups)) for v in (first, second))
    assert all(torch.equal(p, q) for p, q in zip(one, two, strict=True))


@pytest.mark.parametrize("name", implementations())
def test_states_that_are_not_contiguous(name):
    """A view of a wider tensor, rows and columns with strides of their own."""
    kernels = kernels_for(torch.device("cpu"), name)
    x, y, *_ = case(40, torch.float32)
    wide = torch.zeros(len(x), 100)
    wide[:, 7:47] = x
    expected = kernels.row_values(x, y).nan_to_num(-1)
    assert torch.equal(kernels.row_values(wide[:, 7:47], y).nan_to_num(-1), expected)
    across = x.t().contiguous().t()
    found, expected = (settle(v).nan_to_num(-1) for v in (kernels.row_values(across, y), kernels.row_values(x, y)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["plain", *implementations()[2:]])
def test_harvest_with_each(name, monkeypatch):
    """The harvest of a model gives the same statistics with every kernel."""
    model = tiny_llava(n_layers=2)
    batches = [tiny_batch(model, 2)]
    expected = harvest(model, batches, self_check=False).arrays()
    monkeypatch.setenv("SKIP_IT_KERNEL", name)
    found = harvest(model, batches, self_check=False).arrays()
    assert expected.keys() == found.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, rtol=1e-6, atol=1e-9, err_msg=key)


# ---------------------------------------------------------------------- Triton


@needs_triton
@pytest.mark.skipif(not INTERPRETED, reason="runs in test_triton_in_its_interpreter")
def test_triton_rows_wider_than_the_registers(monkeypatch):
    """Rows read in blocks, the last of them partly filled."""
    from extraction.harvesting.kernels import triton_rows

    monkeypatch.setattr(triton_rows, "_WIDEST", 32)
    check(triton_rows, 100, torch.float32)


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="is the one that starts it")
def test_triton_in_its_interpreter():
    """All of the above for Triton, in a process in which its interpreter is on before the first import."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    arguments = [sys.executable, "-m", "pytest", str(Path(__file__)), "-q", "-k", "triton", "-p", "no:cacheprovider"]
    done = subprocess.run(
        arguments, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed.group(1)) >= 10, done.stdout[-2000:]


@needs_triton
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("width", [33, 4096, 9000])
def test_triton_on_a_gpu(width, dtype):
    """The reference on the device, without a wait in either kernel, and the same bits twice."""
    kernels = kernels_for(torch.device("cuda"))
    assert kernels.__name__.endswith("triton_rows")
    values = check(kernels, width, dtype, "cuda")
    x, y, groups, means = case(width, dtype)
    x, y, groups, means = x.cuda(), y.cuda(), groups.cuda(), tuple(m.cuda() for m in means)
    layout = layout_of(groups, "cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = kernels.row_values(x, y, groups, means)
        one, two = (kernels.reduce_rows(again[None], layout) for _ in range(2))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(again.nan_to_num(-1), values.nan_to_num(-1))
    assert all(torch.equal(p, q) for p, q in zip(one, two, strict=True))


# ---------------------------------------------------------------------- choice


def test_choice(monkeypatch):
    """Plain torch on a CPU; the environment and the argument go before."""
    cpu = torch.device("cpu")
    monkeypatch.delenv("SKIP_IT_KERNEL", raising=False)
    assert kernels_for(cpu).__name__ == "extraction.harvesting.kernels.plain"
    monkeypatch.setenv("SKIP_IT_KERNEL", "compile")
    assert kernels_for(cpu).__name__ == "extraction.harvesting.kernels.compiled"
    assert kernels_for(cpu, "plain").__name__ == "extraction.harvesting.kernels.plain"
    monkeypatch.setenv("SKIP_IT_KERNEL", "fastest")
    with pytest.raises(InvalidInputError, match=r"need a kernel out of .* got 'fastest'"):
        kernels_for(cpu)


def test_triton_asked_for_but_missing(monkeypatch):
    """A sentence that says what to install."""
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "extraction.harvesting.kernels.triton_rows", raising=False)
    with pytest.raises(MissingExtraError, match="pip install triton"):
        kernels_for(torch.device("cpu"), "triton")
