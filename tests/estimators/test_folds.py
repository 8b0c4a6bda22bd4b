"""Folds over images: no image split, balanced, the same whatever the order of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.folds import image_folds, streamed_folds
from redundancy.errors import InvalidInputError


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=10, max_size=40),
    folds=st.integers(2, 5),
    seed=st.integers(0, 3),
    shuffle=st.integers(0, 99),
)
def test_images_are_whole_folds_balanced_and_order_free(sizes, folds, seed, shuffle):
    ids = np.repeat([f"image {i}" for i in range(len(sizes))], sizes)
    split = image_folds(ids, len(ids), folds=folds, random_state=seed)
    for name in set(ids):
        assert len(set(split.row_fold[ids == name])) == 1
        assert len(set(split.row_half[ids == name])) == 1
    per_fold = np.bincount(split.fold, minlength=folds)
    assert per_fold.max() - per_fold.min() <= 1
    cells = np.bincount(split.fold * 2 + split.half, minlength=2 * folds)
    assert cells.min() >= 1
    order = np.random.default_rng(shuffle).permutation(len(ids))
    again = image_folds(ids[order], len(ids), folds=folds, random_state=seed)
    np.testing.assert_array_equal(again.row_fold, split.row_fold[order])
    np.testing.assert_array_equal(again.row_half, split.row_half[order])


def test_another_seed_is_another_split():
    ids = np.arange(100)
    first, second = (image_folds(ids, 100, random_state=s).row_fold for s in (0, 1))
    assert (first != second).mean() > 0.5


def test_streamed_folds_depend_on_the_name_alone():
    ids = np.array([f"image {i}" for i in range(4000)])
    whole = streamed_folds(ids, 4000, folds=5, random_state=3)
    np.testing.assert_array_equal(whole[2500:], streamed_folds(ids[2500:], 1500, folds=5, random_state=3))
    counts = np.bincount(whole, minlength=5)
    assert counts.min() > 700, "five folds of about 800"


@pytest.mark.parametrize(
    ("ids", "folds", "message"),
    [
        (["a"] * 10, 5, "got 1 image "),
        (np.arange(6), 5, "at least 2 images in each of 5 folds, got 6"),
        (np.arange(4), 2, "ids, one per row"),
        (np.full(6, np.nan), 2, "finite ids"),
        (np.arange(6), 1, "folds"),
    ],
)
def test_bad_ids_are_refused(ids, folds, message):
    with pytest.raises(InvalidInputError, match=message):
        image_folds(ids, 6 if len(ids) != 10 else 10, folds=folds)
