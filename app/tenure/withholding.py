"""What is kept back although policy allows it: restricted, objected to for the purpose, or corrected since.

Whom a version is about says its header, by leaves. All of a version goes back when it is about somebody
concerned, together with others or not: what several people share without segments is about each of them. Of a
version in segments those of the concerned go back, and the rest is read.

Somebody whose key was destroyed is not concerned any more: what stayed then stayed by a rule of its own.
"""

from collections.abc import Iterable

from tenure.access import Caller
from tenure.keys import segments
from tenure.keys.seal import header_leaves
from tenure.restraints import Restraint
from tenure.store.records import StoredVersion


def kept_back(caller: Caller, stored: StoredVersion, *, as_seen: bool = False) -> Restraint | None:
    """Why nothing of a version is given to this caller; None when it is, or some of its segments are.

    `as_seen`: what was corrected since is shown as it was. Nothing is opened or looked up.
    """
    if stored.restricted_since is not None and not as_seen and not caller.unrestrained:
        return Restraint.RESTRICTED
    why = _concerned(caller, stored)
    if why is None or not stored.segments:
        return why
    if stored.content is None:  # fetched without: any way to a segment that is nobody's of the concerned
        ways = header_leaves(stored.header or b"")
        return why if all(_of_leaves(caller, [slot]) for slot in ways) else None
    sealed = [place for place, one in enumerate(segments.decode(stored.content)) if one is not None]
    return why if segments_back(caller, stored).keys() == set(sealed) else None


def segments_back(caller: Caller, stored: StoredVersion) -> dict[int, Restraint]:
    """The places of the segments of a version that are not given to this caller, and why."""
    if not stored.segments or stored.content is None or _concerned(caller, stored) is None:
        return {}
    sealed = enumerate(segments.decode(stored.content))
    why = ((place, _of_leaves(caller, header_leaves(one.header))) for place, one in sealed if one is not None)
    return {place: restraint for place, restraint in why if restraint is not None}


def objected(caller: Caller, leaves: Iterable[int]) -> bool:
    """Whether one of these people objects to what the caller does it for: then nothing is written about them.

    A restriction leaves writing alone: storing is what it allows (Art. 18(2)).
    """
    held = [some for why, some in caller.against if why is Restraint.OBJECTED]
    return bool(held) and any(leaf in some for leaf in leaves for some in held)


def _concerned(caller: Caller, stored: StoredVersion) -> Restraint | None:
    if not caller.against or stored.header is None:
        return None
    return _of_leaves(caller, header_leaves(stored.header))


def _of_leaves(caller: Caller, slots: Iterable[Iterable[int]]) -> Restraint | None:
    """A restriction counts before an objection."""
    leaves = {leaf for slot in slots for leaf in slot}
    punctured = caller.desk.tenancy.keys.state.is_punctured
    for why, held in caller.against:
        if any(leaf in held and not punctured(leaf) for leaf in leaves):
            return why
    return None
