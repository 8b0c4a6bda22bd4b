"""The door for joint tables: every form of one law is the same table, and what is not clear is refused."""

import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import xarray as xr

from redundancy.errors import InvalidInputError, SkipItError
from redundancy.files.tables import as_joint, joint_from_samples, read_joint
from redundancy.pid import broja

AND = np.zeros((2, 2, 2))
for _x in (0, 1):
    for _y in (0, 1):
        AND[_x & _y, _x, _y] = 0.25
NESTED = AND.tolist()

FILES = {
    "bom.csv": "\ufefft,x,y,p\r\n0,0,0,0.25\r\n0,0,1,0.25\r\n0,1,0,0.25\r\n1,1,1,0.25\r\n",
    "headless.csv": "0,0,0,0.25\n0,0,1,0.25\n\n0,1,0,0.25\n1,1,1,0.25",
    "order.csv": "Y,p,T,X\n0,0.25,0,0\n1,0.25,0,0\n0,0.25,0,1\n1,0.25,1,1\n",
    "counts.csv": "t,x,y,count\n0,0,0,1\n0,0,0,2\n0,0,1,3\n0,1,0,3\n1,1,1,3\n",
    "weights.csv": "t,x,y,weight\n0,0,0,.5\n0,0,1,.5\n0,1,0,.5\n1,1,1,.5\n",
    "samples.csv": "x,t,y\n0,0,0\n0,0,1\n1,0,0\n1,1,1\n",
    "text.csv": 't,x,y,p\nno,"a, b",u,0.25\nno,"a, b",v,0.25\nno,c,u,0.25\nyes,c,v,0.25\n',
    "tabs.tsv": "t\tx\ty\tp\n0\t0\t0\t0.25\n0\t0\t1\t0.25\n0\t1\t0\t0.25\n1\t1\t1\t0.25\n",
    "nested.json": json.dumps(NESTED),
    "axes.json": json.dumps({"joint": np.moveaxis(AND, 0, 2).tolist(), "axes": ["x", "y", "t"]}),
    "counts.json": json.dumps({"counts": (8 * AND).tolist()}),
    "whole.json": json.dumps((8 * AND).astype(int).tolist()),
    "records.json": json.dumps([{"y": y, "x": x, "t": x & y, "p": 0.25} for x in (0, 1) for y in (0, 1)]),
}


@pytest.mark.parametrize("name", FILES)
def test_every_form_in_a_file_is_the_same_table(tmp_path, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8", newline="")
    np.testing.assert_array_equal(read_joint(tmp_path / name).table, AND)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "counts.npy", "float32.npy"])
def test_every_array_file_is_the_same_table(tmp_path, name):
    table = {"counts.npy": (4 * AND).astype(int), "float32.npy": AND.astype(np.float32)}.get(name, AND)
    (np.savez if name.endswith("npz") else np.save)(tmp_path / name, table)
    joint = read_joint(tmp_path / name)
    np.testing.assert_array_equal(joint.table, AND)
    assert joint.note == ("counts.npy: counts of 4 observations" if name == "counts.npy" else "")


LONG = {"t": ["no", "no", "no", "yes"], "x": ["a", "a", "c", "c"], "y": ["u", "v", "u", "v"]}
MEMORY = {
    "pandas": pd.DataFrame({**LONG, "p": [0.25] * 4})[["p", "y", "t", "x"]],
    "categories": pd.DataFrame(LONG).astype("category").assign(count=[3] * 4),
    "samples": pd.DataFrame(LONG),
    "polars": pl.DataFrame({**LONG, "weight": [0.5] * 4}),
    "arrow": pa.table({**LONG, "p": [0.25] * 4}),
    "xarray": xr.DataArray(np.moveaxis(AND, 0, 2), dims=("x", "y", "t")),
    "mapping": {("no", "a", "u"): 0.25, ("no", "a", "v"): 0.25, ("no", "c", "u"): 0.25, ("yes", "c", "v"): 0.25},
    "torch with grad": torch.tensor(AND, requires_grad=True),
    "bfloat16": torch.tensor(AND, dtype=torch.bfloat16),
    "array": AND,
}


@pytest.mark.parametrize("name", MEMORY)
def test_every_form_in_memory_gives_the_same_decomposition(name):
    expected, found = broja(AND), broja(MEMORY[name])
    assert (found.redundant, found.synergistic) == (expected.redundant, expected.synergistic)


def test_samples_keep_their_symbols():
    joint = joint_from_samples(LONG["t"], LONG["x"], LONG["y"])
    assert joint.labels == (("no", "yes"), ("a", "c"), ("u", "v"))
    np.testing.assert_array_equal(joint.table, AND)
    with pytest.raises(InvalidInputError, match="row 1 of x of samples"):
        joint_from_samples([0, 1], ["a", None], [0, 1])


@pytest.mark.parametrize("seed", range(20))
def test_a_law_is_taken_within_the_rounding_of_its_type_and_not_beyond(seed, tmp_path):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 9, size=3))
    for dtype in (np.float64, np.float32, np.float16):
        law = rng.random(shape).astype(dtype)
        law = (law / law.sum(dtype=dtype)).astype(dtype)
        assert broja(law, tolerance=1e-3).converged
        if dtype is not np.float16:
            with pytest.raises(InvalidInputError, match="sum to 1"):
                broja((law * dtype(1.0001)).astype(dtype))
    law = rng.random(shape).astype(np.float32)
    law /= law.sum()
    rows = [f"{t},{x},{y},{mass}" for (t, x, y), mass in np.ndenumerate(law)]
    (tmp_path / "printed.csv").write_text("t,x,y,p\n" + "\n".join(rows))
    assert math.fsum(read_joint(tmp_path / "printed.csv").table.ravel()) == pytest.approx(1.0, abs=1e-15)


BAD = {
    "semicolons.csv": ("t;x;y;p\n0;0;0;0,5\n", "semicolons between its cells"),
    "tabs.csv": ("t\tx\ty\tp\n0\t0\t0\t1\n", "tabs between its cells"),
    "commas.tsv": ("t,x,y,p\n0,0,0,1\n", "1 columns"),
    "heading.csv": ("target,left,right,prob\n0,0,0,1\n", "line 1 of heading.csv has 'prob'; a heading needs t, x, y"),
    "extra.csv": ("t,x,y,p,q\n0,0,0,1,1\n", r"not understood: \['q'\]"),
    "two.csv": ("t,x,y,p,count\n0,0,0,1,1\n", "one of p, count or weight"),
    "first.csv": ("0,0,0,none\n0,0,1,0.5\n1,1,0,0.5\n", "line 1 of first.csv has 'none'"),
    "off.csv": ("t,x,y,p\n0,0,0,0.25\n", "sum to 1, got a sum of 0.25"),
    "thirds.csv": ("t,x,y,p\n0,0,0,0.333333\n0,0,1,0.333333\n0,1,1,0.333333\n", "sum of 0.999999"),
    "whole.csv": ("0,0,0,250\n1,1,1,750\n", "if they are counts, say so: --counts"),
    "negative.csv": ("t,x,y,count\n0,0,0,-1\n1,1,1,2\n", "need counts >= 0"),
    "underscore.csv": ("t,x,y,p\n0,0,0,0_5\n", "line 2 of underscore.csv has '0_5'"),
    "overflow.csv": ("t,x,y,count\n0,0,0,1e308\n1,1,1,1e308\n", "total of inf"),
    "nan.csv": ("t,x,y,p\n0,0,0,nan\n", "finite masses"),
    "nan_counts.csv": ("t,x,y,count\n0,0,0,nan\n", "finite counts"),
    "repeats.csv": ("t,x,y,p\n0,0,0,.5\n0,0,0,.5\n", "line 3 of repeats.csv repeats"),
    "quote.csv": ('t,x,y,p\n"0,0,0,1\n', "does not parse"),
    "keys.json": ('[{"t": 0, "x": 0, "y": 0, "p": 1}, {"t": 1}]', "same keys"),
    "axes.json": ('{"joint": [[[1.0]]], "axes": ["a", "b", "c"]}', "axes t, x, y in any order"),
    "twice.json": ('{"joint": [[[1.0]]], "axes": ["t", "t", "x"]}', "axes t, x, y in any order"),
    "both.json": ('{"joint": [[[1.0]]], "counts": [[[1]]]}', '"joint" or "counts"'),
    "constant.json": ("[[[NaN]]]", "NaN is not JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_clear_is_refused(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(SkipItError, match=message):
        read_joint(tmp_path / name)


def test_masses_whose_sum_overflows_are_finite_and_said_to_sum_to_infinity():
    with pytest.raises(InvalidInputError, match="sum to 1, got a sum of inf"):
        broja(np.full((2, 2, 2), 1e308))


def test_counts_are_divided_on_request_and_said(tmp_path, skip_it):
    (tmp_path / "whole.csv").write_text("0,0,0,1\n0,0,1,1\n0,1,0,1\n1,1,1,1\n")
    np.testing.assert_array_equal(read_joint(tmp_path / "whole.csv", counts=True).table, AND)
    code, out, err = skip_it("broja", str(tmp_path / "whole.csv"), "--counts", "--json")
    assert (code, err) == (0, "note: whole.csv: counts of 4 observations\n")
    assert json.loads(out)["redundant"]["lower"] == broja(AND).redundant.lower


def test_names_that_are_not_understood_are_refused_in_memory():
    for given in (
        pd.DataFrame({"a": [1.0]}),
        xr.DataArray(AND, dims=("a", "b", "c")),
        {"t": [0], "x": [0], "y": [0]},
        xr.Dataset({"p": xr.DataArray(AND, dims=("t", "x", "y"))}),
    ):
        with pytest.raises(InvalidInputError):
            broja(given)
    assert as_joint(AND) is AND
