"""The door for arrays: every library's arrays give the values that their owner sees, or one sentence."""

import array as python_arrays
import subprocess
import sys
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from redundancy.checks import as_floats, as_labels, as_states, to_numpy
from redundancy.errors import InputWarning, InvalidInputError

ROWS = np.array([[1.0, 2.0], [-3.5, 0.25], [0.0, 7.0]])
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])


class Foreign:
    """What has __array__ alone."""

    def __array__(self, dtype=None, copy=None):
        return ROWS.astype(dtype or np.float64)


class Capsule:
    """What has DLPack alone."""

    def __dlpack__(self, **options):
        return ROWS.__dlpack__(**options)

    def __dlpack_device__(self):
        return ROWS.__dlpack_device__()


NUMBERS = {
    "list": ROWS.tolist(),
    "tuple of arrays": tuple(ROWS),
    "fortran": np.asfortranarray(ROWS),
    "big endian": ROWS.astype(">f8"),
    "float16": ROWS.astype(np.float16),
    "matrix": np.asmatrix(ROWS),
    "objects": ROWS.astype(object),
    "fractions": [[Fraction(x) for x in row] for row in ROWS],
    "decimals": [[Decimal(x) for x in row] for row in ROWS],
    "array.array": [python_arrays.array("d", row) for row in ROWS],
    "object column of arrays": pd.Series(list(ROWS)),
    "torch": torch.tensor(ROWS),
    "torch with grad": torch.tensor(ROWS, requires_grad=True),
    "torch parameter": torch.nn.Parameter(torch.tensor(ROWS)),
    "torch bfloat16": torch.tensor(ROWS, dtype=torch.bfloat16),
    "torch float8": torch.tensor(ROWS, dtype=torch.float8_e5m2),
    "torch negated view": torch.tensor(-ROWS * 1j).imag.clone(),
    "torch conjugate": torch.complex(torch.tensor(ROWS), torch.tensor(-ROWS)).conj().imag,
    "list of bfloat16 rows": list(torch.tensor(ROWS, dtype=torch.bfloat16, requires_grad=True)),
    "frame": FRAME,
    "nullable frame": FRAME.convert_dtypes(),
    "frame of objects": FRAME.astype(object),
    "arrow-backed frame": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "sliced frame": pd.concat([FRAME, FRAME])[3:],
    "polars": pl.DataFrame(ROWS, schema=["a", "b"], orient="row"),
    "polars lazy": pl.DataFrame(ROWS, schema=["a", "b"], orient="row").lazy(),
    "polars array column": pl.Series(ROWS, dtype=pl.Array(pl.Float64, 2)),
    "polars list column": pl.Series(ROWS.tolist()),
    "arrow table": pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]}),
    "arrow batch": pa.record_batch({"a": ROWS[:, 0], "b": ROWS[:, 1]}),
    "arrow lists": pa.array(ROWS.tolist()),
    "arrow fixed lists": pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 2),
    "__array__": Foreign(),
    "dlpack": Capsule(),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_every_library_are_the_same_numbers(name):
    found = as_floats(NUMBERS[name], "x")
    expected = -ROWS if name == "torch negated view" else ROWS
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def test_an_array_is_not_copied_and_states_stay_where_they_are(tmp_path):
    assert as_floats(ROWS, "x") is ROWS
    np.save(tmp_path / "x.npy", ROWS)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(as_states(mapped, "x"), mapped)
    assert as_states(torch.tensor(ROWS, dtype=torch.float32), "x").dtype == np.float32


TEXT = ["b", "a ", "b"]
LABELS = {
    "list": (TEXT, "text"),
    "objects": (np.array(TEXT, dtype=object), "text"),
    "bytes": ([t.encode() for t in TEXT], "text"),
    "StringDType": (
        np.array(TEXT, dtype=np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else TEXT,
        "text",
    ),
    "pandas text": (pd.Series(TEXT), "text"),
    "pandas string": (pd.Series(TEXT, dtype="string"), "text"),
    "pandas arrow text": (pd.Series(TEXT, dtype=pd.ArrowDtype(pa.string())), "text"),
    "categories": (pd.Series(TEXT, dtype="category"), "text"),
    "Categorical": (pd.Categorical(TEXT), "text"),
    "index": (pd.Index(TEXT), "text"),
    "frame of one column": (pd.DataFrame({"id": TEXT}), "text"),
    "polars": (pl.Series(TEXT), "text"),
    "polars categories": (pl.Series(TEXT, dtype=pl.Categorical), "text"),
    "polars enum": (pl.Series(TEXT, dtype=pl.Enum(["a ", "b"])), "text"),
    "arrow": (pa.array(TEXT), "text"),
    "arrow chunks": (pa.chunked_array([TEXT[:1], TEXT[1:]]), "text"),
    "arrow dictionary": (pa.array(TEXT).dictionary_encode(), "text"),
    "integers": ([7, 2, 7], "numbers"),
    "big integers": ([2**63 + 5, 1, 2**63 + 5], "big"),
    "objects of integers": (np.array([7, 2, 7], dtype=object), "numbers"),
    "nullable integers": (pd.Series([7, 2, 7], dtype="Int64"), "numbers"),
    "categories of integers": (pd.Series([7, 2, 7], dtype="category"), "numbers"),
    "torch": (torch.tensor([7, 2, 7]), "numbers"),
    "list of scalars": (list(torch.tensor([7, 2, 7])), "numbers"),
    "range": (range(7, 10), "range"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_library_are_the_same_labels(name):
    given, kind = LABELS[name]
    wanted = {"text": ["b", "a", "b"], "numbers": [7, 2, 7], "big": [2**63 + 5, 1, 2**63 + 5], "range": [7, 8, 9]}[kind]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert as_labels(given, "ids", 3).tolist() == wanted
    said = [str(w.message) for w in caught if issubclass(w.category, InputWarning)]
    assert said == (["blanks at the end of 1 of the ids were left out, the first in row 1"] if kind == "text" else [])


BAD = {
    "NaN among objects": (as_floats, np.array([1.0, None, 2.0], dtype=object), "none .* in row 1 of x"),
    "NA": (as_floats, pd.Series([1, 2, None], dtype="Int64"), "row 2 of x"),
    "NA in a frame": (as_floats, pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([1, None], "Int64")}), "row 1 of x"),
    "null": (as_floats, pl.Series([None, 1.0]), "null in row 0 of x"),
    "null in arrow": (as_floats, pa.array([1.0, None]), "null in row 1 of x"),
    "NaN beside text": (as_labels, ["a", float("nan"), "b"], "row 1 of x"),
    "NaN as id": (as_labels, [1.0, float("nan")], "NaN or infinity in row 1 of x"),
    "None as id": (as_labels, ["a", None], "row 1 of x"),
    "None in pandas text": (as_labels, pd.Series(["a", None]), "row 1 of x"),
    "None in a categorical": (as_labels, pd.Categorical(["a", None]), "row 1 of x"),
    "missing category": (as_labels, pa.array(["a", None]).dictionary_encode(), "row 1 of x"),
    "empty id": (as_labels, ["a", "  "], "not empty.* row 1 of x"),
    "text and numbers": (as_labels, ["1", 1], "one kind of values in x, got text and integers"),
    "floats that merge": (as_labels, [2.0**53, 2.0**53 + 2], "told apart"),
    "NUL": (as_labels, ["a", "a\0"], "NUL"),
    "two columns": (as_labels, pd.DataFrame({"i": ["0", "1"], "image": ["a", "b"]}), r"got 2 \(i, image\); choose"),
    "dates": (as_labels, pd.Series(pd.to_datetime(["2020-01-01"])), "got dates"),
    "text in a frame": (as_floats, pd.DataFrame({"a": [1.0], "name": ["b"]}), "text or times in name"),
    "structured": (as_floats, np.zeros(2, dtype=[("a", "f8")]), "pass one field"),
    "masked": (as_floats, np.ma.array([1.0], mask=[True]), "without a mask"),
    "sparse": (as_floats, scipy.sparse.csr_array(ROWS), "dense array for x, got a sparse"),
    "sparse tensor": (as_floats, torch.tensor(ROWS).to_sparse(), "dense array for x, got a sparse"),
    "complex tensor": (as_floats, torch.tensor([1j]), "got complex numbers"),
    "meta tensor": (as_floats, torch.zeros(2, device="meta"), "meta device"),
    "ragged": (as_floats, [[1.0], [1.0, 2.0]], "parts of different length"),
    "ragged tensors": (as_floats, [torch.ones(1), torch.ones(2)], "parts of different length"),
    "ragged lists in polars": (as_floats, pl.Series([[1.0], [1.0, 2.0]]), "parts of different length"),
    "overflow of long doubles": (as_floats, np.array([np.longdouble("1e400")]), "beyond 1.8e308"),
    "overflow of integers": (as_floats, [10**400], "beyond the range of floats"),
    "overflow of decimals": (as_floats, [Decimal("1e400")], "overflows to infinity"),
    "dict": (as_floats, {"a": 1.0}, "need numbers or text in x, got dict"),
    "generator": (as_floats, (x for x in [1.0]), "got generator"),
    "module": (as_floats, torch.nn.Linear(1, 1), "need a tensor or an array"),
    "integer states": (as_states, [[1, 2]], "floating-point states in x"),
    "one row": (as_states, [1.0, 2.0], r"shape \(n_rows, n_features\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_would_lose_something_is_refused_in_one_sentence(name):
    door, given, message = BAD[name]
    with pytest.raises(InvalidInputError, match=message) as caught:
        door(given, "x")
    assert "\n" not in str(caught.value)


def test_a_foreign_error_becomes_a_sentence_with_its_cause():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise RuntimeError("outer\nline") from error

    with pytest.raises(InvalidInputError, match=r"Broken gives: outer line; because: 'inner'"):
        to_numpy(Broken(), "x")


def test_a_door_imports_no_library():
    code = "import sys, redundancy.checks as c; c.as_labels(['a'], 'x'); c.as_floats([1], 'x'); print([m for m in "
    code += "('torch', 'pandas', 'polars', 'pyarrow', 'xarray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_heading_is_named_when_it_is_one_label_too_many():
    with pytest.raises(InvalidInputError, match="if the first, 'image_id', is a heading, leave it out"):
        as_labels(["image_id", "a", "b"], "ids", 2)


def test_numbers_of_numpy_are_stored_as_json():
    from redundancy.risk import control_risk

    control = control_risk(
        [[0] * 90], names=["a"], costs=[1.0], risk=np.float32(0.0625), confidence_level=np.float64(0.9)
    )
    assert '"risk": 0.0625' in control.to_json()


def test_a_probe_that_cannot_be_fitted_is_one_sentence_with_its_cause():
    linear_model = pytest.importorskip("sklearn.linear_model")
    from estimators import functional_redundancy

    ids = np.repeat(np.arange(40), 3)
    x = np.random.default_rng(0).standard_normal((120, 3))
    with pytest.raises(InvalidInputError, match=r"LogisticRegression gives on \d+ rows with 1 of 2 classes"):
        functional_redundancy(x, x, (ids == 3).astype(int), ids=ids, probe=linear_model.LogisticRegression())
