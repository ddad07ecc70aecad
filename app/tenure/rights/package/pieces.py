"""A package in the object store: sealed pieces under opaque names, written as they come, read one by one.

    packages/TENANT/FOLDER/000000, 000001, …        each at most `PIECE` bytes of the ZIP

Each piece is a sealed part of its own (`keys.seal`): its key and its associated data are of its number, of
whether it is the last, and of the package. So pieces that were moved, repeated, left out, or of another
package or attempt do not open, and neither does a package that was cut short at a piece's end.
"""

import io
from hashlib import sha256
from typing import Final, NamedTuple

from tenure.cold.objects import Objects
from tenure.errors import Tampered
from tenure.keys.seal import Binding, OpenedKey

PIECE: Final = 4 << 20
FOLDER: Final = "packages"
SCOPE: Final = "tenure.packages"


class Written(NamedTuple):
    """What was written: how many pieces, and size and SHA-256 (hex) of what is in them."""

    pieces: int
    size: int
    sha256: str


def binding(tenant_id: str, package_id: str) -> Binding:
    """What a package is sealed to."""
    return Binding(tenant_id, SCOPE, package_id, 0)


def name_of(tenant_id: str, folder: str, number: int) -> str:
    """The name of a piece."""
    return f"{FOLDER}/{tenant_id}/{folder}/{number:06d}"


def drop(objects: Objects, tenant_id: str, folder: str) -> int:
    """Remove every piece in a folder; how many there were. Safe to repeat."""
    found = list(objects.names(f"{FOLDER}/{tenant_id}/{folder}"))
    for name in found:
        objects.delete(name)
    return len(found)


class Sealing(io.RawIOBase):
    """What a ZIP is written to. `finish` writes the last piece and says what came of it.

    A crash under way leaves pieces that nothing opens: their header is stored once all of them are.
    """

    def __init__(self, objects: Objects, opened: OpenedKey, tenant_id: str, folder: str) -> None:
        super().__init__()
        self._objects = objects
        self._opened = opened
        self._place = tenant_id, folder
        self._waiting = bytearray()
        self._pieces = self._size = 0
        self._digest = sha256()

    def writable(self) -> bool:
        """It is: but not seekable, so that what is written stays as it is."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # what `zipfile` gives
        """Take some of it."""
        self._waiting += data
        self._digest.update(data)
        self._size += len(data)
        while len(self._waiting) > PIECE:  # the last one is not known to be that yet
            self._put(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return len(data)

    def finish(self) -> Written:
        """Put what is left, as the last piece."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()
        return Written(self._pieces, self._size, self._digest.hexdigest())

    def _put(self, data: bytes, *, last: bool) -> None:
        sealed = self._opened.seal(_part(self._pieces, last=last), data)
        self._objects.put(name_of(*self._place, self._pieces), sealed)
        self._pieces += 1


def get(objects: Objects, tenant_id: str, folder: str, number: int) -> bytes:
    """A piece as it is stored. Tampered when it is not there; Unavailable when that cannot be told now."""
    found = objects.get(name_of(tenant_id, folder, number))
    if found is None:
        raise Tampered(
            "A piece of an access package is not in the object store; nothing more was given out.",
            rule="package-piece",
            remedy="Find out who or which lifecycle rule removed it, and have the package made again.",
        )
    return found


def opened(key: OpenedKey, sealed: bytes, number: int, *, last: bool) -> bytes:
    """What a piece says. Tampered when it is not that piece of this package, whole."""
    return key.open(_part(number, last=last), sealed)


def _part(number: int, *, last: bool) -> str:
    return f"piece/{number}/last" if last else f"piece/{number}"
