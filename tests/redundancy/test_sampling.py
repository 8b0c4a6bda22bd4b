"""Units and their order: one order whatever the file's, and one value per unit that pandas confirms."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.errors import InvalidInputError
from redundancy.sampling import DEFAULT_SALT, hash_order, order_text, unit_means

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40, unique=True)


@given(NAMES, st.text(max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_the_units_does_not_depend_on_the_order_of_the_file(names, salt, random):
    shuffled = random.sample(names, len(names))
    assert [names[i] for i in hash_order(names, salt)] == [shuffled[i] for i in hash_order(shuffled, salt)]


def test_the_order_is_that_of_sha256_and_another_salt_gives_another():
    names = [f"chart_{i}" for i in range(50)] + [f"photo_{i}" for i in range(50)]
    order = hash_order(names, "s")
    assert sorted(order) == list(range(100))
    digests = [hashlib.sha256(f"1:s{name}".encode()).hexdigest() for name in names]
    assert [digests[i] for i in order] == sorted(digests)
    assert list(order) != list(hash_order(names, "t"))
    assert 15 < sum(i < 50 for i in order[:50]) < 35  # categories are mixed
    assert list(hash_order([3, 1], "s")) == list(hash_order(["3", "1"], "s"))


def test_a_salt_and_a_name_cannot_be_shifted_against_each_other():
    names = [f"{i:03d}" for i in range(30)]
    assert list(hash_order([f"1{name}" for name in names], "")) != list(hash_order(names, "1"))


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_means_of_units_are_those_of_pandas(rows):
    units, values = zip(*rows, strict=True)
    means, names = unit_means(values, units)
    frame = pd.DataFrame({"unit": units, "value": values}).groupby("unit", sort=False)["value"]
    assert names == tuple(dict.fromkeys(units))
    np.testing.assert_allclose(means, [frame.get_group(name).mean() for name in names], rtol=1e-9, atol=1e-9)
    for name, mean in zip(names, means, strict=True):
        assert frame.get_group(name).min() <= mean <= frame.get_group(name).max()


def test_columns_are_averaged_together_and_lengths_must_agree():
    means, names = unit_means([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], [7, 8, 7])
    np.testing.assert_array_equal(means, [[0.5, 0.5], [0.0, 0.0]])
    assert names == ("7", "8")
    with pytest.raises(InvalidInputError, match="one unit for each row of values, got 2 for shape"):
        unit_means([1.0], ["a", "b"])


def test_means_of_units_do_not_depend_on_the_order_of_the_file():
    rng = np.random.default_rng(1)
    values, units, shuffle = rng.random((300, 2)), rng.integers(0, 20, 300), rng.permutation(300)
    first, second = (unit_means(values[rows], units[rows]) for rows in (slice(None), shuffle))
    assert dict(zip(first[1], first[0].tolist(), strict=True)) == dict(zip(second[1], second[0].tolist(), strict=True))


def test_samples_of_one_unit_stay_together_in_the_given_order():
    units = ["a", "b", "a", "c", "b", "a"]
    order = [int(i) for i in hash_order(units, DEFAULT_SALT)]
    assert "".join(units[i] for i in order).replace("aaa", "A").replace("bb", "B").replace("c", "C").isupper()
    for unit in units:
        own = [i for i in order if units[i] == unit]
        assert own == sorted(own)
    assert f'"{DEFAULT_SALT}"' in order_text(DEFAULT_SALT)
