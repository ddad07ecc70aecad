"""PostgreSQL's text forms of the few types that Tenure stores: parameters, arrays, results.

Building them by string joins costs a small part of what a general adapter does per value, and a batch has
hundreds of values. Forms: PostgreSQL documentation, "Arrays" §8.15.2 and "Binary Data Types" §8.4.1.
"""

from binascii import a2b_hex, b2a_hex
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, Uuid
from sqlalchemy.types import TypeEngine

Decode = Callable[[bytes], Any]


def parameter(value: Any) -> bytes | None:  # noqa: ANN401
    """One value: text, number, bytes, None, or a list of texts or of numbers (as an array)."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return b"\\x" + b2a_hex(value)
    if isinstance(value, list):
        return plain(value) if value and isinstance(value[0], int) else texts(value)
    return str(value).encode()


def array_encoder(column: Column[Any]) -> Callable[[Iterable[Any]], bytes]:
    """How a column's values become one array."""
    if isinstance(column.type, LargeBinary):
        return binaries
    if isinstance(column.type, Uuid | Integer):
        return plain
    return texts


def plain(values: Iterable[Any]) -> bytes:
    """An array of numbers or ids: nothing in them needs quoting."""
    return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}".encode()


def texts(values: Iterable[str | None]) -> bytes:
    """An array of texts, each quoted. Most need no escapes, which one look at all of them together tells."""
    given = list(values)
    known = [value for value in given if value is not None]
    whole = "".join(known)
    if known and len(known) == len(given) and '"' not in whole and "\\" not in whole:
        return ('{"' + '","'.join(known) + '"}').encode()
    return f"{{{','.join([_quoted(value) for value in given])}}}".encode()


def binaries(values: Iterable[bytes | None]) -> bytes:
    """An array of byte strings in hex form."""
    items = ["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]
    return f"{{{','.join(items)}}}".encode()


def decoder(kind: TypeEngine[Any]) -> Decode:
    """How a column's text comes back."""
    if isinstance(kind, LargeBinary):
        return _binary
    return int if isinstance(kind, Integer) else bytes.decode


def _binary(value: bytes) -> bytes:
    return a2b_hex(value[2:])


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
