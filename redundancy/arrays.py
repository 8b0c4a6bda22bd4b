"""The door for arrays: whatever a library calls an array, as numpy and with the values that its owner sees."""
# Over 400 lines: one door, and every library's arrays need a few lines of their own in it.

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from redundancy.errors import InputWarning, InvalidInputError
from redundancy.files.reading import causes

__all__ = ["as_floats", "as_labels", "as_states", "refuse_masked", "to_numpy"]

_KINDS = {"c": "complex numbers", "m": "time differences", "M": "dates"}
_MOST_AXES = 32  # numpy 1 has no more
_EXACT = 2.0**53  # above it neighbouring integers are one float


def to_numpy(values: Any, name: str) -> npt.NDArray[Any]:
    """Numbers, truth values or text of any array, frame, series, tensor or list as a plain numpy array.

    Nothing is read out of text, and nothing is lost: no mask, no missing value, no imaginary part, no sign of a lazy
    negation. No library is imported for it; who holds a tensor has imported torch.

    Parameters
    ----------
    values : array_like
        numpy arrays and memory maps, lists, torch tensors of any device and type, pandas and polars frames and
        series, Arrow arrays and tables, xarray, and what else has ``__array__`` or ``__dlpack__``.
    name : str
        What to call it in the sentence.

    Returns
    -------
    ndarray
        Of truth values, integers, floats, text, complex numbers or times; arrays of objects by what they hold.

    Raises
    ------
    InvalidInputError
        For masks, missing values (the row is named), sparse and ragged arrays, and objects that are neither numbers
        nor text.
    """
    refuse_masked(values, name)
    if isinstance(values, np.ndarray):
        return _of_numpy(np.asarray(values), name)
    reader = _READERS.get(_library(type(values)) or "")
    try:
        if reader is not None:
            return reader(values, name)
        if isinstance(values, (list, tuple)):
            return _of_list(values, name)
        if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
            return _of_numpy(np.from_dlpack(values), name)
        return _of_numpy(np.asarray(values), name)
    except InvalidInputError:
        raise
    except Exception as error:  # of a foreign library, which may raise anything
        raise InvalidInputError(
            f"need {name} as an array that numpy can read, {type(values).__name__} gives: {causes(error)}"
        ) from error


def as_floats(values: Any, name: str) -> npt.NDArray[np.float64]:
    """Real numbers as float64, the very array if it is one; text, complex numbers, times and masks are refused.

    Parameters
    ----------
    values : array_like
        As for `to_numpy`.
    name : str
        What to call it in the sentence.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    InvalidInputError
        If these are no real numbers, or one is beyond the range of float64.
    """
    array = to_numpy(values, name)
    if array.dtype.kind not in "biuf":
        got = "text" if array.dtype.kind in "SU" else _KINDS.get(array.dtype.kind, f"dtype {array.dtype}")
        raise InvalidInputError(f"need real numbers in {name}, got {got}; convert them to the numbers that are meant")
    with np.errstate(over="ignore"):
        floats = np.asarray(array, dtype=np.float64)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        _refuse_rows(np.isinf(floats) & np.isfinite(array), name, "numbers that float64 can hold", "one beyond 1.8e308")
    return floats


def as_states(values: Any, name: str) -> Any:
    """Rows of features, left where they are if they can be read by slices: memory maps, stores, arrays.

    Parameters
    ----------
    values : array_like of shape (n_rows, n_features)
        As for `to_numpy`, or anything of numpy's types with ``shape``, ``ndim`` and slices.
    name : str
        What to call it in the sentence.

    Returns
    -------
    ndarray, or `values` itself if it is read by slices

    Raises
    ------
    InvalidInputError
        If these are no floating-point numbers of that shape. Whether they are finite shows when they are read.
    """
    lazy = not isinstance(values, np.ndarray) and _library(type(values)) is None
    is_sliced = lazy and isinstance(getattr(values, "dtype", None), np.dtype) and hasattr(values, "__getitem__")
    states = values if is_sliced and values.dtype.kind == "f" else to_numpy(values, name)
    if states.ndim != 2 or 0 in states.shape:
        raise InvalidInputError(
            f"need {name} of shape (n_rows, n_features), got {tuple(states.shape) or type(values).__name__}"
        )
    if states.dtype.kind != "f":
        raise InvalidInputError(f"need floating-point states in {name}, got dtype {states.dtype}")
    return as_floats(states, name) if states.dtype.itemsize > 8 else states


def as_labels(values: Any, name: str, n_rows: int | None = None, *, empty: bool = False) -> npt.NDArray[Any]:
    """One label per row, as ids, classes and groups are: integers, text, truth values, categoricals.

    Parameters
    ----------
    values : array_like of shape (n_rows,) or (n_rows, 1)
        As for `to_numpy`.
    name : str
        What to call it in the sentence.
    n_rows : int, optional
        How many there must be.
    empty : bool, default=False
        Whether empty text is a label; it is none of an id.

    Returns
    -------
    ndarray of shape (n_rows,)
        Of integers, floats that are finite, truth values or text, blanks at the end of a text left out.

    Raises
    ------
    InvalidInputError
        If there is not one label per row, or one is missing.

    Warns
    -----
    InputWarning
        If blanks at the end of labels were left out.
    """
    labels = to_numpy(values, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] > 1 and labels.shape[0] == (n_rows or labels.shape[0]):
        columns = list(map(str, getattr(values, "columns", ())))
        shown = f" ({', '.join(columns[:8])})" if columns else ""
        raise InvalidInputError(f"need one column of {name}, got {labels.shape[1]}{shown}; choose the one")
    if labels.ndim != 1 or (n_rows is not None and len(labels) != n_rows):
        wanted = "" if n_rows is None else f" for {n_rows} rows"
        more = labels.ndim == 1 and labels.dtype.kind == "U" and len(labels) == (n_rows or 0) + 1
        advice = f"; if the first, {str(labels[0])!r}, is a heading, leave it out" if more else ""
        raise InvalidInputError(f"need {name}, one per row, got shape {labels.shape}{wanted}{advice}")
    if labels.dtype.kind == "f":
        _refuse_rows(~np.isfinite(labels), name, f"finite {name}", "NaN or infinity")
        _refuse_rows(np.abs(labels) >= _EXACT, name, f"{name} that are told apart", "a float of 2^53 or more")
    elif labels.dtype.kind == "U":
        stripped = np.char.rstrip(labels)
        if not empty:
            _refuse_rows(stripped == "", name, f"{name} that are not empty", "none")
        changed = np.flatnonzero(stripped != labels)
        if changed.size:
            warnings.warn(
                f"blanks at the end of {changed.size} of the {name} were left out, the first in row {changed[0]}",
                InputWarning,
                stacklevel=2,
            )
        labels = stripped
    elif labels.dtype.kind not in "biu":
        got = _KINDS.get(labels.dtype.kind, f"dtype {labels.dtype}")
        raise InvalidInputError(f"need {name} that are integers or text, got {got}")
    return labels


def refuse_masked(values: Any, name: str) -> None:
    """A mask would be ignored by all that follows: refuse masked arrays, also inside a list or tuple."""
    parts: Iterable[Any] = values if isinstance(values, (list, tuple)) else (values,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise InvalidInputError(
            f"need an array without a mask for {name}, got a masked one; drop what is masked, then pass .data"
        )


def _library(kind: type) -> str | None:
    """The library that an array's class, or one that it comes from, belongs to."""
    for parent in kind.__mro__:
        if parent.__module__.startswith("scipy.sparse"):
            return "sparse"
        root = parent.__module__.partition(".")[0]
        if root in _READERS:
            return root
    return None


def _refuse_rows(bad: npt.NDArray[np.bool_], name: str, need: str, got: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1)) if bad.ndim else np.array([0])
        more = f" and {rows.size - 1} more rows" if rows.size > 1 else ""
        raise InvalidInputError(f"need {need}, got {got} in row {rows[0]} of {name}{more}; drop or mend what is meant")


def _ragged(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"need {name} as a regular array of numbers, got parts of different length or depth; make them alike"
    )


def _of_numpy(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    kind = array.dtype.kind
    if kind in "biufUcmM":
        return array
    if kind in "OST":
        return _by_content(array.astype(object), name)
    if array.dtype.names is None and array.dtype.name.startswith(("bfloat", "float")):  # of ml_dtypes
        return array.astype(np.float32)
    raise InvalidInputError(f"need numbers or text in {name}, got dtype {array.dtype}; pass one field or column")


def _of_list(values: Any, name: str) -> npt.NDArray[Any]:
    if any(_library(kind) for kind in {type(value) for value in values}):
        return _stacked([to_numpy(value, name) for value in values], (len(values),), name)
    try:
        array = np.asarray(values)
    except ValueError:
        if any(isinstance(value, (list, tuple, np.ndarray)) for value in values):
            parts = [to_numpy(value, name) for value in values]
            return _stacked(parts, (len(values),), name)
        raise _ragged(name) from None
    # numpy writes numbers as text beside text, and rounds integers beside floats; ask the content itself.
    rounds = array.dtype.kind == "f" and bool((np.abs(array) >= _EXACT).any())
    return _of_numpy(np.array(values, dtype=object) if array.dtype.kind in "US" or rounds else array, name)


def _by_content(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """An array of objects as what its objects are: all text, or all numbers, or all arrays of one shape."""
    flat: list[Any] = array.ravel().tolist() if array.ndim else [array[()]]
    _refuse_rows(
        np.array([_is_missing(value) for value in flat], dtype=np.bool_).reshape(array.shape),
        name,
        "a value in every row",
        "none (None, NaN or NA)",
    )
    kinds = {_kind(kind) for kind in {type(value) for value in flat}}
    if kinds <= {"text"}:
        if any(value.endswith("\0") for value in flat):
            raise InvalidInputError(f"need text without NUL at its end in {name}, which numpy would drop, got one")
        return np.array(flat, dtype=np.str_).reshape(array.shape)
    if kinds == {"bytes"}:
        try:
            return _by_content(np.array([value.decode() for value in flat], dtype=object).reshape(array.shape), name)
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"need text in UTF-8 in {name}, got bytes: {error}") from None
    if kinds == {"array"}:
        return _stacked([to_numpy(value, name) for value in flat], array.shape, name)
    if kinds <= {"truth values", "integers", "real numbers"}:
        return _numbers(flat, kinds, name).reshape(array.shape)
    if kinds <= {"truth values", "integers", "real numbers", "complex numbers"}:
        return np.array(flat, dtype=np.complex128).reshape(array.shape)
    if kinds <= {"truth values", "integers", "real numbers", "complex numbers", "text", "bytes"}:
        raise InvalidInputError(
            f"need one kind of values in {name}, got {' and '.join(sorted(kinds, reverse=True))}; convert the others"
        )
    if "array" in kinds:
        raise _ragged(name)
    odd = next(type(value).__name__ for value in flat if _kind(type(value)) == "other")
    raise InvalidInputError(f"need numbers or text in {name}, got {odd}")


def _numbers(flat: list[Any], kinds: set[str], name: str) -> npt.NDArray[Any]:
    if kinds == {"truth values"}:
        return np.array(flat, dtype=np.bool_)
    if "real numbers" not in kinds:
        for whole in (np.int64, np.uint64):
            try:
                return np.array([int(value) for value in flat], dtype=whole)
            except OverflowError:
                continue
    try:
        floats = np.array([float(value) for value in flat])
    except OverflowError as error:
        raise InvalidInputError(f"need real numbers in {name}, got one beyond the range of floats: {error}") from None
    lost = np.array([np.isinf(f) and not (isinstance(v, float) and v == f) for f, v in zip(floats, flat, strict=True)])
    finite = np.array([not isinstance(v, (float, np.floating)) or bool(np.isfinite(v)) for v in flat])
    _refuse_rows(lost & finite, name, "numbers that float64 can hold", "one that overflows to infinity")
    return floats


def _stacked(parts: list[npt.NDArray[Any]], shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    if len({part.shape for part in parts}) != 1 or len(shape) + parts[0].ndim > _MOST_AXES:
        raise _ragged(name)
    if len({part.dtype.kind in "US" for part in parts}) != 1:
        raise InvalidInputError(f"need one kind of values in {name}, got text and numbers; convert the others")
    return np.stack(parts).reshape(shape + parts[0].shape)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, Decimal)) and bool(value != value)


def _kind(kind: type) -> str:
    for parents, word in (
        ((bool, np.bool_), "truth values"),
        ((numbers.Integral, np.integer), "integers"),
        ((numbers.Real, np.floating, Decimal), "real numbers"),
        ((numbers.Complex, np.complexfloating), "complex numbers"),
        ((str,), "text"),
        ((bytes,), "bytes"),
        ((list, tuple, np.ndarray), "array"),
    ):
        if issubclass(kind, parents):
            return word
    return "array" if _library(kind) is not None or hasattr(kind, "__array__") else "other"


def _of_torch(tensor: Any, name: str) -> npt.NDArray[Any]:
    if not hasattr(tensor, "detach"):
        raise InvalidInputError(f"need a tensor or an array for {name}, got {type(tensor).__name__}")
    if str(tensor.layout) != "torch.strided":
        raise _sparse(name)
    if tensor.device.type == "meta":
        raise InvalidInputError(f"need numbers in {name}, got a tensor of the meta device, which holds none")
    if tensor.is_quantized:
        raise InvalidInputError(f"need plain numbers in {name}, got a quantized tensor; pass .dequantize()")
    if tensor.is_nested:
        raise _ragged(name)
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.is_floating_point() and plain.element_size() < 4 and str(plain.dtype) != "torch.float16":
        plain = plain.float()  # bfloat16 and float8, of which numpy knows nothing; exact
    return np.asarray(plain.numpy())


def _of_pandas(values: Any, name: str) -> npt.NDArray[Any]:
    if values.ndim == 2 and hasattr(values, "iloc"):
        columns = [_of_pandas(values.iloc[:, i], name) for i in range(values.shape[1])]
        return _columns(columns, [str(label) for label in values.columns], len(values), name)
    if values.dtype.kind != "f" or not isinstance(values.dtype, np.dtype):  # else the caller sees NaN itself
        _refuse_rows(np.asarray(values.isna(), dtype=np.bool_), name, "a value in every row", "none (NaN or NA)")
    if str(values.dtype) == "category":
        values = values.astype(getattr(values, "cat", values).categories.dtype)
    return _of_numpy(np.asarray(values), name)


def _of_polars(values: Any, name: str) -> npt.NDArray[Any]:
    if hasattr(values, "collect"):
        values = values.collect()
    if hasattr(values, "get_columns"):
        columns = [_of_polars(column, name) for column in values.get_columns()]
        return _columns(columns, list(values.columns), values.height, name)
    _refuse_rows(values.is_null().to_numpy(), name, "a value in every row", "null")
    if str(values.dtype).startswith(("Categorical", "Enum")):
        values = values.to_list()
    return _of_list(values, name) if isinstance(values, list) else _of_numpy(values.to_numpy(), name)


def _of_arrow(values: Any, name: str) -> npt.NDArray[Any]:
    if hasattr(values, "column_names") or hasattr(values, "schema"):
        columns = [_of_arrow(values.column(i), name) for i in range(values.num_columns)]
        return _columns(columns, list(values.schema.names), values.num_rows, name)
    _refuse_rows(np.asarray(values.is_null().to_numpy(zero_copy_only=False)), name, "a value in every row", "null")
    plain = values.to_numpy(zero_copy_only=False) if hasattr(values, "type") else values
    if str(getattr(values, "type", "")).startswith(("dictionary", "fixed_size_list", "list", "large_list")):
        plain = np.array([None] * len(values), dtype=object)
        plain[:] = values.to_pylist()
    return _of_numpy(np.asarray(plain), name)


def _of_xarray(values: Any, name: str) -> npt.NDArray[Any]:
    if not hasattr(values, "dims") or hasattr(values, "data_vars"):
        raise InvalidInputError(f"need one array for {name}, got a {type(values).__name__}; choose a variable of it")
    return to_numpy(values.values, name)


def _of_sparse(values: Any, name: str) -> npt.NDArray[Any]:
    raise _sparse(name)


def _sparse(name: str) -> InvalidInputError:
    return InvalidInputError(f"need a dense array for {name}, got a sparse one; pass .toarray() or .to_dense()")


def _columns(columns: list[npt.NDArray[Any]], labels: list[str], rows: int, name: str) -> npt.NDArray[Any]:
    """The columns of a frame beside one another, if they are of one kind."""
    if not columns:
        return np.zeros((rows, 0))
    text = [label for label, column in zip(labels, columns, strict=True) if column.dtype.kind not in "biuf"]
    if text and len(text) < len(columns):
        raise InvalidInputError(
            f"need columns of one kind in {name}, got text or times in {', '.join(text[:4])} beside numbers"
        )
    return np.stack(columns, axis=1)


_READERS: dict[str, Callable[[Any, str], npt.NDArray[Any]]] = {
    "torch": _of_torch,
    "pandas": _of_pandas,
    "polars": _of_polars,
    "pyarrow": _of_arrow,
    "xarray": _of_xarray,
    "sparse": _of_sparse,
}
