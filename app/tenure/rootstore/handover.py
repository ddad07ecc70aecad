"""Two root stores while the root key moves from one to the other: new versions in the new store only.

A rotation then does the move: its version is made in the new store, the cell manifest is sealed anew, and the
last version of the old store is destroyed like any other. No data is touched.
"""

from tenure.errors import KeyFailure, RootLost
from tenure.keys.rootstore import Capabilities, Destruction, RootStore, RootVersions


class Handover:
    """A root store over an old one and the new one that takes over."""

    def __init__(self, old: RootStore, new: RootStore) -> None:
        self._old = old
        self._new = new
        self._kept: dict[int, RootStore] = {}
        """Which store has a version: that never changes."""

    def capabilities(self) -> Capabilities:
        """The new store's provider. The guarantee names both: versions of either are destroyed here."""
        old, new = self._old.capabilities(), self._new.capabilities()
        both = f"Of root versions kept by {new.provider}: {new.guarantee} "
        both += f"Of root versions kept by {old.provider}: {old.guarantee}"
        return Capabilities(new.provider, both, previous=old)

    def create(self, op_id: str, *, above: int = 0) -> int:
        """A version in the new store, numbered above both; an operation that began in the old one ends there.

        The old store makes no versions any more, so that nobody can take a number there meanwhile.
        """
        old = self._old.list()
        for known in old:
            if known.op_id == op_id:
                return known.version
        return self._new.create(op_id, above=max(above, *(known.version for known in old), 0))

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        """With the store that has the version."""
        return self._keeper(version).seal(version, data, aad)

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        """With the store that has the version."""
        return self._keeper(version).unseal(version, sealed, aad)

    def destroy(self, version: int, op_id: str) -> Destruction:
        """With the store that has the version."""
        return self._keeper(version).destroy(version, op_id)

    def list(self) -> RootVersions:
        """Both stores' versions, oldest first. KeyFailure when both have one of the same number."""
        old, new = self._old.list(), self._new.list()
        if {one.version for one in old} & {one.version for one in new}:
            raise KeyFailure(
                "Both root stores have a version of the same number: the new one served another cell before, "
                "or this one with another store. Nothing was opened.",
                field="TENURE_ROOT_STORE",
                rule="one number, one store",
                remedy="Give the new store a fresh place: another cell= or directory.",
            )
        return sorted((*old, *new), key=lambda one: one.version)

    def _keeper(self, version: int) -> RootStore:
        if version not in self._kept:
            for store in (self._old, self._new):
                for known in store.list():
                    self._kept[known.version] = store
        if version not in self._kept:
            raise RootLost(
                "Neither root store knows that version. Nothing was opened or changed.",
                remedy="Check TENURE_ROOT_STORE and TENURE_ROOT_STORE_PREVIOUS.",
            )
        return self._kept[version]
