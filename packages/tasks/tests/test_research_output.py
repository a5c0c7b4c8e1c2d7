"""What a method wrote is read by the host: whatever the bytes are, an array or a refusal."""

import io
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbench_tasks.research_score import InvalidOutputError, OutputReader

BODY = np.arange(6.0).tobytes()


def npy(header: str | bytes, body: bytes = BODY, version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode("latin-1") if isinstance(header, str) else header
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes(version) + length + text + b"\n" + body


def head(descr: str, shape: str = "(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.fixture
def reader(tmp_path: Path) -> OutputReader:
    return OutputReader(tmp_path, max_bytes=1 << 20)


DTYPES = ["<f2", "<f4", ">f8", "|i1", "<u2", ">i4", "<u8"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (0, 4), (2, 3, 4)])
def test_what_numpy_saves_is_read(
    dtype: str, order: Literal["C", "F"], shape: tuple[int, ...], reader: OutputReader
) -> None:
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape), dtype, order=order)
    np.save(reader.folder / "a.npy", array)
    for found in (reader("a", shape), reader("a", (None,) * len(shape))):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, array)
    if array.dtype.kind != "f":
        np.testing.assert_array_equal(reader("a", shape, "int"), array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_format_are_read(
    version: tuple[int, int], reader: OutputReader
) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ones((2, 3)), version=version)
    (reader.folder / "a.npy").write_bytes(buffer.getvalue())
    assert reader("a", (2, 3)).sum() == 6


REFUSED: dict[str, bytes] = {
    # Each of the first nine made numpy's reader raise something that is no ValueError.
    "brackets without an end": npy("{" + "(" * 3000),
    "a text without an end": npy("'''abc"),
    "a tower of signs": npy("-" * 3900 + "1"),
    "booleans as a shape": npy(head("'<f8'", "(True, True)"), BODY[:8]),
    "a tuple as dtype": npy(head("('f8',)")),
    "unhashable keys": npy("{[]: 1}"),
    "keys of two kinds": npy("{1: 2, 'descr': 3}"),
    "keys of bytes": npy("{'descr': '<f8', b'fortran_order': False, 'shape': (2, 3), }"),
    "a width of one bit": npy(head("'<f1'")),
    "Python objects": npy(head("'|O'")),
    "a table with objects": npy(head("[('a', 'O')]")),
    "a table": npy(head("[('a', '<f8')]")),
    "an array in every cell": npy(head("('<f4', (2,))")),
    "negative lengths": npy(head("'<f8'", "(-2, -3)")),
    "one dimension more": npy(head("'<f8'", "(2, 3, 1)")),
    "one dimension less": npy(head("'<f8'", "(6,)")),
    "a row that would be broadcast": npy(head("'<f8'", "(1, 3)"), BODY[:24]),
    "a number that would be broadcast": npy(head("'<f8'", "()"), BODY[:8]),
    "enormous lengths": npy(head("'<f8'", f"(2, {10**17})")),
    "endless digits": npy(head("'<f8'", f"({'9' * 3900},)")),
    "an enormous width": npy(head("'<f999999999'")),
    "an enormous header": npy(head("'<f8'") + " " * 60000),
    "complex numbers": npy(head("'<c16'"), BODY * 2),
    "dates": npy(head("'<M8[s]'")),
    "truth values": npy(head("'|b1'"), BODY[:6]),
    "texts of no length": npy(head("'<U0'"), b""),
    "too few bytes": npy(head("'<f8'"), BODY[:40]),
    "too many bytes": npy(head("'<f8'"), BODY + b"x"),
    "an unknown version": npy(head("'<f8'"), version=(9, 9)),
    "not a number": npy(head("'<f8'"), np.full(6, np.nan).tobytes()),
    "infinite": npy(head("'<f8'"), np.full(6, -np.inf).tobytes()),
    "zeros": b"\0" * 200,
    "nothing": b"",
    "the first six bytes": b"\x93NUMPY",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ["float", "int"])
def test_everything_else_is_refused_in_one_sentence(
    name: str, kind: str, reader: OutputReader
) -> None:
    (reader.folder / "a.npy").write_bytes(REFUSED[name])
    with pytest.raises(InvalidOutputError) as caught:
        reader("a", (2, 3), kind)
    assert len(str(caught.value)) < 300


def test_numbers_with_a_point_are_no_integers(reader: OutputReader) -> None:
    np.save(reader.folder / "a.npy", np.ones((2, 3)))
    with pytest.raises(InvalidOutputError, match="expected int"):
        reader("a", (2, 3), "int")


GOOD = npy(head("'<f8'"))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(6, len(GOOD)), st.integers(0, 4), st.binary(max_size=4)),
        min_size=1,
        max_size=6,
    )
)
def test_spoilt_bytes_are_an_array_or_a_refusal(
    edits: list[tuple[int, int, bytes]], reader: OutputReader
) -> None:
    data = bytearray(GOOD)
    for place, removed, put in edits:
        data[place : place + removed] = put
    (reader.folder / "a.npy").write_bytes(bytes(data))
    try:
        found = reader("a", (2, 3))
    except InvalidOutputError:
        return
    assert found.shape == (2, 3)
    assert np.isfinite(found).all()
