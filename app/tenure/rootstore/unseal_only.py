"""A root store that can open and nothing else: for drills."""

from typing import NoReturn

from tenure.errors import KeyFailure
from tenure.keys.rootstore import Capabilities, Destruction, RootStore, RootVersions


class UnsealOnly:
    """Wraps a store. Whatever would change it, or seal anew, raises KeyFailure."""

    def __init__(self, roots: RootStore) -> None:
        self._roots = roots

    def capabilities(self) -> Capabilities:
        """The store's own."""
        return self._roots.capabilities()

    def create(self, op_id: str, *, above: int = 0) -> int:
        """Refused."""
        _refuse(op_id, above)

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        """Refused."""
        _refuse(version, data, aad)

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        """The store's own."""
        return self._roots.unseal(version, sealed, aad)

    def destroy(self, version: int, op_id: str) -> Destruction:
        """Refused."""
        _refuse(version, op_id)

    def list(self) -> RootVersions:
        """The store's own."""
        return self._roots.list()


def _refuse(*_given: object) -> NoReturn:
    raise KeyFailure("A drill may only open; the root store was not touched.", rule="read-only")
