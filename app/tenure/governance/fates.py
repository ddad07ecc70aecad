"""What becomes of versions once leaves are punctured: gone, kept for a hold, still somebody's."""

from collections.abc import Sequence
from typing import NamedTuple

from tenure.crew import Desk
from tenure.keyring import TenantKeyring
from tenure.keys import segments
from tenure.keys.seal import header_leaves
from tenure.store.records import Place, StoredVersion


class Fates(NamedTuple):
    """What becomes of versions: nothing opens them any more; only a hold does; somebody still reads them.

    Of those that stay, `cut` holds what is left of the contents of which some segments go, and `partly` those
    of which only a hold keeps some.
    """

    dead: list[Place]
    held: list[Place]
    open: list[Place]
    cut: list[tuple[Place, bytes]]
    partly: list[Place]
    segments: int
    """How many segments go."""
    packed: int = 0
    """Of how many versions what goes lies in a pack, which nobody rewrites for it."""

    def counts(self) -> dict[str, int]:
        """For the findings of an erasure."""
        return {
            "purged": len(self.dead),
            "kept": len(self.open),
            "held": len(self.held) + len(self.partly),
            "segments": self.segments,
            "packed": self.packed,
        }


def judged(desk: Desk, found: Sequence[StoredVersion]) -> Fates:
    """What becomes of these versions, now that leaves are punctured. By their headers alone."""
    keys = desk.tenancy.keys
    fates = Fates([], [], [], [], [], 0)
    for one in found:
        if one.header is None:
            continue  # a tombstone, or purged before
        living = _living(keys, one.header)
        whole = fates.open
        if not living:
            whole = fates.dead
        elif all(keys.is_withheld(slot) for slot in living):
            whole = fates.held
        whole.append(one.place)
        if whole is fates.dead and one.pack_id is not None:
            fates = fates._replace(packed=fates.packed + 1)
        if one.segments and whole is not fates.dead:
            fates = _judge_segments(keys, one, fates, partly=fates.partly if whole is fates.open else [])
    return fates


def _judge_segments(keys: TenantKeyring, one: StoredVersion, fates: Fates, partly: list[Place]) -> Fates:
    sealed = segments.decode(one.content or b"")
    ways = [_living(keys, each.header) if each else [] for each in sealed]
    left = [each if living else None for each, living in zip(sealed, ways, strict=True)]
    if left != sealed:
        fates.cut.append((one.place, segments.encode(left)))
    if any(living and all(keys.is_withheld(slot) for slot in living) for living in ways):
        partly.append(one.place)
    gone = left.count(None) - sealed.count(None)
    packed = fates.packed + bool(gone and one.pack_id is not None)
    return fates._replace(segments=fates.segments + gone, packed=packed)


def _living(keys: TenantKeyring, header: bytes) -> list[tuple[int, ...]]:
    """The slots that still have all their leaves."""
    return [slot for slot in header_leaves(header) if not any(keys.state.is_punctured(leaf) for leaf in slot)]
