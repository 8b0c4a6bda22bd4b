"""Hostile and odd inputs at every door, seeded: a value that is right, or one sentence; never a traceback or a hang.

Off by default: ``pytest -m fuzz tests/fuzz``; FUZZ_INPUTS and FUZZ_SEED choose how many per door, and which.
"""

import contextlib
import io
import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import typer

from redundancy import LayerPairCertificate
from redundancy.checks import as_floats, as_labels
from redundancy.commands.recheck import recheck
from redundancy.files.arrays import open_array
from redundancy.files.digested import seal
from redundancy.files.tables import as_joint, read_joint
from redundancy.files.tensors import load_tensors, read_header, save_tensors
from redundancy.report import load_report
from support.fuzzing import INPUTS, SEED, one_sentence

pytestmark = pytest.mark.fuzz


@pytest.fixture
def counts(request):
    seen = {"taken": 0, "refused": 0}
    yield seen
    print(f"\n{request.node.name}: {INPUTS} inputs of seed {SEED}, {seen['taken']} taken, {seen['refused']} refused")
    assert min(seen.values()) > INPUTS // 50, seen


HOLDERS = {
    "list": lambda v: list(v),
    "numpy": np.asarray,
    "objects": lambda v: np.array(v, dtype=object),
    "series": pd.Series,
    "nullable": lambda v: pd.Series(v).convert_dtypes(),
    "arrow-backed": lambda v: pd.Series(v).convert_dtypes(dtype_backend="pyarrow"),
    "category": lambda v: pd.Series(v, dtype="category"),
    "frame": lambda v: pd.DataFrame({"a": v}),
    "polars": lambda v: pl.Series(v, strict=False),
    "polars frame": lambda v: pl.DataFrame({"a": v}, strict=False),
    "arrow": lambda v: pa.array(v, from_pandas=True),
    "arrow table": lambda v: pa.table({"a": pa.array(v, from_pandas=True)}),
    "torch": torch.tensor,
    "torch grad": lambda v: torch.tensor(v).requires_grad_(),
    "bfloat16": lambda v: torch.tensor(v, dtype=torch.bfloat16),
    "float16": lambda v: np.asarray(v, dtype=np.float16),
    "longdouble": lambda v: np.asarray(v, dtype=np.longdouble),
    "masked": lambda v: np.ma.array(v, mask=np.arange(len(v)) == 1),
    "rows": lambda v: [[x] for x in v],
}
POISON = (
    None,
    float("nan"),
    "a",
    "1",
    b"1",
    1j,
    [1.0],
    {},
    10**400,
    pd.NA,
    pd.NaT,
    np.datetime64("2020"),
    "",
    "b\0",
    "é ",
)


def column(rng, kind):
    """Values of one kind, and perhaps one of another."""
    n = int(rng.integers(1, 7))
    values = {
        "floats": lambda: [float(x) for x in rng.choice([0.0, -1.5, 0.25, 3.0, 1e300, 65504.0], n)],
        "ints": lambda: [int(x) for x in rng.choice([0, 1, -7, 2**31, 2**53 + 1, 2**62], n)],
        "bools": lambda: [bool(x) for x in rng.integers(0, 2, n)],
        "text": lambda: [str(x) for x in rng.choice(["a", "b ", "é", "01", "1", "nan", "None", "a,b"], n)],
    }[kind]()
    clean = True
    if rng.random() < 0.4:
        values[int(rng.integers(n))] = POISON[int(rng.integers(len(POISON)))]
        clean = False
    return values, clean


def held(rng, values):
    name = str(rng.choice(list(HOLDERS)))
    if name in ("float16", "longdouble", "masked", "torch", "torch grad", "bfloat16") and any(
        isinstance(v, (str, bytes)) or v is None for v in values
    ):
        name = "list"  # these libraries read numbers out of text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return name, HOLDERS[name](values)
    except Exception:  # the library itself has no such array
        return "list", list(values)


def equal(found, values):
    """Whether numbers are those that Python gives, to the precision of what held them."""
    return len(found) == len(values) and all(float(f) == float(v) for f, v in zip(found, values, strict=True))


def test_arrays(counts):
    rng = np.random.default_rng(SEED)
    for _ in range(INPUTS):
        values, clean = column(rng, str(rng.choice(["floats", "ints", "bools", "text"])))
        name, given = held(rng, values)
        with one_sentence(counts, (name, values)):
            found = as_floats(given, "x").ravel()
            assert not any(
                isinstance(v, (str, bytes)) or (v is None and not np.isnan(f))  # None as NaN is seen
                for v, f in zip(values, found, strict=False)
            ), (name, values, found)
            kept = (
                [
                    float(np.float16(v))
                    if name == "float16"
                    else float(torch.tensor(v, dtype=torch.bfloat16))
                    if name == "bfloat16"
                    else float(np.float32(v))
                    if name.startswith("torch") and isinstance(v, float)
                    else v
                    for v in values
                ]
                if clean
                else None
            )
            assert kept is None or equal(found, kept), (name, values, found)


def test_labels(counts):
    rng = np.random.default_rng(SEED + 1)
    for _ in range(INPUTS):
        values, clean = column(rng, str(rng.choice(["ints", "text", "bools", "floats"])))
        name, given = held(rng, values)
        with one_sentence(counts, (name, values)):
            found = as_labels(given, "ids").tolist()
            if clean and name not in ("bfloat16", "float16", "torch", "torch grad"):
                wanted = [v.rstrip() if isinstance(v, str) else v for v in values]
                assert found == wanted, (name, values, found)
            # Labels that differ stay different, and those that are the same stay the same.
            if clean and name in ("list", "numpy", "objects", "series", "polars", "arrow"):
                assert len(set(found)) == len({v.rstrip() if isinstance(v, str) else v for v in values})


def cell(rng):
    return str(rng.choice(["a", "b", "c d", "1", "01", "é", "x;y", 'q"r', "a,b", "-1", "=1", "nan", "None"]))


PUT_IN = (b"\xff\xfe", b"\0", b"\xef\xbb\xbf", b"\r", b'"', b"[" * 3000, b"1e999", b"NaN", b";")


def damaged(rng, raw):
    """Bytes with a cut, a flip, a repeat, or something put in."""
    raw = bytearray(raw)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(raw) + 1))
        match int(rng.integers(5)):
            case 0:
                del raw[at:]
            case 1 if raw:
                raw[min(at, len(raw) - 1)] = int(rng.integers(256))
            case 2:
                raw[at:at] = raw[: int(rng.integers(20))]
            case 3:
                raw[at:at] = PUT_IN[int(rng.integers(len(PUT_IN)))]
            case _:
                del raw[at : at + int(rng.integers(9))]
    return bytes(raw)


def test_files_of_ids(counts, tmp_path):
    rng = np.random.default_rng(SEED + 2)
    for i in range(INPUTS):
        heads = ["id", "image", "group"][: int(rng.integers(1, 4))]
        frame = pd.DataFrame({h: [cell(rng) for _ in range(5)] for h in heads})
        ending, separator = ((".csv", ","), (".tsv", "\t"))[int(rng.integers(2))]
        path = tmp_path / f"{i}{ending}"
        raw = frame.to_csv(index=False, sep=separator, lineterminator=str(rng.choice(["\n", "\r\n"]))).encode()
        raw = b"\xef\xbb\xbf" * int(rng.integers(2)) + raw
        hurt = rng.random() < 0.3
        path.write_bytes(damaged(rng, raw) if hurt else raw)
        name = str(rng.choice([*heads, "1", "none"]))
        with one_sentence(counts, path):
            found = open_array(f"{path}:{name}").tolist()
            if not hurt and name in heads:
                theirs = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
                assert found == theirs[name].tolist()
        path.unlink()


def test_tables(counts, tmp_path):
    rng = np.random.default_rng(SEED + 3)
    for i in range(INPUTS):
        shape = rng.integers(1, 4, size=3)
        numbers = rng.integers(0, 5, size=shape)
        if not numbers.any():
            numbers.flat[0] = 1
        long = pd.DataFrame([(*map(str, key), int(n)) for key, n in np.ndenumerate(numbers)], columns=[*"txy", "count"])
        law = numbers / numbers.sum()
        form = str(rng.choice(["count", "p", "samples", "json", "npy", "frame", "records"]))
        hurt = rng.random() < 0.35
        if form in ("count", "p", "samples", "frame"):
            frame = long if form != "p" else long.assign(p=law.ravel()).drop(columns="count")
            if form == "samples":
                frame = long.loc[long.index.repeat(long["count"])].drop(columns="count")
                law = None  # symbols without a sample are no symbols
            frame = frame[list(rng.permutation(frame.columns))]
            if form == "frame":
                if hurt:
                    columns = {head: list(frame[head]) for head in frame}
                    columns[str(rng.choice(list(columns)))][0] = POISON[int(rng.integers(len(POISON)))]
                    frame = pd.DataFrame({head: pd.Series(values, dtype=object) for head, values in columns.items()})
                with one_sentence(counts, frame):
                    found = np.asarray(as_joint(frame))
                    assert hurt or np.allclose(found, law, rtol=0, atol=1e-15)
                continue
            path, raw = tmp_path / f"{i}.csv", frame.to_csv(index=False).encode()
        elif form == "npy":
            path, held_in = tmp_path / f"{i}.npy", io.BytesIO()
            np.save(held_in, law.astype(rng.choice([np.float32, np.float64])))
            raw = held_in.getvalue()
        elif form == "json":
            order = rng.permutation(3)
            axes = ["txy"[k] for k in order]
            path, raw = (
                tmp_path / f"{i}.json",
                json.dumps({"joint": law.transpose(order).tolist(), "axes": axes}).encode(),
            )
        else:
            path, raw = tmp_path / f"{i}.json", json.dumps(long.to_dict("records")).encode()
        path.write_bytes(damaged(rng, raw) if hurt else raw)
        with one_sentence(counts, path.read_bytes()[:200]):
            table = np.asarray(read_joint(path).table)
            if not hurt and law is not None:
                assert np.allclose(table, law, rtol=0, atol=1e-7), (form, table, law)
            if not hurt and law is None:
                assert np.isclose(table.sum(), 1.0)
                assert np.array_equal(np.sort(table[table > 0]), np.sort((numbers / numbers.sum())[numbers > 0]))
        path.unlink()


def mangled(rng, tree):
    """A JSON tree with one node replaced, dropped or moved."""
    nodes = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            nodes.append((node, key))
            if isinstance(node[key], (dict, list)) and node[key]:
                walk(node[key])

    walk(tree)
    node, key = nodes[int(rng.integers(len(nodes)))]
    odd = (
        None,
        "x",
        -1,
        1e308,
        [],
        {},
        True,
        10**30,
        [[[]]],
        {"array": "0"},
        {"certificate": {}},
        "NaN",
        "\x1b[31m",
        {"float": "x"},
    )
    if rng.random() < 0.2 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = odd[int(rng.integers(len(odd)))]
    return tree


def test_saved_certificates(counts, tmp_path):
    rng = np.random.default_rng(SEED + 4)
    x = rng.normal(size=(24, 3))
    pair = LayerPairCertificate.from_arrays(x, x + 0.1 * rng.normal(size=x.shape), np.arange(24) // 2)
    texts = [pair.to_json(), pair.statements[0].to_json()]
    path = tmp_path / "c.json"
    for i in range(INPUTS):
        raw = texts[i % 2]
        body = json.loads(raw)
        body.pop("digest")
        with contextlib.suppress(ValueError):
            match int(rng.integers(4)):
                case 0:
                    raw = damaged(rng, raw.encode())
                case 1:
                    raw = json.dumps({**mangled(rng, body), "digest": "0" * 64}).encode()
                case _:
                    raw = seal(mangled(rng, mangled(rng, body))).encode()
        path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
        with one_sentence(counts, path.read_bytes()[:300]), contextlib.redirect_stdout(io.StringIO()) as out:
            with contextlib.suppress(typer.Exit):
                recheck(path, as_json=True)
            assert set(json.loads(out.getvalue())) == {"ok", "problems"}


def test_saved_tensors(counts, tmp_path):
    rng = np.random.default_rng(SEED + 5)
    path = tmp_path / "t.safetensors"
    arrays = {"a": rng.normal(size=(3, 2)), "b": rng.integers(0, 9, size=5), "c": np.zeros((0, 2), np.float32)}
    for i in range(INPUTS):
        digest = save_tensors(path, arrays, {"k": "v"})
        raw = path.read_bytes()
        hurt = damaged(rng, raw) if i % 8 else raw
        path.write_bytes(hurt)
        with one_sentence(counts, hurt[:300]):
            if i % 3:
                found, metadata = load_tensors(path)
                assert metadata == {"k": "v", "skip_it.sha256": digest}
                assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
            else:
                header = read_header(path)
                for name in header.places:
                    np.asarray(header.mapped(name))


def test_saved_reports(counts, tmp_path):
    rng = np.random.default_rng(SEED + 6)
    path = tmp_path / "report.json"
    rows = [
        {"layer": k, "group": "vision", "mean_distance": 0.1, "fraction_below_0.05": 0.5, "var": None} for k in (1, 2)
    ]
    sound = {
        "schema": "skip-it/report/1",
        "model": {"name": "m", "n_layers": 2},
        "n_samples": 3,
        "baseline_accuracy": 0.5,
        "profile": rows,
        "distance_matrix": {},
        "late_entry": [],
        "vision_exit": [],
        "chosen_plan": None,
        "certificates": [],
    }
    for i in range(INPUTS):
        tree = json.loads(json.dumps(sound))
        raw = json.dumps(mangled(rng, tree) if i % 3 else tree)
        path.write_bytes(damaged(rng, raw.encode()) if i % 3 == 2 else raw.encode())
        with one_sentence(counts, path.read_bytes()[:300]):
            load_report(path)
