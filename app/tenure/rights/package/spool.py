"""Where gathered items wait to be written twice, for machines and for people: on disk, under a key in memory.

The file has no name, and its key is made for it and kept nowhere: a crash, or a look at the disk, leaves
nothing that opens. So a package of any size needs the memory of one item.
"""

import json
import struct
import tempfile
from collections.abc import Iterator
from typing import Any, Final, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.keys.secret import fresh_key, wipe
from tenure.ledger.canonical import canonical

_FRAME: Final = struct.Struct(">I")
_IN_MEMORY: Final = 1 << 20


class Spool:
    """JSON values, in the order in which they were added."""

    def __init__(self) -> None:
        self._key = fresh_key()
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self.count = 0
        self.size = 0
        """Bytes of all of them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget all of it."""
        wipe(self._key)
        self._file.close()

    def add(self, item: Any) -> None:  # noqa: ANN401 - any JSON
        """One more."""
        # Under a key of its own a counter is a nonce that never comes twice.
        sealed = AESGCM(self._key).encrypt(self._nonce(self.count), canonical(item), None)
        self._file.write(_FRAME.pack(len(sealed)) + sealed)
        self.count += 1
        self.size += len(sealed)

    def __iter__(self) -> Iterator[Any]:
        """All that were added so far. One at a time is iterated over."""
        self._file.seek(0)
        for number in range(self.count):
            (length,) = _FRAME.unpack(self._file.read(_FRAME.size))
            yield json.loads(AESGCM(self._key).decrypt(self._nonce(number), self._file.read(length), None))
        self._file.seek(0, 2)

    @staticmethod
    def _nonce(number: int) -> bytes:
        return number.to_bytes(12)
