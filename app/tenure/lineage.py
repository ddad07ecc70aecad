"""Derived versions: what was made from what is about people goes with these people.

A version that names people is theirs. One that names nobody but names sources is sealed to everybody behind
its sources: no old copy gives back a summary of somebody who was erased, however long the chain. Those keys
are in its founding slot, so its own descendants find them there.
"""

from tenure import ids
from tenure.crew import Desk
from tenure.errors import Erased, Invalid
from tenure.keys.ggm import PuncturedState
from tenure.keys.seal import founding_slots
from tenure.model.record import MAX_BEHIND, MAX_DERIVED, Draft
from tenure.sealing import WITHDRAWN, erased
from tenure.store import cohorts, subjects
from tenure.store.records import Source


def people_behind(source: Source, state: PuncturedState) -> frozenset[int]:
    """Leaves of the people whom a source is about or was derived from: those that it was sealed to.

    Not its scope's leaf or its cohort's, and not what was added to its header later, for a hold or by an
    erasure. Leaves of people who were erased since are among them: the source stayed with what it says about
    them. Of a source in segments they are not, for their segments are gone.
    """
    slots = founding_slots(source.header) if source.header else ()
    if source.segments:
        slots = tuple(slot for slot in slots if not any(map(state.is_punctured, slot)))
    return frozenset(leaf for slot in slots for leaf in slot) - {source.scope_leaf, source.cohort}


def check_ids(derived_from: tuple[str, ...]) -> None:
    """At most 64 version ids. Raises Invalid."""
    for place, source in enumerate(derived_from):
        if place >= MAX_DERIVED or not ids.is_id(source):
            raise Invalid(
                "A source this was derived from is not a version's id; nothing was written.",
                field=f"derived_from[{place}]",
                rule=f"at most {MAX_DERIVED} version_ids",
                remedy="Name the version_id that a read or write returned.",
            )


def check_known(desk: Desk, draft: Draft) -> None:
    """Every source is there, or was until an erasure. Raises Invalid."""
    for place, source in enumerate(draft.derived_from):
        found = desk.found.versions.get(source)
        if found is None or found.state not in ("live", *WITHDRAWN):
            raise Invalid(
                "A source this was derived from is not there; nothing was written.",
                field=f"derived_from[{place}]",
                rule="the version_id of a live version of this tenant",
                remedy="Name the version_id that a read or write returned.",
            )


def gone(desk: Desk, scope: str, draft: Draft) -> Erased | None:
    """The 410 when a source, or somebody behind one, is being erased. Only then one or two statements.

    When somebody behind a source was erased and the source stayed, only a scope whose rule is `keep` takes
    what is derived from it: any other would have lost it with the person.
    """
    for source in draft.derived_from:
        if (found := desk.found.versions[source]).state in WITHDRAWN:
            return erased(desk.tx, found.shred_id, held=found.state == "held")
        if found.cohort is not None and desk.tenancy.keys.is_gone((found.cohort,)):
            return erased(desk.tx, cohorts.by_leaves(desk.tx, [found.cohort])[0].shred_id)
    if draft.people:
        return None
    keys = desk.tenancy.keys
    keeps = desk.tenancy.policy.configuration.scopes[scope].on_derived.on_erasure == "keep"
    for leaf in _behind(desk, draft):
        if keys.is_withheld((leaf,)) or (not keeps and keys.state.is_punctured(leaf)):
            owners = subjects.by_leaves(desk.tx, [leaf])
            return erased(desk.tx, owners[0].shred_id if owners else None)
    return None


def living(desk: Desk, draft: Draft) -> list[int]:
    """Leaves of the people behind a version that names nobody, without those who were erased before.

    Raises Invalid for more than 1024: every one of their keys is mixed into the version's.
    """
    punctured = desk.tenancy.keys.state.is_punctured
    behind = sorted(leaf for leaf in _behind(desk, draft) if not punctured(leaf))
    if len(behind) > MAX_BEHIND:
        raise Invalid(
            "Too many people are behind the sources of this version; nothing was written.",
            field="derived_from",
            rule=f"at most {MAX_BEHIND} people behind one version",
            remedy="Derive it from fewer sources, or name the people it is about in subjects.",
        )
    return behind


def _behind(desk: Desk, draft: Draft) -> frozenset[int]:
    sources = (desk.found.versions[source] for source in draft.derived_from)
    state = desk.tenancy.keys.state
    return frozenset[int]().union(*(people_behind(source, state) for source in sources))
