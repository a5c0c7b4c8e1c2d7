"""From whatever the caller has (lists, arrays, Arrow columns) to checked numpy arrays.

A fault in `y_pred` is an `InvalidSubmissionError`, a fault in `y_true` an `InvalidInputError`.
Nothing is changed in place.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError, InvalidSubmissionError

Values = Any  # a list, a numpy array, a polars, pandas or Arrow column; or these nested
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Role = Literal["y_true", "y_pred"]

_MAGNITUDE, _INFINITY = np.uint64(0x7FFF_FFFF_FFFF_FFFF), 0x7FF0_0000_0000_0000

BLOCK = 1 << 15  # elements: a few blocks of float64 fit into the second-level cache


def fault(role: Role, message: str) -> InvalidInputError:
    """The error to raise for a fault in this argument."""
    if role == "y_pred":
        return InvalidSubmissionError(f"y_pred: {message}")
    return InvalidInputError(f"y_true: {message}")


def field(values: Values, name: str, role: Role) -> Values:
    """One field of a composite argument such as `{"value": ..., "type": ...}`."""
    if not isinstance(values, Mapping):
        raise fault(role, f"must be a mapping with the field {name!r}")
    fields = cast("Mapping[str, Any]", values)
    if name not in fields:
        raise fault(role, f"lacks the field {name!r}; it has {sorted(fields)}")
    return fields[name]


def _plain(values: Values, role: Role) -> NDArray[Any]:
    """One-dimensional array without checks of its content; big integers stay exact."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise fault(role, f"is not a column of values ({error})") from error
    if isinstance(values, list | tuple):
        items = cast("Sequence[Any]", values)
        inexact = array.dtype.kind == "f" and all(isinstance(v, int) for v in items)
        mixed = array.dtype.kind == "U" and not all(isinstance(v, str) for v in items)
        if inexact or mixed:
            array = np.empty(len(items), dtype=object)
            array[:] = items
    if array.ndim != 1:
        raise fault(role, f"must be one column of values, not of shape {array.shape}")
    return array


def real(values: Values, role: Role) -> Floats:
    """Finite float64 of shape (n,)."""
    array = _numbers(_plain(values, role), role)
    _require_finite(array, role)
    return array


def unchecked(values: Values, role: Role) -> Floats:
    """Float64 of shape (n,) whose values the caller has yet to check."""
    return _numbers(_plain(values, role), role)


def matrix(values: Values, role: Role) -> Floats:
    """Finite float64 of shape (n, m)."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise fault(role, f"is not a table: its rows differ in length ({error})") from error
    if array.ndim != 2:
        raise fault(role, f"must have shape (rows, columns), not {array.shape}")
    array = _numbers(array, role)
    _require_finite(array, role)
    return array


def _numbers(array: NDArray[Any], role: Role) -> Floats:
    if array.dtype.kind in "USOcMmV":
        try:
            if array.dtype.kind != "O" or any(isinstance(v, str | bytes) for v in array.flat):
                raise fault(role, f"must hold numbers, not {array.dtype}")
            array = array.astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise fault(role, f"must hold numbers ({error})") from error
    return array.astype(np.float64, copy=False)


def _require_finite(array: Floats, role: Role) -> None:
    flat = np.ravel(array)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        # NaN and infinity alike are above every finite magnitude in the order of their bits
        bits = block.view(np.uint64) & _MAGNITUDE
        if int(bits.max()) >= _INFINITY:
            wrong = np.flatnonzero(~np.isfinite(flat))
            raise fault(
                role,
                f"holds {wrong.size} values that are NaN or infinite, "
                f"the first at row {wrong[0] * len(array) // array.size}",
            )


def binary(values: Values, role: Role) -> NDArray[np.bool_]:
    """Booleans of shape (n,) from 0/1 or False/True."""
    return _as_bool(_plain(values, role), role)


def binary_matrix(values: Values, role: Role) -> NDArray[np.bool_]:
    """Booleans of shape (n, m) from 0/1."""
    array = matrix(values, role)
    return _as_bool(array.ravel(), role).reshape(array.shape)


def _as_bool(array: NDArray[Any], role: Role) -> NDArray[np.bool_]:
    if array.dtype.kind == "b":
        return array
    whole = _zeros_and_ones(array, role)
    out = np.empty(array.shape, dtype=np.bool_)
    for start in range(0, array.size, BLOCK):
        np.not_equal(whole[start : start + BLOCK], 0, out=out[start : start + BLOCK])
    return out


def _zeros_and_ones(array: NDArray[Any], role: Role) -> NDArray[Any]:
    """The numbers themselves, each of which is 0 or 1."""
    if array.dtype.kind not in "iu":
        array = _numbers(array, role)
    for start in range(0, array.size, BLOCK):
        block = array[start : start + BLOCK]
        if array.dtype == np.int64 and block.view(np.uint64).max() <= 1:
            continue
        wrong = block[(block != 0) & (block != 1)]
        if wrong.size:
            raise fault(role, f"must hold 0 and 1 only, found {wrong[0]}")
    return array


def binary_integers(values: Values, role: Role) -> NDArray[Any]:
    """Signed integers or booleans of shape (n,), each 0 or 1; such are not copied."""
    array = _plain(values, role)
    if array.dtype.kind == "i":
        return _zeros_and_ones(array, role)
    return _as_bool(array, role)


def probability(values: Values, role: Role) -> Floats:
    """Float64 of shape (n,) within [0, 1]."""
    array = _numbers(_plain(values, role), role)
    require_range(array, role, low=0.0, high=1.0)
    return array


def require_range(
    array: Floats, role: Role, *, low: float | None = None, high: float | None = None
) -> None:
    """Refuse NaN, infinity and values outside [low, high]."""
    if not array.size:
        return
    smallest, largest = extremes(array)
    if not (math.isfinite(smallest) and math.isfinite(largest)):  # of NaN, both are NaN
        _require_finite(array, role)
    if low is not None and smallest < low:
        raise fault(role, f"holds {smallest}, below {low}")
    if high is not None and largest > high:
        raise fault(role, f"holds {largest}, above {high}")


def extremes(array: Floats) -> tuple[float, float]:
    """Smallest and largest value, both NaN if there is one, in one pass over the memory."""
    flat = np.ravel(array)
    low = high = flat[0]
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        low, high = np.minimum(low, block.min()), np.maximum(high, block.max())
    return float(low), float(high)


def labels(values: Values, role: Role) -> NDArray[Any]:
    """Labels of shape (n,): integers, booleans, strings, or finite floats.

    Text such as "NA", "null" or "None" is text; a missing value is a fault.
    """
    array = _plain(values, role)
    if array.dtype.kind in "iubU":
        return array
    if array.dtype.kind == "f":
        _require_finite(array.astype(np.float64, copy=False), role)
        return array
    if array.dtype.kind == "T":
        return array.astype(object)
    if array.dtype.kind != "O":
        raise fault(role, f"labels cannot be of dtype {array.dtype}")
    strings = sum(isinstance(v, str) for v in array)
    numbers = sum(isinstance(v, int | np.integer) for v in array)
    if strings != len(array) and numbers != len(array):
        raise fault(role, "labels must be all text or all integers, none missing")
    return array


def label_pair(y_true: Values, y_pred: Values) -> tuple[NDArray[Any], NDArray[Any]]:
    """True and predicted labels of one kind and equal length."""
    true, pred = labels(y_true, "y_true"), labels(y_pred, "y_pred")
    require_same_length(true, pred)
    if _is_text(true) != _is_text(pred):
        raise InvalidSubmissionError(
            f"y_pred: labels of dtype {pred.dtype} cannot equal true labels of dtype {true.dtype}"
        )
    if true.dtype.kind != pred.dtype.kind and "O" in (true.dtype.kind + pred.dtype.kind):
        true, pred = true.astype(object), pred.astype(object)
    return true, pred


def _is_text(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "U" or (array.dtype.kind == "O" and isinstance(array[0], str))


def text(values: Values, role: Role) -> list[str]:
    """A list of strings; anything else in it is a fault."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise fault(role, "must be a column of strings")
    items: list[Any] = list(values)
    for row, item in enumerate(items):
        if not isinstance(item, str):
            raise fault(role, f"row {row} is {item!r}, not a string")
    return cast("list[str]", items)


def lists(values: Values, role: Role) -> list[list[Any]]:
    """A list of lists, one a row; rows that are lists are the caller's own, to be read only."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise fault(role, "must be a column of lists")
    rows: list[Any] = list(values)
    for number, row in enumerate(rows):
        if type(row) is list:
            continue
        if isinstance(row, str | bytes) or not hasattr(row, "__iter__"):
            raise fault(role, f"row {number} is {row!r}, not a list")
        rows[number] = list(row)
    return rows


def tokens(values: Values, role: Role) -> list[list[Any]]:
    """A list of lists, one a row; a row of text is parted at white space."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise fault(role, "must be a column of lists or of text")
    return lists([row.split() if isinstance(row, str) else row for row in values], role)


def require_same_length(true: Values, pred: Values) -> None:
    """Refuse predictions of another length or shape than the truth, and empty data."""
    shape_true, shape_pred = _shape(true), _shape(pred)
    if shape_true != shape_pred:
        raise InvalidSubmissionError(f"y_pred has shape {shape_pred}, y_true {shape_true}")
    if 0 in shape_true:
        raise InvalidInputError("there is nothing to score: y_true is empty")


def _shape(values: Values) -> tuple[int, ...]:
    return cast("NDArray[Any]", values).shape if isinstance(values, np.ndarray) else (len(values),)


def weights(values: Values, n: int) -> Floats:
    """Sample weights of shape (n,), not negative, not all zero."""
    array = real(values, "y_true")
    if len(array) != n:
        raise InvalidInputError(f"sample_weight has {len(array)} values for {n} rows")
    if array.min() < 0 or array.sum() <= 0:
        raise InvalidInputError("sample_weight must not be negative, nor all zero")
    return array
