"""The steps of a package's row: each in one transaction, with an entry that seals the row as it left it.

begun      a first or another attempt; from here on its folder is known, whatever becomes of it
waiting    an archive was asked for some of it
built      all pieces are there, and what opens them
linked     a link was given to the officer, to be given to the person
fetched    somebody with the link began to fetch it
expired    its term is over, its person erased, or it was called off: its own key goes
"""

from typing import Any

from tenure import ids, rowseals
from tenure.crew import Desk
from tenure.errors import Conflict, NotFound
from tenure.governance import ownleaves
from tenure.ids import CELL, rfc3339
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.access_package import DAY_US, Content, Package, State
from tenure.rights.package.pieces import SCOPE
from tenure.store import access_packages as store


def create(desk: Desk, request_id: str, subject_id: str, content: Content, days: int) -> Package:
    """A new package, with a leaf of its own."""
    now, package_id = desk.now, ids.new_id()
    new = Package(
        id=package_id,
        request_id=request_id,
        subject_id=subject_id,
        content=content,
        state=State.BUILDING.value,
        leaf=ownleaves.begin(desk, SCOPE, package_id),
        created_at=now,
        expires_at=now + days * DAY_US,
        entry="",
        folder=ids.new_id(),
    )
    new = new._replace(entry=record(desk, "begun", new))
    store.create(desk.tx, new)
    return new


def step(desk: Desk, old: Package, outcome: str, *, by: str | None = None, **changes: Any) -> Package:  # noqa: ANN401 - column values
    """Put the row into its next state, on record. Conflict when somebody else's step came first."""
    new = old._replace(**changes)
    new = new._replace(entry=record(desk, outcome, new, by=by))
    if not store.move(desk.tx, old, new):
        raise Conflict(
            "Somebody else's step came first; nothing was changed.",
            field="package",
            rule="one step at a time",
            remedy="Look at the package again.",
        )
    return new


def record(desk: Desk, outcome: str, package: Package, *, by: str | None = None) -> str:
    """An entry of a step: ids, a state and the row's seal; nothing of what is in the package."""
    data: dict[str, Any] = {
        "package": package.id,
        "request": package.request_id,
        "row": rowseals.of_package(desk.tenancy.keys, package),
    }
    if package.sha256 is not None and outcome == "built":
        data |= {"size": package.size, "sha256": package.sha256}
    draft = EntryDraft(
        kind=Kind.PACKAGE,
        at=desk.now,
        principal=by,
        policy=desk.tenancy.policy.digest,
        outcome=outcome,
        data=data,
    )
    return desk.tx.append(draft)


def end(desk: Desk, old: Package) -> Package:
    """Nothing is fetched from now on, and its key goes with the next batch of erasures.

    The header goes at once, the pieces after the commit: a crash in between leaves pieces that no header
    opens, and the job removes them.
    """
    ownleaves.end(desk, old.leaf, by=CELL)
    gone: dict[str, Any] = dict.fromkeys(("folder", "retrieval_id", "header"))
    return step(desk, old, "expired", state=State.EXPIRED.value, **gone)


def known(found: Package | None) -> Package:
    """A package that is there. Raises NotFound."""
    if found is None:
        raise NotFound(
            "There is no such access package.", field="package", rule="a package of a rights request"
        )
    return found


def shown(package: Package) -> dict[str, Any]:
    """A package as the officer sees it."""
    return {
        "package": package.id,
        "request": package.request_id,
        "content": package.content,
        "state": package.state,
        "created_at": rfc3339(package.created_at),
        "expires_at": rfc3339(package.expires_at),
        "size": package.size or None,
        "sha256": package.sha256,
        "link_until": None if package.link_until is None else rfc3339(package.link_until),
        "fetched_at": None if package.fetched_at is None else rfc3339(package.fetched_at),
        "fetches": package.fetches,
    }
