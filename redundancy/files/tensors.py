"""Read and write safetensors files with numpy alone: atomic, checked by a digest, no pickle."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.writing import write_whole

__all__ = ["DIGEST_KEY", "load_tensors", "save_tensors"]

DIGEST_KEY = "skip_it.sha256"
_MAX_HEADER = 100_000_000  # the limit of the reference implementation
_CODES = {
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
}
_DTYPES = {code: np.dtype(text) for code, text in _CODES.items()}
_NAMES = {dtype: code for code, dtype in _DTYPES.items()}


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
    header: dict[str, Any] = {"__metadata__": dict(metadata or {})}
    header["__metadata__"].pop(DIGEST_KEY, None)
    chunks: list[memoryview] = []
    offset = 0
    # Wide types first keeps every array aligned to its own size.
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        little = np.asarray(array, order="C")
        little = little.astype(little.dtype.newbyteorder("<"), copy=False)
        code = _NAMES.get(little.dtype)
        if code is None or name == "__metadata__":
            raise InvalidInputError(f"need named numeric arrays, got {name!r} of dtype {array.dtype}")
        header[name] = {
            "dtype": code,
            "shape": list(little.shape),
            "data_offsets": [offset, offset + little.nbytes],
        }
        chunks.append(little.reshape(-1).view(np.uint8).data)
        offset += little.nbytes
    digest = hashlib.sha256(_canonical(header))
    for chunk in chunks:
        digest.update(chunk)
    header["__metadata__"][DIGEST_KEY] = digest.hexdigest()
    text = _canonical(header)
    text += b" " * (-len(text) % 8)
    write_whole(Path(path), [len(text).to_bytes(8, "little"), text, *chunks])
    return digest.hexdigest()


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
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StoreError(f"need a readable tensor file, {path} gives: {error.strerror}; check the path") from error
    header, data = _split(raw, path)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _torn(path, "its metadata is no table of texts")
    _check_digest(header, metadata, data, path, require=require_digest)
    arrays: dict[str, npt.NDArray[Any]] = {}
    end = 0
    entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    try:
        for name, entry in sorted(entries, key=lambda item: item[1]["data_offsets"]):
            dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
            start, stop = entry["data_offsets"]
            if start != end or stop - start != math.prod(shape) * dtype.itemsize or stop > len(data):
                raise _torn(path, f"the extent of {name!r} does not fit")
            arrays[name] = np.frombuffer(data[start:stop], dtype).reshape(shape).copy()
            end = stop
    except (KeyError, TypeError, ValueError) as error:
        raise _torn(path, f"its header is malformed ({error!r})") from error
    if end != len(data):
        raise _torn(path, f"it holds {len(data)} bytes of data where its header says {end}")
    return arrays, dict(metadata)


def _canonical(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _torn(path: Path, why: str) -> StoreError:
    return StoreError(f"need an intact safetensors file, {path} is torn or altered: {why}; write it again")


def _split(raw: bytes, path: Path) -> tuple[dict[str, Any], memoryview]:
    size = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or size > min(_MAX_HEADER, len(raw) - 8):
        raise _torn(path, f"it ends after {len(raw)} bytes, inside its header")
    try:
        header = json.loads(raw[8 : 8 + size])
    except ValueError as error:
        raise _torn(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _torn(path, "its header is no table")
    return header, memoryview(raw)[8 + size :]


def _check_digest(
    header: Mapping[str, Any], metadata: Mapping[str, str], data: memoryview, path: Path, *, require: bool
) -> None:
    stored = metadata.get(DIGEST_KEY)
    if stored is None:
        if require:
            raise _torn(path, "it carries no digest of this library")
        return
    bare = {name: text for name, text in metadata.items() if name != DIGEST_KEY}
    digest = hashlib.sha256(_canonical({**header, "__metadata__": bare}))
    digest.update(data)
    if digest.hexdigest() != stored:
        raise _torn(path, "its SHA-256 does not match its contents")
