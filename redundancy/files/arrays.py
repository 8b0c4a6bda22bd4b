"""Open arrays of .npy, .npz, .safetensors and text files, memory-mapped where the format allows it."""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, StoreError

__all__ = ["BFloat16Array", "open_array"]

_MAX_HEADER = 100_000_000  # the limit of the safetensors reference implementation
_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
}
_TEXT = (".txt", ".csv", ".tsv")


class BFloat16Array:
    """bfloat16 values, which numpy has no type for: slices are float32, exactly.

    Parameters
    ----------
    bits : ndarray of uint16
        The upper halves of the float32 values.
    """

    def __init__(self, bits: npt.NDArray[np.uint16]) -> None:
        self.bits = bits
        self.shape, self.ndim, self.dtype = bits.shape, bits.ndim, np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, key: Any) -> npt.NDArray[np.float32]:
        return (np.asarray(self.bits[key]).astype(np.uint32) << 16).view(np.float32)


def open_array(place: str | os.PathLike[str]) -> Any:
    """Open one array; ``file.npz:name`` or ``file.safetensors:name`` picks one of several.

    Parameters
    ----------
    place : path-like
        .npy and .safetensors are memory-mapped, .npz is read; a .txt, .csv or .tsv file gives one string
        per line (for ids).

    Returns
    -------
    ndarray, or `BFloat16Array` for bfloat16 tensors

    Raises
    ------
    StoreError
        If the file is missing, torn, or of another kind.
    InvalidInputError
        If the file holds several arrays and none is named, or not the one that is.
    """
    text = os.fspath(place)
    path, name = Path(text), None
    if not path.exists() and ":" in text:
        head, _, tail = text.rpartition(":")
        if Path(head).suffix in (".npz", ".safetensors"):
            path, name = Path(head), tail
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return archive[_choose(list(archive.files), name, path)]
        if path.suffix == ".safetensors":
            return _safetensor(path, name)
        if path.suffix in _TEXT:
            return np.array(path.read_text(encoding="utf-8").split("\n")[: _lines(path)])
    except OSError as error:
        raise StoreError(f"need a readable array file, {path} gives: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise StoreError(f"need an intact array file without pickled objects, {path} gives: {error}") from error
    raise StoreError(f"need an array in .npy, .npz, .safetensors or (for ids) .txt, got {path}")


def _lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    return text.count("\n") + (not text.endswith("\n"))


def _choose(names: list[str], wanted: str | None, path: Path) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        what = "no name was given" if wanted is None else f"{wanted!r} was asked for"
        raise InvalidInputError(f"need the name of one array, as {path.name}:NAME, out of {sorted(names)}; {what}")
    return str(wanted)


def _safetensor(path: Path, name: str | None) -> Any:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(_MAX_HEADER, path.stat().st_size):
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    entry = header[_choose([key for key in header if key != "__metadata__"], name, path)]
    try:
        kind, shape = entry["dtype"], tuple(int(k) for k in entry["shape"])
        start, stop = entry["data_offsets"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"its header lacks {error}") from error
    if kind not in _DTYPES:
        raise ValueError(f"dtype {kind} is not one of {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[kind])
    if stop - start != math.prod(shape) * dtype.itemsize or 8 + size + stop > path.stat().st_size:
        raise ValueError("its extents do not fit")
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=8 + size + start, shape=shape)
    return BFloat16Array(mapped) if kind == "BF16" else mapped
