"""The end of a published log, from some entry on: what a database that went back reads to be brought up."""

from collections.abc import Iterable, Iterator, Sequence

from tenure.errors import Malformed, Unverified
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, decode_bundle
from tenure.ledger.tree import Tree
from tenure.ledger.walk import Source


def entries_of(read: Source, n: int, width: int) -> list[bytes]:
    """The first `width` entries of the `n`th bundle. Unverified when they are not there or cannot be read."""
    wanted = TileId(ENTRIES, n, width)
    raw = read(wanted.path)
    if raw is None and width < WIDTH:  # a full bundle replaces partial ones later
        raw = read(wanted.full.path)
    if raw is None:
        raise Unverified("bundle-missing", f"{wanted.path} is not there.")
    try:
        found = decode_bundle(raw)
    except Malformed as failure:
        raise Unverified("bundle-format", f"{wanted.path} cannot be taken apart.") from failure
    if len(found) < width:
        raise Unverified("bundle-missing", f"{wanted.path} is not complete.")
    return found[:width]


def entries_from(read: Source, first: int, end: int) -> Iterator[list[bytes]]:
    """Entries first … end - 1, bundle by bundle. Raises what `entries_of` raises."""
    for n in range(first // WIDTH, -(-end // WIDTH)):
        found = entries_of(read, n, min(WIDTH, end - n * WIDTH))
        yield found[max(first - n * WIDTH, 0) :]


class Growing:
    """A tree that grows by entries: the tiles it changed, and its roots at sizes of interest."""

    def __init__(self, tree: Tree, milestones: Iterable[int]) -> None:
        self.tree = tree
        self.roots: dict[int, bytes] = {}
        self._milestones = sorted(set(milestones))
        self._tiles: dict[tuple[int, int], bytes] = {}

    def grow(self, entries: Sequence[bytes]) -> None:
        """Append entries, stopping at each milestone for the root."""
        start, end = self.tree.size, self.tree.size + len(entries)
        self.roots = {size: root for size, root in self.roots.items() if size in self._milestones}
        stops = [size for size in self._milestones if start < size < end]
        for stop in [*stops, end]:
            hashes = [leaf_hash(entry) for entry in entries[self.tree.size - start : stop - start]]
            self._tiles |= {(one.level, one.n): one.data for one in self.tree.append(hashes)}
            self.roots[stop] = self.tree.root()

    def changed(self) -> dict[tuple[int, int], bytes]:
        """(level, n) → the present content of each tile that changed since this was asked last."""
        tiles, self._tiles = self._tiles, {}
        return tiles
