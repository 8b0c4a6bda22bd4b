"""The numpy safetensors store against the reference package, and against torn and altered files."""

import json
import os

import numpy as np
import pytest

from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.tensors import DIGEST_KEY, load_tensors, save_tensors

DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = [(3, 5), (), (0, 4), (7,), (2, 1, 3)]
    return {
        f"a{code}": rng.integers(0, 2, size=shapes[i % len(shapes)]).astype(np.dtype(code))
        for i, code in enumerate(DTYPES)
    }


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_round_trip_and_the_reference_reader_agree(tmp_path, arrays):
    safetensors = pytest.importorskip("safetensors")
    path = tmp_path / "x.safetensors"
    digest = save_tensors(path, arrays, {"spec": 'quote " and é'})
    found, metadata = load_tensors(path)
    assert_equal(found, arrays)
    assert metadata == {"spec": 'quote " and é', DIGEST_KEY: digest}
    with safetensors.safe_open(path, framework="numpy") as reference:
        assert reference.metadata() == metadata
        assert_equal({name: reference.get_tensor(name) for name in reference.keys()}, arrays)  # noqa: SIM118


def test_files_of_the_reference_writer_are_read_on_request(tmp_path, arrays):
    numpy_writer = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.safetensors"
    numpy_writer.save_file(arrays, path, metadata={"who": "reference"})
    found, metadata = load_tensors(path, require_digest=False)
    assert_equal(found, arrays)
    assert metadata == {"who": "reference"}
    with pytest.raises(StoreError, match="no digest"):
        load_tensors(path)


def test_strided_and_big_endian_arrays_are_stored_by_value(tmp_path):
    path = tmp_path / "x.safetensors"
    table = np.arange(12.0).reshape(3, 4)
    save_tensors(path, {"t": table.T, "big": table.astype(">f8")})
    assert_equal(load_tensors(path)[0], {"t": table.T, "big": table})


@pytest.mark.parametrize("cut", [0, 4, 8, 60, 400, -1])
def test_torn_file_is_refused(tmp_path, arrays, cut):
    path = tmp_path / "x.safetensors"
    save_tensors(path, arrays)
    raw = path.read_bytes()
    path.write_bytes(raw[:cut])
    with pytest.raises(StoreError, match="torn"):
        load_tensors(path)


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": np.arange(5)}, {"k": "v"})
    raw = bytearray(path.read_bytes())
    for i in range(len(raw)):
        changed = raw.copy()
        changed[i] ^= 1
        path.write_bytes(changed)
        with pytest.raises(StoreError):
            load_tensors(path)
    path.write_bytes(bytes(raw) + b"\0")
    with pytest.raises(StoreError):
        load_tensors(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]},
        {"dtype": "F128", "shape": [1], "data_offsets": [0, 16]},
        {"dtype": "F64", "shape": [1]},
        {"dtype": "F64", "shape": [2], "data_offsets": [0, 16], "more": 1},
        "text",
    ],
)
def test_malformed_headers_are_refused_without_a_digest(tmp_path, entry):
    path = tmp_path / "x.safetensors"
    header = json.dumps({"a": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    if isinstance(entry, dict) and "more" in entry:  # the control: the same file, well formed
        assert load_tensors(path, require_digest=False)[0]["a"].shape == (2,)
    else:
        with pytest.raises(StoreError):
            load_tensors(path, require_digest=False)


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": np.zeros(3)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        save_tensors(path, {"a": np.ones(3)})
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
    np.testing.assert_array_equal(load_tensors(path)[0]["a"], 0)


def test_missing_paths_and_wrong_arrays_are_refused(tmp_path):
    with pytest.raises(StoreError, match="No such file"):
        load_tensors(tmp_path / "none")
    with pytest.raises(StoreError, match="need to write"):
        save_tensors(tmp_path / "no" / "folder", {"a": np.zeros(1)})
    for arrays in ({"a": np.array(["text"])}, {"a": np.array([1j])}, {"__metadata__": np.zeros(1)}):
        with pytest.raises(InvalidInputError, match="named numeric arrays"):
            save_tensors(tmp_path / "x", arrays)
    assert list(tmp_path.iterdir()) == []
