"""The streaming pass: equal to one-shot numpy float64, for every dtype, mapped or not, in any order of rows."""

from __future__ import annotations

import json
import mmap
import struct
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redundancy import distances
from redundancy.distances import cosine_distances
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.arrays import open_array
from redundancy.files.mapped import Pages
from redundancy.files.tensors import BFloat16Array, save_tensors
from redundancy.statistics.streaming import index_images, pair_sums

THRESHOLDS = (0.0, 0.05, 0.5, 1.0)
DISTANCE = 1e-14  # what the docstring promises of one distance


def one_shot(x, y, ids):
    """Sums, tails and counts of each image by plain numpy in float64, images in order of first appearance."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    rho = 1.0 - (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    names = list(dict.fromkeys(ids))
    rows = [np.array([i == name for i in ids]) for name in names]
    return (
        names,
        np.array([rho[r].sum() for r in rows]),
        np.array([[(rho[r] > t).sum() for t in THRESHOLDS] for r in rows]),
    )


def states(n, d, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    return x.astype(dtype), (x + 0.4 * rng.standard_normal((n, d))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (5000, 16), (700, 4096)])
def test_equals_one_shot_numpy(dtype, shape):
    x, y = states(*shape, dtype)
    ids = np.random.default_rng(1).integers(0, 9, shape[0])
    sums = pair_sums(x, y, ids, thresholds=THRESHOLDS)
    names, distances, tails = one_shot(x, y, ids)
    assert sums.index.names == tuple(str(n) for n in names)
    np.testing.assert_allclose(sums.distance_sums, distances, rtol=0, atol=DISTANCE * shape[0])
    assert np.array_equal(sums.tail_counts[:, 1:], tails[:, 1:])  # at t = 0 rounding decides
    assert sums.histogram.sum() == shape[0]
    assert np.array_equal(sums.index.counts, np.bincount(sums.index.rows))


@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.integers(-3, 3), min_size=2, max_size=2), st.lists(st.integers(-3, 3), min_size=2, max_size=2)
        ).filter(lambda pair: any(pair[0]) and any(pair[1])),
        min_size=1,
        max_size=12,
    ),
    ids=st.lists(st.sampled_from("abc"), min_size=12, max_size=12),
)
@settings(deadline=None, max_examples=80, derandomize=True)
def test_distances_of_small_integers(rows, ids):
    """Ties, equal, opposite and orthogonal vectors; strict and closed tails are told apart where rho is exact."""
    x, y = (np.array([pair[k] for pair in rows], np.float64) for k in (0, 1))
    sums = pair_sums(x, y, ids[: len(rows)], thresholds=(0.0, 1.0, 2.0))
    rho = cosine_distances(x, y)  # by another formula
    names = list(dict.fromkeys(ids[: len(rows)]))
    for name, total, strict, closed in zip(
        names, sums.distance_sums, sums.tail_counts, sums.closed_tail_counts, strict=True
    ):
        own = np.array([i == name for i in ids[: len(rows)]])
        assert total == pytest.approx(rho[own].sum(), abs=1e-12)
        cosines = (x[own] * y[own]).sum(axis=1)  # integers: exact signs
        assert strict[1] == (cosines < 0).sum()
        assert closed[1] == (cosines <= 0).sum()
        assert closed[0] == own.sum()
        assert strict[2] == 0


def test_equal_rows_are_at_distance_zero():
    """Not at 1e-17: the strict tail at t = 0 counts rows that moved."""
    x, _ = states(500, 37, np.float32)
    sums = pair_sums(x, x.copy(), np.arange(500), thresholds=(0.0,))
    assert sums.distance_sums.max() == 0.0
    assert sums.tail_counts.sum() == 0
    assert sums.histogram[0] == 500


def test_order_and_blocks_do_not_matter(monkeypatch):
    """Rows in any order, in blocks of any size, and summed part by part: the same counts, sums to rounding."""
    x, y = states(3000, 24)
    ids = np.arange(3000) % 17
    whole = pair_sums(x, y, ids, thresholds=THRESHOLDS)
    order = np.random.default_rng(3).permutation(3000)
    mixed = pair_sums(x[order], y[order], ids[order], thresholds=THRESHOLDS)
    place = [mixed.index.names.index(name) for name in whole.index.names]
    parts = [pair_sums(x[s], y[s], ids[s], thresholds=THRESHOLDS) for s in (slice(1700, 3000), slice(0, 1700))]
    monkeypatch.setattr(distances, "_TASK", 24 * 100)
    monkeypatch.setattr(distances, "_BUFFER", 24 * 8 * 7)
    fine = pair_sums(x, y, ids, thresholds=THRESHOLDS)
    merged = {n: sum(p.distance_sums[p.index.names.index(n)] for p in parts) for n in whole.index.names}
    for other in (mixed.distance_sums[place], fine.distance_sums, [merged[n] for n in whole.index.names]):
        np.testing.assert_allclose(other, whole.distance_sums, rtol=1e-12)
    assert np.array_equal(mixed.tail_counts[place], whole.tail_counts)
    assert np.array_equal(fine.tail_counts, whole.tail_counts)
    assert np.array_equal(parts[0].histogram + parts[1].histogram, whole.histogram)


def test_number_of_threads_does_not_change_a_bit(monkeypatch):
    x, y = states(2000, 64, np.float32)
    monkeypatch.setattr(distances, "_TASK", 64 * 128)
    many = pair_sums(x, y, np.arange(2000) % 5)
    monkeypatch.setattr(distances, "_MOST_THREADS", 1)
    assert np.array_equal(pair_sums(x, y, np.arange(2000) % 5).distance_sums, many.distance_sums)


def test_extreme_norms():
    """Squares that leave the range of floats do not spoil a distance."""
    x = np.array([[1e-200, 0.0], [1e200, 0.0], [5e-324, 0.0], [1.0, 0.0]])
    y = np.array([[1e-200, 1e-200], [1e200, 1e200], [1.0, 1.0], [1e-300, 1e300]])
    expected = [1 - 0.5**0.5] * 3 + [1.0]
    np.testing.assert_allclose(pair_sums(x, y, np.arange(4)).distance_sums, expected, rtol=1e-12)
    tiny = np.full((3, 4), 6e-8, np.float16)  # smallest subnormal
    assert pair_sums(tiny, -tiny, [0, 1, 2]).distance_sums.tolist() == [2.0, 2.0, 2.0]


# ------------------------------------------------------------------ files


def bfloat16_bits(x):
    """Upper half of float32, the textbook conversion by truncation."""
    return np.array([struct.unpack("<H", struct.pack("<f", v)[2:])[0] for v in x.ravel()], np.uint16).reshape(x.shape)


def test_every_file_format_gives_the_same_sums(tmp_path):
    x, y = states(300, 32, np.float16)
    ids = np.repeat(np.arange(30), 10)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "xy.npz", x=x, y=y)
    save_tensors(tmp_path / "xy.safetensors", {"x": x, "y": y}, {})
    expected = pair_sums(x, y, ids).distance_sums
    for first, second in (("x.npy", "y.npy"), ("xy.npz:x", "xy.npz:y"), ("xy.safetensors:x", "xy.safetensors:y")):
        opened = [open_array(f"{tmp_path}/{name}") for name in (first, second)]
        assert np.array_equal(pair_sums(*opened, ids).distance_sums, expected)


def test_bfloat16_is_read_exactly(tmp_path):
    x, y = states(50, 8, np.float32)
    bits = [bfloat16_bits(a) for a in (x, y)]
    exact = [(b.astype(np.uint32) << 16).view(np.float32) for b in bits]
    places = {"x": [0, 800], "y": [800, 1600]}
    entries = {name: {"dtype": "BF16", "shape": [50, 8], "data_offsets": place} for name, place in places.items()}
    header = json.dumps(entries).encode()
    path = tmp_path / "states.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bits[0].tobytes() + bits[1].tobytes())
    opened = [open_array(f"{path}:{name}") for name in "xy"]
    assert all(isinstance(a, BFloat16Array) for a in opened)
    ids = np.arange(50) // 5
    assert np.array_equal(pair_sums(*opened, ids).distance_sums, pair_sums(*exact, ids).distance_sums)


def test_mapped_files_are_read_whole_and_their_pages_given_back(tmp_path):
    """The same bits as in memory, a map that still works afterwards, and fewer resident pages than the file has."""
    x, y = states(6000, 512, np.float32)
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in "xy"]
    ids = np.arange(6000) // 10
    assert np.array_equal(pair_sums(*mapped, ids).distance_sums, pair_sums(x, y, ids).distance_sums)
    assert np.array_equal(mapped[0], x)
    part = pair_sums(mapped[0][101:5003], mapped[1][101:5003], ids[101:5003])
    assert np.array_equal(part.distance_sums, pair_sums(x[101:5003], y[101:5003], ids[101:5003]).distance_sums)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="pages are given back where the system offers it")
def test_release_frees_read_only_maps_and_spares_private_ones(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4096, 1024)))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    resident = lambda: int(next(r for r in open("/proc/self/status") if r.startswith("RssFile")).split()[1])  # noqa: E731, SIM115
    mapped.sum()
    full = resident()
    Pages(mapped).release()
    assert resident() < full - 20_000  # KiB, of 32 MiB
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[:] = 7.0
    Pages(private).release()
    Pages(private[3:]).release()
    Pages(np.ones((3, 3))).release()
    assert (private == 7.0).all()


def test_extra_memory_is_small():
    x, y = (np.broadcast_to(a, (60_000, 2048)) for a in states(1, 2048, np.float32))  # 1 GiB in name only
    tracemalloc.start()
    try:
        pair_sums(x, y, np.arange(60_000) // 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20, peak


# ------------------------------------------------------------------ bad input and interruption


@pytest.mark.parametrize("row", [0, 3, 4999])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "need finite values in x_next, got NaN or infinity in row"),
        (0.0, "need non-zero rows in x_next, got zero vectors in row"),
    ],
)
def test_broken_rows_are_named(row, value, message, monkeypatch):
    monkeypatch.setattr(distances, "_TASK", 4 * 1000)
    x, y = states(5000, 4, np.float32)
    y[row] = value
    with pytest.raises(InvalidInputError, match=f"{message} {row};?"):
        pair_sums(x, y, np.arange(5000))


def test_threads_end_after_an_error():
    x, y = states(20_000, 64)
    y[0, 0] = np.nan
    before = threading.active_count()
    with pytest.raises(InvalidInputError):
        pair_sums(x, y, np.arange(20_000))
    assert threading.active_count() == before


def test_progress_counts_every_row():
    x, y = states(5000, 8)
    done = []
    pair_sums(x, y, np.zeros(5000, int), progress=done.append)
    assert sum(done) == 5000


@pytest.mark.parametrize("ids", [[[0, 1], [1, 2]], [0, 1, 2], [None, None], [0.0, np.inf]])
def test_bad_ids(ids):
    with pytest.raises(InvalidInputError, match=r"^need "):
        index_images(np.array(ids), 2)


@pytest.mark.parametrize("t", [-0.1, 2.1, np.nan, "0.1"])
def test_thresholds_outside_the_range(t):
    with pytest.raises(InvalidInputError, match="threshold"):
        pair_sums(*states(4, 2), np.arange(4), thresholds=(t,))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"\x93NUMPY\x01\x00", "need an intact array file"),
        ("a.npz", b"PK\x03\x04", "a.npz gives"),
        ("a.safetensors", struct.pack("<Q", 10**6) + b"{}", "need an intact safetensors file"),
        ("a.safetensors", struct.pack("<Q", 2) + b"[]", "need an intact safetensors file"),
        ("a.pt", b"anything", "need an array in .npy, .npz, .safetensors"),
    ],
)
def test_broken_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError, match=message):
        open_array(tmp_path / name)


def test_damage_inside_an_archive_is_found(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=500))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[1000:1100] = bytes(100)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(StoreError, match="need an intact array file"):
        open_array(tmp_path / "a.npz")


def test_a_torn_mapped_file_is_found(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(500))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-8])
    with pytest.raises(StoreError, match="need an intact array file"):
        open_array(tmp_path / "a.npy")


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match="without pickled objects"):
        open_array(tmp_path / "a.npy")


def test_one_of_several_arrays_must_be_named(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.ones(2), two=np.ones(2))
    with pytest.raises(InvalidInputError, match=r"out of \['one', 'two'\]; no name was given"):
        open_array(tmp_path / "a.npz")
    with pytest.raises(InvalidInputError, match="'three' was asked for"):
        open_array(f"{tmp_path}/a.npz:three")


def test_every_form_of_the_cosine_distance_is_one_distance():
    """Rows, blocks, rows with a policy for zeros, all pairs, and the torch kernel, on scales from 1e-200 to 1e200."""
    import torch

    from extraction.harvesting.kernels.plain import pair_distances, pairwise_distances

    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 17)) * 10.0 ** rng.integers(-200, 200, size=(300, 1))
    y = x * rng.uniform(0.5, 2.0, size=(300, 1)) + np.abs(x).max(axis=1, keepdims=True) * rng.normal(size=(300, 17))
    rows = distances.cosine_distance(y, x)
    blocks = np.concatenate([rho for _, rho in distances.cosine_distance_blocks(x, y)])
    pairs = np.array([distances.pairwise_cosine_distance(np.stack([a, b]))[0, 1] for a, b in zip(x, y, strict=True)])
    scaled = [torch.tensor(z / np.abs(z).max(axis=1, keepdims=True)) for z in (x, y)]
    by_torch = pair_distances(*scaled)[0].numpy()
    middle = (np.abs(x).max(axis=1) > 1e-100) & (np.abs(x).max(axis=1) < 1e100)
    np.testing.assert_allclose(by_torch, rows, rtol=3e-6, atol=3e-7)  # in float32
    for other in (blocks, pairs):
        np.testing.assert_allclose(other, rows, rtol=0, atol=1e-14)
    x, y = x[middle], y[middle]
    np.testing.assert_allclose(cosine_distances(x, y), rows[middle], rtol=0, atol=1e-14)
    vectors = torch.stack([*(z[:5].float() for z in scaled), torch.zeros(5, 17), torch.full((5, 17), torch.nan)], dim=1)
    vectors[4, 2:] = 0.0  # two zeros
    whole = vectors.double().numpy()
    expected = cosine_distances(whole[:, :, None], whole[:, None])
    assert {0.0, 1.0} <= set(expected[:, 2].ravel())
    np.testing.assert_allclose(pairwise_distances(vectors).numpy(), expected, rtol=3e-6, atol=3e-7)
