"""The one length-prefix encoding of every key format, and its strict reader."""

from tenure.errors import Tampered
from tenure.keys.secret import Octets, Secret


def lp(*parts: Octets) -> bytes:
    """Each part after its length (u32, big-endian), joined: two different sequences never encode alike.

    Raises OverflowError for a part of 4 GiB or more.
    """
    return b"".join([len(part).to_bytes(4) + part for part in parts])


class Reader:
    """Takes fields off a byte string, front to back. Every failure is Tampered: nothing is repaired."""

    __slots__ = ("_at", "_data", "_rule", "_what")

    def __init__(self, data: Octets, what: str, *, rule: str = "key-format") -> None:
        """`what` and `rule` name the format in errors."""
        self._data = memoryview(data)
        self._at = 0
        self._what = what
        self._rule = rule

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        return bytes(self._next(length))

    def secret(self, length: int) -> Secret:
        """The next `length` bytes, which are a key."""
        return Secret(self._next(length))

    def number(self, width: int) -> int:
        """The next unsigned big-endian integer of `width` bytes."""
        return int.from_bytes(self.take(width))

    def prefixed(self) -> bytes:
        """The next length-prefixed part."""
        return self.take(self.number(4))

    def expect(self, literal: bytes) -> None:
        """The next bytes must be these: magic and format version."""
        if self.take(len(literal)) != literal:
            raise self.bad("it is of another format or format version")

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            raise self.bad("it has bytes after its end")

    def _next(self, length: int) -> memoryview:
        end = self._at + length
        if end > len(self._data):
            raise self.bad("it ends too early")
        found = self._data[self._at : end]
        self._at = end
        return found

    def bad(self, why: str) -> Tampered:
        """The error for this input."""
        return Tampered(
            f"A {self._what} cannot be read: {why}. Nothing was opened; restore it from a good copy.",
            rule=self._rule,
        )
