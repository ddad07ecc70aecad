"""Who a rights request is about: sought by the reference in its case, from then on by the id that was found.

What is decided on is what the dry run showed. So nothing is done to whoever became known after it.
"""

from tenure.crew import Desk
from tenure.model.rightsrequest import RightsRequest
from tenure.rights.case import opened
from tenure.store import subjects
from tenure.store.subjects import StoredSubject


def person_of(desk: Desk, request: RightsRequest) -> StoredSubject | None:
    """The person whom the dry run found; None: it found nobody. One round trip."""
    return None if request.subject_id is None else subjects.get(desk.tx, request.subject_id)


def sought(desk: Desk, request: RightsRequest) -> StoredSubject | None:
    """The person; None: nobody is known by this reference now. One or two round trips."""
    if request.subject_id is not None:
        return person_of(desk, request)
    return by_reference(desk, opened(desk.tenancy.keys, request).reference)


def by_reference(desk: Desk, reference: str) -> StoredSubject | None:
    """Who is known by a reference now. Whoever was erased is known by none."""
    index = desk.tenancy.keys.blind_index("subject", reference)
    rows = desk.tx.ask((subjects.BY_REF, {"refs": [index]}))[0]
    return StoredSubject(*rows[0]) if rows else None
