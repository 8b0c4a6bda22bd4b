"""The public strategies: exact where they say so, reaching the shapes they promise, and shrinking to little."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from proofs_check import strategies as ours
from redundancy.errors import InvalidInputError

QUICK = settings(deadline=None, max_examples=80, derandomize=True, database=None)


@QUICK
@given(joint=ours.joint_pmfs(n_variables=3, exact=True))
def test_exact_joints_are_laws(joint):
    assert joint.ndim == 3
    assert joint.sum() == Fraction(1)
    assert all(isinstance(p, Fraction) and p >= 0 for p in joint.ravel())


@QUICK
@given(joint=ours.joint_pmfs(sizes=(2, 5)))
def test_float_joints_have_the_sizes_asked_for(joint):
    assert joint.shape == (2, 5)
    assert joint.dtype == np.float64
    assert joint.sum() == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    "shape",
    [
        lambda j: j.shape[0] == 1,
        lambda j: j.shape == (3, 3) and np.count_nonzero(j - np.diag(np.diag(j))) == 0 and np.count_nonzero(j) == 3,
        lambda j: min(j.shape) > 1 and (j > 0).all() and np.allclose(j, np.outer(j.sum(1), j.sum(0)), atol=1e-15),
        lambda j: j.shape == (3, 3) and np.count_nonzero(j) == 3 and (j > 0).sum(0).max() == 1 and j[0, 0] == 0,
        lambda j: j.size > 4 and np.count_nonzero(j) == 1,
    ],
)
def test_degenerate_shapes_are_reached(shape):
    search = settings(max_examples=3000, deadline=None, derandomize=True, database=None)
    assert shape(find(ours.joint_pmfs(), shape, settings=search))


@pytest.mark.parametrize("chain", ["prev-next-task", "next-prev-task"])
@QUICK
@given(data=st.data())
def test_chains_hold_exactly(chain, data):
    law = data.draw(ours.markov_chains(chain, exact=True))
    # P(x, y, z) P(middle) = P(middle, z) P(x, y), in Fractions.
    pair = law.sum(axis=2)
    reading = law.sum(axis=1) if chain == "prev-next-task" else law.sum(axis=0)
    middle = pair.sum(axis=1) if chain == "prev-next-task" else pair.sum(axis=0)
    for x, y, z in np.ndindex(*law.shape):
        m = x if chain == "prev-next-task" else y
        assert law[x, y, z] * middle[m] == reading[m, z] * pair[x, y]


def test_the_two_chains_differ():
    """A chain of one direction need not be one of the other, else the strategy would draw too little."""

    def breaks_other(law):
        pair, reading, middle = law.sum(axis=2), law.sum(axis=0), law.sum(axis=(0, 2))
        return any(law[x, y, z] * middle[y] != reading[y, z] * pair[x, y] for x, y, z in np.ndindex(*law.shape))

    assert breaks_other(find(ours.markov_chains(exact=True), breaks_other, settings=QUICK))


@QUICK
@given(data=st.data())
def test_couplings_keep_both_marginals(data):
    first = data.draw(ours.joint_pmfs(n_variables=1, exact=True))
    second = data.draw(ours.joint_pmfs(n_variables=1, exact=True))
    joint = data.draw(ours.couplings(list(first), list(second), exact=True))
    assert joint.sum(axis=1).tolist() == first.tolist()
    assert joint.sum(axis=0).tolist() == second.tolist()


@QUICK
@given(data=st.data(), deterministic=st.booleans())
def test_channels_have_rows_that_sum_to_one(data, deterministic):
    rows = data.draw(ours.channels(3, 2, deterministic=deterministic, exact=True))
    assert rows.sum(axis=1).tolist() == [1, 1, 1]
    assert not deterministic or set(rows.ravel()) <= {0, 1}


@QUICK
@given(data=st.data(), dims=st.integers(1, 4))
def test_unit_vectors_are_exactly_on_the_sphere(data, dims):
    rows = data.draw(ours.unit_vectors(dims, count=2, exact=True))
    assert (rows * rows).sum(axis=1).tolist() == [1, 1]
    assert tuple(rows[0]) != tuple(rows[1])


@QUICK
@given(rho=ours.symmetric_distances(4, exact=True))
def test_distances_are_symmetric_with_zero_diagonal(rho):
    assert (rho == rho.T).all()
    assert np.diag(rho).tolist() == [0] * 4
    assert all(0 <= r <= 2 for r in rho.ravel())


@QUICK
@given(points=ours.codebooks(4, 2))
def test_codebooks_are_distinct(points):
    assert len({tuple(p) for p in points}) == 4


@QUICK
@given(sample=ours.clustered_samples())
def test_samples_are_in_range(sample):
    assert 1 <= len(sample) <= 12
    assert all(image.ndim == 1 and 0 <= image.min() <= image.max() <= 1 for image in sample)


def test_a_violated_claim_shrinks_to_a_readable_law():
    """The claim "X = Y" is false; the smallest law that shows it has two symbols on one side and one atom."""
    search = settings(max_examples=2000, deadline=None, derandomize=True, database=None)
    found = find(
        ours.joint_pmfs(exact=True), lambda j: any(j[c] for c in np.ndindex(*j.shape) if c[0] != c[1]), settings=search
    )
    assert found.size == 2
    assert sorted(found.ravel()) == [0, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: ours.joint_pmfs(sizes=()),
        lambda: ours.joint_pmfs(max_weight=0),
        lambda: ours.markov_chains("task-prev-next"),
        lambda: ours.couplings([Fraction(1, 2)], [Fraction(1)]),
        lambda: ours.unit_vectors(0),
        lambda: ours.symmetric_distances(0),
        lambda: ours.codebooks(99, 1),
        lambda: ours.channels(0, 1),
        lambda: ours.clustered_samples(n_images=(0, 1)),
    ],
)
def test_wrong_arguments_are_refused_at_once(call):
    with pytest.raises(InvalidInputError, match="need"):
        call()
