"""Bad input of layer-pair certificates: one sentence that names it; nothing is clipped or renormalised."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redundancy.certificates.pair import LayerPairCertificate
from redundancy.errors import InvalidInputError

X = np.random.default_rng(4).normal(size=(8, 3))
IDS = np.repeat(np.arange(4), 2)


def broken(rows, value):
    array = X.copy()
    array[rows] = value
    return array


BAD_ARRAYS = {
    "shapes": ((X, X[:, :2], IDS), {}, r"of one shape, got \(8, 3\) and \(8, 2\)"),
    "lengths": ((X, X[:7], IDS), {}, r"of one shape, got \(8, 3\) and \(7, 3\)"),
    "one axis": ((X[0], X[0], IDS), {}, r"need x_prev of shape \(n_rows, n_features\)"),
    "empty": ((X[:0], X[:0], IDS[:0]), {}, r"need x_prev of shape"),
    "integers": ((X.astype(int), X, IDS), {}, "need floating-point states in x_prev, got dtype int64"),
    "nan": ((X, broken(5, np.nan), IDS), {}, "need finite values in x_next, got NaN or infinity in row 5"),
    "infinity": ((broken(2, np.inf), X, IDS), {}, "need finite values in x_prev, got NaN or infinity in row 2"),
    "zero": ((broken([1, 6], 0.0), X, IDS), {}, "need non-zero rows in x_prev, got zero vectors in rows 1, 6"),
    "ids short": ((X, X, IDS[:5]), {}, r"need ids, one per row, got shape \(5,\) for 8 rows"),
    "ids nan": ((X, X, np.where(IDS == 0, np.nan, IDS)), {}, "need finite ids"),
    "one image": ((X, X, np.zeros(8, int)), {}, "need at least 2 images, the i.i.d. units"),
    "t high": ((X, X, IDS), {"t": 2.5}, r"need t inside \[0, 2\], got 2.5"),
    "t low": ((X, X, IDS), {"t": -0.1}, r"need t inside \[0, 2\], got -0.1"),
    "t nan": ((X, X, IDS), {"t": math.nan}, "need a finite number for t, got nan"),
    "level": ((X, X, IDS), {"confidence_level": 1.0}, r"need confidence_level inside \(0, 1\)"),
    "estimand": ((X, X, IDS), {"estimand": "token"}, "need an estimand among"),
    "pooled": ((X, X, IDS), {"estimand": "token_pooled"}, "need count_max"),
    "count": ((X, X, IDS), {"estimand": "token_pooled", "count_max": 1}, "need counts of at most count_max=1, got 2"),
    "target": ((X, X, IDS), {"target": np.zeros(7, int)}, r"need one target per row, got shape \(7,\) for 8 rows"),
    "one class": ((X, X, IDS), {"target": np.zeros(8, int)}, "need at least two classes"),
    "seed": ((X, X, IDS), {"seed": -1}, "need seed in 0.., got -1"),
    "seed of a fraction": ((X, X, IDS), {"seed": 0.5}, "need an integer for seed"),
    "masked": ((np.ma.masked_less(X, 0), X, IDS), {}, "need an array without a mask for x_prev"),
    "masked ids": ((X, X, np.ma.masked_equal(IDS, 0)), {}, "need an array without a mask for ids"),
    "masked target": ((X, X, IDS), {"target": np.ma.masked_equal(IDS, 0)}, "need an array without a mask for target"),
    "complex": ((X.astype(complex), X, IDS), {}, "need floating-point states in x_prev, got dtype complex128"),
    "range alone": ((X, X, IDS), {"target_range": (0.0, 1.0)}, "need a target with target_range"),
    "range of labels": ((X, X, IDS), {"target": IDS, "target_range": (0.0, 3.0)}, "need real values as target with"),
    "range reversed": ((X, X, IDS), {"target": X[:, 0], "target_range": (3.0, -3.0)}, "need target_range=.low, high."),
    "range": ((X, X, IDS), {"target": X[:, 0]}, "need target_range"),
}
BAD_LAWS = {
    "negative": ([[0.6, -0.1], [0.2, 0.3]], {}, "need masses >= 0 in joint, got a minimum of -0.1"),
    "sum": ([[0.6, 0.1], [0.2, 0.3]], {}, "need masses of joint that sum to 1, got a sum of 1.2"),
    "nan": ([[math.nan, 0.5], [0.2, 0.3]], {}, "need finite masses in joint, got 1 NaN"),
    "shape": ([[0.5, 0.2, 0.3]], {}, r"need one alphabet for both layers, got shape \(1, 3\)"),
    "empty": ([], {}, "need joint with 2 axes"),
    "distance": ([[0.5, 0.0], [0.0, 0.5]], {"distances": [[0, 3.0], [3.0, 0]]}, r"cosine distances in \[0, 2\]"),
    "asymmetric": ([[0.5, 0.0], [0.0, 0.5]], {"distances": [[0, 1.0], [0.5, 0]]}, "need symmetric distances"),
    "radius": ([[0.5, 0], [0, 0.5]], {"distances": [[0, 1.0], [1.0, 0]], "t": 2.5}, "need t inside"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays_get_one_sentence(name):
    arguments, options, message = BAD_ARRAYS[name]
    with pytest.raises(InvalidInputError, match=message) as error:
        LayerPairCertificate.from_arrays(*arguments, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", BAD_LAWS)
def test_bad_laws_get_one_sentence(name):
    joint, options, message = BAD_LAWS[name]
    with pytest.raises(InvalidInputError, match=message) as error:
        LayerPairCertificate.from_law(joint, **options)
    assert "\n" not in str(error.value)


def test_masked_codes_get_one_sentence():
    with pytest.raises(InvalidInputError, match="need an array without a mask for prev_codes"):
        LayerPairCertificate.from_codes(np.ma.masked_equal([0, 1, 2, 0], 0), [0, 1, 2, 0], [0, 0, 1, 1], n_codes=3)


@pytest.mark.parametrize("codes", [[0, 1, 2, 3], [0, -1, 0, 0], [0.0, 1.0, 0.0, 1.0]])
def test_bad_codes_get_one_sentence(codes):
    with pytest.raises(InvalidInputError, match=r"need integer codes in 0\.\.2 in prev_codes"):
        LayerPairCertificate.from_codes(codes, [0, 1, 2, 0], [0, 0, 1, 1], n_codes=3)
