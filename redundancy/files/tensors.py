"""Tensor files: safetensors through its own library, written whole, with a digest of ours in the header."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.reading import causes, read_bytes, regular_file
from redundancy.files.writing import write_whole

__all__ = ["DIGEST_KEY", "BFloat16Array", "TensorHeader", "load_tensors", "read_header", "save_tensors"]

DIGEST_KEY = "skip_it.sha256"
_KIND = "an intact safetensors file"
_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",  # its bits; `BFloat16Array` reads them
}


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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)


@dataclass(frozen=True, slots=True, eq=False)
class TensorHeader:
    """What a safetensors file holds, and where, without its data.

    Attributes
    ----------
    path : Path
        The file.
    metadata : dict of str to str
        Free text of the header.
    places : dict of str to (str, tuple of int, int)
        Code of the type, shape, and first byte in the file of every tensor.
    """

    path: Path
    metadata: dict[str, str]
    places: dict[str, tuple[str, tuple[int, ...], int]]

    def mapped(self, name: str) -> Any:
        """One tensor, memory-mapped and read-only.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        ndarray, or `BFloat16Array` for bfloat16

        Raises
        ------
        StoreError
            For a type that numpy has not.
        """
        code, shape, start = self.places[name]
        if code not in _DTYPES:
            raise _torn(self.path, f"dtype {code} of {name!r} is not one of {', '.join(_DTYPES)}")
        dtype = np.dtype(_DTYPES[code])
        if math.prod(shape) == 0:  # nothing to map
            return np.zeros(shape, np.float32 if code == "BF16" else dtype)
        array = np.memmap(self.path, dtype=dtype, mode="r", offset=start, shape=shape)
        return BFloat16Array(array) if code == "BF16" else array


def save_tensors(
    path: str | os.PathLike[str], arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> str:
    """Write `arrays` so that a reader sees the old file or the whole new one, never a part.

    Parameters
    ----------
    path : path-like
        Target; its folder must exist. An existing file is replaced in one step.
    arrays : mapping of str to array
        Boolean, integer or floating arrays of any shape.
    metadata : mapping of str to str, optional
        Goes into the header.

    Returns
    -------
    str
        SHA-256 of header and data, also stored in the header under `DIGEST_KEY`.

    Raises
    ------
    InvalidInputError
        For an array of another kind, or the reserved name ``__metadata__``.
    StoreError
        If the file cannot be written; nothing is left behind.

    References
    ----------
    The safetensors format, https://github.com/huggingface/safetensors
    """
    from safetensors.numpy import save

    plain = {}
    for name, array in arrays.items():
        little = np.asarray(array, order="C")
        plain[name] = little.astype(little.dtype.newbyteorder("<"), copy=False)
        if little.dtype.kind not in "biuf" or little.itemsize > 8 or name == "__metadata__":
            raise InvalidInputError(f"need named numeric arrays, got {name!r} of dtype {array.dtype}")
    texts = {key: text for key, text in (metadata or {}).items() if key != DIGEST_KEY}
    digest = _digest(save(plain, texts))
    write_whole(Path(path), _ordered(save(plain, {**texts, DIGEST_KEY: digest})))
    return digest


def load_tensors(
    path: str | os.PathLike[str], *, require_digest: bool = True
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Read a safetensors file: its arrays and its metadata.

    Parameters
    ----------
    path : path-like
        The file.
    require_digest : bool, default=True
        Refuse a file without a digest of ours; False reads files of other writers, too. A digest that is
        there is always checked.

    Returns
    -------
    arrays : dict of str to array
    metadata : dict of str to str
        With the digest under `DIGEST_KEY`.

    Raises
    ------
    StoreError
        If the file is missing, torn, altered, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(path)
    raw = read_bytes(path, _KIND)
    try:
        arrays = {name: array.copy() for name, array in load(raw).items()}
        metadata = _split(raw)[0].get("__metadata__", {})
    except KeyError as error:
        raise _torn(path, f"dtype {error} is none of numpy") from None
    except (SafetensorError, ValueError, RecursionError, MemoryError) as error:
        raise _torn(path, causes(error)) from error
    stored = metadata.get(DIGEST_KEY)
    if stored is None and require_digest:
        raise _torn(path, "it carries no digest of this library")
    if stored is not None and stored != _digest(raw):
        raise _torn(path, "its SHA-256 does not match its contents")
    return arrays, metadata


def read_header(path: str | os.PathLike[str]) -> TensorHeader:
    """Read and check the header of a safetensors file; of the data only the size is checked.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    TensorHeader

    Raises
    ------
    StoreError
        If the file is missing, cut, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    place = regular_file(path, _KIND)
    try:
        with safe_open(place, framework="np"):  # checks types, shapes, extents and the size of the file
            pass
        with place.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
    except OSError as error:
        raise StoreError(f"need {_KIND}, {place} gives: {error.strerror or error}") from error
    except (SafetensorError, ValueError, RecursionError, MemoryError) as error:
        raise _torn(place, causes(error)) from error
    metadata = header.pop("__metadata__", {})
    places = {
        name: (entry["dtype"], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0])
        for name, entry in header.items()
    }
    return TensorHeader(place, metadata, places)


def _split(raw: bytes) -> tuple[dict[str, Any], memoryview]:
    """Header and data of a file that safetensors has taken."""
    size = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + size]), memoryview(raw)[8 + size :]


def _ordered(raw: bytes) -> list[bytes | memoryview]:
    """The same file with a sorted header: the library's own is in another order in every process."""
    header, data = _split(raw)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, data]


def _digest(raw: bytes) -> str:
    """SHA-256 of the header without the digest itself, in a canonical form, and of the data."""
    header, data = _split(raw)
    metadata = {key: text for key, text in header.get("__metadata__", {}).items() if key != DIGEST_KEY}
    canonical = json.dumps(
        {**header, "__metadata__": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    digest = hashlib.sha256(canonical.encode())
    digest.update(data)
    return digest.hexdigest()


def _torn(path: Path, why: str) -> StoreError:
    return StoreError(f"need {_KIND}, {path} is torn or altered: {why}; write it again")
