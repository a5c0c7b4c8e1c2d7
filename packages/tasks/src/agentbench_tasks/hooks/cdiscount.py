"""Cdiscount: products in one BSON file, their pictures inside, to a table and JPEG files."""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

from agentbench_tasks.errors import PreparationError


def convert(raw: Path) -> None:
    """Write `products.csv` and `images/<_id>_<number>.jpg` from `train.bson`."""
    source = raw / "train.bson"
    if not source.is_file():
        raise PreparationError(f"raw file train.bson is missing from {raw}")
    images = raw / "images"
    images.mkdir(exist_ok=True)
    rows: list[dict[str, object]] = []
    with source.open("rb") as file:
        for product in _documents(file):
            rows.append({"_id": product["_id"], "category_id": product["category_id"]})
            pictures = product["imgs"]
            for number, picture in enumerate(pictures if isinstance(pictures, list) else []):
                (images / f"{product['_id']}_{number}.jpg").write_bytes(picture)
    pl.DataFrame(rows).write_csv(raw / "products.csv")


def _documents(file: BinaryIO) -> Iterator[dict[str, int | list[bytes]]]:
    """Documents of the types this file has: int32, an array of documents, binary."""
    while head := file.read(4):
        (size,) = struct.unpack("<i", head)
        body = file.read(size - 4)
        if len(body) != size - 4:
            raise PreparationError("train.bson is cut short")
        yield _document(body)


def _document(body: bytes) -> dict[str, int | list[bytes]]:
    fields: dict[str, int | list[bytes]] = {}
    for name, kind, value in _elements(body):
        if kind == 0x10:
            fields[name] = struct.unpack("<i", value)[0]
        elif kind == 0x12:
            fields[name] = struct.unpack("<q", value)[0]
        elif kind == 0x04:
            fields[name] = [
                picture
                for _, _, item in _elements(value[4:])
                for _, _, picture in _elements(item[4:])
            ]
    return fields


def _elements(body: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Name, type and value of each element of a BSON document without its length."""
    at = 0
    while body[at]:
        kind = body[at]
        end = body.index(0, at + 1)
        name = body[at + 1 : end].decode()
        at = end + 1
        if kind in {0x03, 0x04}:
            size = struct.unpack_from("<i", body, at)[0]
            start = at
        elif kind == 0x05:
            size = struct.unpack_from("<i", body, at)[0]
            start = at = at + 5
        elif kind in {0x10, 0x12}:
            size = 4 if kind == 0x10 else 8
            start = at
        else:
            raise PreparationError(f"train.bson holds a field {name!r} of unknown type {kind:#x}")
        yield name, kind, body[start : start + size]
        at = start + size


def disguise(raw: Path) -> None:
    """The reverse of `convert`, for stand-ins: products and pictures into `train.bson`."""
    with (raw / "train.bson").open("wb") as file:
        for row in pl.read_csv(raw / "products.csv").iter_rows(named=True):
            picture = (raw / "images" / f"{row['_id']}_0.jpg").read_bytes()
            binary = b"\x05picture\0" + struct.pack("<ib", len(picture), 0) + picture
            item = b"\x030\0" + _sized(binary)
            fields = b"".join(
                b"\x10" + name.encode() + b"\0" + struct.pack("<i", row[name])
                for name in ("_id", "category_id")
            )
            file.write(_sized(fields + b"\x04imgs\0" + _sized(item)))
    shutil.rmtree(raw / "images")
    (raw / "products.csv").unlink()


def _sized(body: bytes) -> bytes:
    return struct.pack("<i", len(body) + 5) + body + b"\0"
