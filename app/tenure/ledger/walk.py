"""Reading a published log from end to end: raw entries, the tree they make, and what does not fit.

Two trees are kept where one would do for an intact log: one over the hashes of the raw entries, and from
the first disagreement on one over the hashes that the level-0 tiles claim. Which of them has the signed
root tells whether the entries or the tiles were changed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tenure.errors import Malformed
from tenure.ledger.merkle import HASH_SIZE, leaf_hash
from tenure.ledger.report import Failure
from tenure.ledger.tile import (
    ENTRIES,
    WIDTH,
    TileId,
    decode_bundle,
    expected_bundles,
    expected_tiles,
    split_tile,
)
from tenure.ledger.tree import Tree

Source = Callable[[str], bytes | None]
"""Path below the log's base → content, or None when there is nothing."""


class Growth:
    """A tree being rebuilt, with its tiles above level 0 and its roots at sizes of interest."""

    def __init__(self, milestones: Iterable[int]) -> None:
        self.tree = Tree()
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.roots: dict[int, bytes] = {}
        self._milestones = sorted(set(milestones))

    def copy(self) -> "Growth":
        """An independent copy."""
        other = Growth(self._milestones)
        other.tree, other.tiles, other.roots = self.tree.copy(), dict(self.tiles), dict(self.roots)
        return other

    def grow(self, hashes: Sequence[bytes]) -> None:
        """Append leaf hashes, stopping at each milestone for the root."""
        start, end = self.tree.size, self.tree.size + len(hashes)
        at = start
        for stop in [size for size in self._milestones if start < size <= end] + [end]:
            for write in self.tree.append(hashes[at - start : stop - start]):
                if write.level:
                    self.tiles[write.level, write.n] = write.data
            at = stop
            self.roots[stop] = self.tree.root()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place in the log: the raw entry, None when it is missing, and whether its tile agrees."""

    index: int
    entry: bytes | None
    agrees: bool


@dataclass(slots=True)
class Walk:
    """One pass over a log of `size` entries. Iterate `leaves` to the end, then look at the results."""

    read: Source
    size: int
    milestones: tuple[int, ...] = ()
    failures: list[Failure] = field(default_factory=list)
    disagreeing: list[int] = field(default_factory=list)
    missing: list[TileId] = field(default_factory=list)
    stopped: bool = False
    """True when neither entries nor hashes were there, so that no root could be made."""
    recomputed: Growth = field(init=False)
    claimed: Growth | None = None

    def __post_init__(self) -> None:
        self.recomputed = Growth(self.milestones)

    def leaves(self) -> Iterator[Leaf]:
        """Every leaf in order, as long as there is something to go on."""
        for bundle in expected_bundles(self.size):
            entries = self._entries(bundle)
            claims = self._claims(TileId(0, bundle.n, bundle.width))
            hashes = [
                claim if entry is None else leaf_hash(entry)
                for entry, claim in zip(entries, claims, strict=True)
            ]
            known = [digest for digest in hashes if digest is not None]
            if len(known) < len(hashes):
                self.stopped = True
                return
            self._grow(known, [claim or digest for claim, digest in zip(claims, known, strict=True)])
            for place, entry in enumerate(entries):
                index = bundle.n * WIDTH + place
                agrees = claims[place] in (None, hashes[place])
                if not agrees:
                    self.disagreeing.append(index)
                yield Leaf(index, entry, agrees)

    def missing_tail(self) -> set[int]:
        """Indexes of the missing bundles that run to the log's end."""
        gone = {bundle.n for bundle in self.missing}
        n = (self.size - 1) // WIDTH
        if self.stopped and gone and self._bundle(TileId(ENTRIES, n, self.size - n * WIDTH))[0] is None:
            n = max(gone)  # nothing between the stop and the end was looked at; the end is not there
        tail: set[int] = set()
        while n in gone:
            tail.add(n)
            n -= 1
        return tail

    def compare_upper_tiles(self, growth: Growth) -> None:
        """Compare every served tile above level 0 with the rebuilt one."""
        for tile in expected_tiles(self.size):
            if not tile.level:
                continue
            served = read_tile(self.read, tile)
            if served is None:
                self.failures.append(Failure("tile-missing", f"{tile.path} is not there."))
            elif served != growth.tiles[tile.level, tile.n]:
                self.failures.append(Failure("tile-mismatch", f"{tile.path} is not what the entries make."))

    def _grow(self, hashes: list[bytes], claims: list[bytes]) -> None:
        if self.claimed is None and claims != hashes:
            self.claimed = self.recomputed.copy()
        self.recomputed.grow(hashes)
        if self.claimed is not None:
            self.claimed.grow(claims)

    def _entries(self, bundle: TileId) -> list[bytes | None]:
        """The bundle's entries, None where there is none."""
        nothing: list[bytes | None] = [None] * bundle.width
        raw, exact = self._bundle(bundle)
        if raw is None:
            self.missing.append(bundle)
            return nothing
        try:
            entries = decode_bundle(raw)
        except Malformed:
            self.failures.append(Failure("bundle-format", f"{bundle.path} cannot be taken apart."))
            return nothing
        if len(entries) > bundle.width and exact:
            self.failures.append(
                Failure("bundle-format", f"{bundle.path} holds more entries than its place.")
            )
        if len(entries) < bundle.width:
            self.missing.append(bundle)
        return [*entries[: bundle.width], *nothing[len(entries) :]]

    def _bundle(self, bundle: TileId) -> tuple[bytes | None, bool]:
        """A bundle's content, and whether it is of this width: a full one replaces partial ones later."""
        raw = self.read(bundle.path)
        if raw is None and bundle.width < WIDTH:
            return self.read(bundle.full.path), False
        return raw, True

    def _claims(self, tile: TileId) -> Sequence[bytes | None]:
        """The level-0 hashes as served, None where there is none."""
        nothing = [None] * tile.width
        raw = read_tile(self.read, tile)
        if raw is None:
            self.failures.append(Failure("tile-missing", f"{tile.path} is not there."))
            return nothing
        if len(raw) != tile.width * HASH_SIZE:
            self.failures.append(Failure("tile-mismatch", f"{tile.path} has not its {tile.width} hashes."))
            return nothing
        return split_tile(raw)


def read_tile(read: Source, tile: TileId) -> bytes | None:
    """A tile's content at its width; a partial one may have been replaced by the full one since."""
    raw = read(tile.path)
    if raw is None and tile.width < WIDTH:
        full = read(tile.full.path)
        raw = full[: tile.width * HASH_SIZE] if full else None
    return raw
