"""Harvest statistics: algebra of merging, storage, ties at thresholds, and refusals."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redundancy.distances import cosine_distances
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tensors import load_tensors, save_tensors
from redundancy.statistics.from_states import statistics_from_states
from redundancy.statistics.harvest_statistics import (
    BASE_GROUPS,
    RATIO_EDGES,
    HarvestStatistics,
    StatisticsSpec,
    default_edges,
)

SPEC = StatisticsSpec(model="m", model_type="llava", n_layers=2, n_heads=2)


def random_statistics(ids, seed=0, n_layers=2, **options):
    rng = np.random.default_rng([seed, *map(ord, "".join(ids))])
    counts = rng.integers(1, 6, size=len(ids))
    states = [rng.normal(size=(n_layers + 1, n, 3)) for n in counts]
    groups = [list(rng.choice(BASE_GROUPS, size=n)) for n in counts]
    masses = rng.random((len(ids), n_layers, 2)).astype(np.float32)
    return statistics_from_states(states, groups, sample_ids=ids, answer_var=masses, **options)


def assert_equal(a, b):
    """Counts and rows exactly, pooled sums to rounding."""
    assert (a.spec, a.sample_ids) == (b.spec, b.sample_ids)
    for name, array in a.arrays().items():
        if array.dtype == np.int64 or name in ("distance_sums", "entry_sums", "answer_var", "distance_max"):
            np.testing.assert_array_equal(b.arrays()[name], array)
        else:
            np.testing.assert_allclose(b.arrays()[name], array, rtol=1e-12, atol=1e-300)


@settings(deadline=None, max_examples=25)
@given(order=st.permutations("abcd"), sizes=st.lists(st.integers(1, 3), min_size=4, max_size=4))
def test_merge_is_associative_and_commutative(order, sizes):
    ids = {name: [f"{name}{i}" for i in range(n)] for name, n in zip("abcd", sizes, strict=True)}
    part = {name: random_statistics(ids[name]) for name in "abcd"}
    expected = part["a"].merge(part["b"]).merge(part["c"]).merge(part["d"])
    w, x, y, z = (part[name] for name in order)
    assert_equal(w.merge(x).merge(y.merge(z)), expected)
    assert_equal(HarvestStatistics.merge_all([w, x, y, z]), expected)
    expected.validate()


def test_merge_leaves_operands_alone_and_has_an_identity():
    a, b = random_statistics(["a"]), random_statistics(["b"])
    before = a.digest(), b.digest()
    merged = a.merge(b)
    assert (a.digest(), b.digest()) == before
    assert_equal(merged.merge(HarvestStatistics(merged.spec)), merged)
    assert merged.merge(HarvestStatistics(merged.spec)).digest() == merged.digest()
    assert merged.digest() == b.merge(a).digest()


def test_one_run_over_shuffled_samples_is_the_same_state():
    rng = np.random.default_rng(1)
    states = [rng.normal(size=(3, 4, 5)) for _ in range(5)]
    groups = [list(rng.choice(BASE_GROUPS, size=4)) for _ in range(5)]
    masses = rng.random((5, 2, 3))
    order = [3, 0, 4, 2, 1]
    ids = list("vwxyz")

    def run(index):
        return statistics_from_states(
            [states[i] for i in index],
            [groups[i] for i in index],
            sample_ids=[ids[i] for i in index],
            answer_var=masses[index],
        )

    assert_equal(run(order), run(range(5)))


def test_wrong_merges_are_refused():
    a = random_statistics(["a", "b"])
    with pytest.raises(InvalidInputError, match=r"disjoint samples.*'b'"):
        a.merge(random_statistics(["b", "c"]))
    with pytest.raises(InvalidInputError, match="n_layers"):
        a.merge(random_statistics(["c"], n_layers=3))
    with pytest.raises(InvalidInputError, match=r"edges.*thresholds"):
        a.merge(random_statistics(["c"], thresholds=(0.05, 0.123)))
    with pytest.raises(InvalidInputError, match="got none"):
        HarvestStatistics.merge_all([])
    changes = {"model": "n", "dtype": "bfloat16", "pairing": "hf", "n_heads": 3, "revision": "r", "shift_digest": "d"}
    for field, value in changes.items():
        other = HarvestStatistics(dataclasses.replace(SPEC, **{field: value}))
        with pytest.raises(InvalidInputError, match=field):
            HarvestStatistics(SPEC).merge(other)


def test_ties_are_strict_for_below_and_counted_by_the_weak_tail():
    """A distance of exactly t = 0.5: not below t, not above t, at least t."""
    x = np.array([[[1.0, 0.0]], [[0.5, np.sqrt(0.75)]]])
    rho = float(cosine_distances(x[0], x[1])[0])
    t = rho  # the float that comes out, within rounding of one half
    assert t == pytest.approx(0.5)
    stats = statistics_from_states([x], [["vision"]], thresholds=(t,))
    assert stats.tail_counts("vision", t, strict=True).tolist() == [[0]]
    assert stats.tail_counts("vision", t, strict=False).tolist() == [[1]]
    assert stats.fraction_below("vision", t).tolist() == [0]
    above = np.nextafter(t, 1)
    assert statistics_from_states([x], [["vision"]], thresholds=(above,)).fraction_below("vision", above) == 1


def test_edges_hold_written_thresholds_exactly():
    edges = default_edges()
    assert all(t in edges for t in (1e-6, 1e-4, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0))
    steps = np.diff(np.log(edges[:-1]))
    assert 0.08 < steps.min() <= steps.max() < 0.14
    assert 1.0 in RATIO_EDGES


def test_accessors_on_a_case_done_by_hand():
    """Two tokens turned by a right angle, one kept, in one layer; the second sample has no vision token."""
    first = np.array([[[1, 0], [0, 2], [3, 0]], [[0, 1], [0, 4], [0, 3]]], dtype=float)
    second = np.array([[[1, 1]], [[-2, -2]]], dtype=float)
    stats = statistics_from_states([first, second], [["vision", "vision", "words"], ["sink"]], sample_ids=["a", "b"])
    assert stats.token_counts("vision").tolist() == [2, 0]
    assert stats.token_counts("text").tolist() == [1, 1]
    np.testing.assert_allclose(stats.distance_sums("all"), [[2.0], [2.0]])
    np.testing.assert_allclose(stats.mean_distance("vision"), [0.5])
    np.testing.assert_allclose(stats.mean_distance("text"), [1.5])
    np.testing.assert_allclose(stats.image_mean_distance("all"), [(2 / 3 + 2) / 2])
    np.testing.assert_allclose(stats.image_mean_distance("vision"), [0.5])
    assert np.isnan(stats.sample_distances("vision")[1]).all()
    np.testing.assert_allclose(stats.fraction_below("vision"), [0.5])
    np.testing.assert_allclose(stats.tail_counts("vision"), [[1], [0]])
    np.testing.assert_allclose(stats.depth_matrix("vision"), [[0, 0.5], [0.5, 0]])
    np.testing.assert_allclose(stats.mean_norm("vision"), [1.5, 2.5])
    np.testing.assert_allclose(stats.norm_ratio("vision"), [1.5])
    np.testing.assert_allclose(stats.max_distance("text"), [2])
    np.testing.assert_allclose(stats.quantile("all", 1.0), [2])
    np.testing.assert_allclose(stats.quantile("vision", 0.5), [0])
    assert np.isnan(stats.max_distance("special")).all()
    assert np.isnan(stats.quantile("special", 0.5)).all()
    assert stats.group_names == (*BASE_GROUPS, "text", "all")


def test_zero_and_nonfinite_vectors():
    states = np.array([[[0, 0], [0, 0], [1, 0], [np.nan, 1]], [[0, 0], [1, 0], [0, 0], [1, 1]]])
    stats = statistics_from_states([states], [["vision"] * 4])
    np.testing.assert_allclose(stats.distance_sums("vision"), [[2]])
    found = {name: counts.tolist() for name, counts in stats.anomalies("vision").items()}
    assert found == {
        "zero_states": [2, 2],
        "nonfinite_states": [1, 0],
        "one_zero_pairs": [2],
        "both_zero_pairs": [1],
        "excluded_pairs": [1],
        "constant": [0],
    }
    np.testing.assert_allclose(stats.mean_distance("vision"), [2 / 3])


def test_save_and_load_round_trip(tmp_path):
    ids = ["plain", "é/ü", "", "with\nnewline"]
    stats = random_statistics(ids)
    path = tmp_path / "s.safetensors"
    stats.save(path)
    again = HarvestStatistics.load(path)
    assert again.digest() == stats.digest()
    assert again.sample_ids == tuple(sorted(ids))
    empty = HarvestStatistics(SPEC)
    empty.save(path)
    assert HarvestStatistics.load(path).digest() == empty.digest()


def test_digest_sees_every_array_and_the_declaration():
    stats = random_statistics(["a", "b"])
    digests = {stats.digest()}
    arrays = stats.arrays()
    for name, array in arrays.items():
        if array.size:
            digests.add(
                HarvestStatistics(stats.spec, sample_ids=stats.sample_ids, arrays={**arrays, name: array + 1}).digest()
            )
    digests.add(HarvestStatistics(stats.spec, sample_ids=["a", "c"], arrays=arrays).digest())
    digests.add(
        HarvestStatistics(dataclasses.replace(stats.spec, model="n"), sample_ids=["a", "b"], arrays=arrays).digest()
    )
    still = sum(array.size == 0 or bool(np.isinf(array).all() or np.isnan(array).all()) for array in arrays.values())
    assert len(digests) == 3 + len(arrays) - still


def test_torn_altered_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "s.safetensors"
    random_statistics(["a", "b"]).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(StoreError, match="torn"):
        HarvestStatistics.load(path)
    path.write_bytes(raw[:-9] + bytes([raw[-9] ^ 4]) + raw[-8:])
    with pytest.raises(StoreError, match="SHA-256"):
        HarvestStatistics.load(path)
    save_tensors(path, {"a": np.zeros(2)})
    with pytest.raises(StoreError, match="schema"):
        HarvestStatistics.load(path)
    path.write_bytes(raw)
    arrays, metadata = load_tensors(path)
    arrays["tail_strict"] = arrays["tail_strict"] + 9
    save_tensors(path, arrays, metadata)  # well signed, but impossible
    with pytest.raises(StoreError, match="tails"):
        HarvestStatistics.load(path)
    save_tensors(path, {k: v for k, v in arrays.items() if k != "sample_id_bytes"}, metadata)
    with pytest.raises(StoreError, match="consistent"):
        HarvestStatistics.load(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("tail_strict", lambda a: a + 1, "tails"),
        ("histogram", lambda a: a + 1, "histogram"),
        ("token_counts", lambda a: 0 * a, "pairs"),
        ("distance_sums", lambda a: a + 99, "distance sums"),
        ("distance_sums", lambda a: a * np.nan, "distance sums"),
        ("norm_counts", lambda a: a - 99, "negative"),
        ("entry_sums", lambda a: a + 1, "entry"),
        ("exit_sums", lambda a: a + 1, "exit"),
    ],
)
def test_validate_names_what_does_not_fit(name, change, message):
    stats = random_statistics(["a", "b"])
    arrays = stats.arrays()
    stats.validate()
    broken = HarvestStatistics(stats.spec, sample_ids=stats.sample_ids, arrays={**arrays, name: change(arrays[name])})
    with pytest.raises(InvalidInputError, match=message):
        broken.validate()


def test_wrong_arguments_are_refused():
    stats = random_statistics(["a"])
    calls = [
        (lambda: stats.mean_distance("image"), "group"),
        (lambda: stats.fraction_below("text", 0.051), "histogram edge"),
        (lambda: stats.tail_counts("text", 0.1), "threshold"),
        (lambda: stats.quantile("text", 1.5), "q"),
        (lambda: HarvestStatistics(SPEC, sample_ids=["a", "a"]), "unique"),
        (lambda: HarvestStatistics(SPEC, sample_ids=["a"], arrays={"token_counts": np.zeros((2, 4))}), "shape"),
        (lambda: HarvestStatistics(SPEC, arrays={"token_counts": np.zeros((0, 4))}), "int64"),
        (lambda: HarvestStatistics(SPEC, arrays={"typo": np.zeros(1)}), "typo"),
        (lambda: statistics_from_states([np.zeros((2, 3))], [["vision"]]), "arrays"),
        (lambda: statistics_from_states([np.zeros((2, 1, 3))], [["pixels"]]), "pixels"),
        (lambda: statistics_from_states([np.zeros((2, 1, 3))], [[]]), "one group per token"),
        (lambda: StatisticsSpec.from_json("[]"), "declaration"),
        (lambda: StatisticsSpec.from_json('{"model": "m"}'), "declaration"),
    ]
    for call, message in calls:
        with pytest.raises(InvalidInputError, match=message):
            call()
    wrong = {
        "n_layers": 0,
        "groups": ("vision", "vision"),
        "edges": (0.5, 0.1, 2.0),
        "thresholds": (0.0512,),
        "pairing": "x",
        "answer_position": "first",
    }
    for field, value in wrong.items():
        with pytest.raises(InvalidInputError):
            dataclasses.replace(SPEC, **{field: value})


def test_merging_many_shards_is_one_pass(monkeypatch):
    """A hundred shards of one sample, as a run over many workers leaves them: one object is built, not one a pair."""
    one = random_statistics(["a"])
    arrays = one.arrays()
    shards = [HarvestStatistics(one.spec, sample_ids=[f"{i:04d}"], arrays=arrays) for i in range(100)]
    built, make = [], HarvestStatistics.__init__

    def counted(self, *args, **kwargs):
        built.append(self)
        make(self, *args, **kwargs)

    monkeypatch.setattr(HarvestStatistics, "__init__", counted)
    merged = HarvestStatistics.merge_all(shards)
    assert len(built) == 1
    assert merged.n_samples == 100
    np.testing.assert_allclose(merged.mean_distance("all"), one.mean_distance("all"), rtol=1e-10)


def test_statistics_load_no_torch():
    code = "import sys, redundancy.statistics.from_states; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
