"""Deleting a thread: its keys go with the next batch of erasures, so that no backup brings it back."""

import secrets
from dataclasses import dataclass, replace

from tenure import filing, rowseals
from tenure.access import Ask, Caller
from tenure.crew import Desk
from tenure.errors import Denied
from tenure.governance.erasures import begun
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.thread import Bound, root_key, thread_path
from tenure.reading import absent
from tenure.restraints import Restraint
from tenure.sealing import labels_of
from tenure.store import cohorts, shreds, tenants
from tenure.store import threads as store
from tenure.store.cohorts import ENDING, OPEN
from tenure.store.records import StoredVersion
from tenure.store.tenants import Epoch
from tenure.threads.home import lookup, opened_head
from tenure.withholding import kept_back
from tenure.writing import bury


@dataclass(slots=True)
class Thread:
    """One living thread at a desk, whose caller may do something with it."""

    caller: Caller
    ask: Ask
    scope: str
    thread: str
    root: StoredVersion

    @classmethod
    def find(cls, desk: Desk, ask: Ask, scope: str, thread: str, action: str) -> "Thread | Denied | None":
        """The thread, if it is there and policy allows the action on it. None: there is none.

        Whoever stores something in it waits until this transaction ends, and then looks at it anew.
        """
        caller = Caller.at(desk, ask)
        caller.check_scope(scope)
        nonce = secrets.token_bytes(16)
        index = desk.tenancy.keys.blind_index("record", scope, root_key(thread))
        store.alone(desk.tx, index)
        root = lookup(desk, index)
        if root is None:
            found = absent(caller, action, scope, nonce=nonce)
            return found if isinstance(found, Denied) else None
        verdict = caller.decide(action, scope, labels_of(root))
        if not verdict.allowed:
            touched = Access(root.record_id, root.version, Action.DENIED)
            kind = Kind.DELETE if action == "delete" else Kind.ACCESS
            return caller.refuse(kind, verdict, touched, nonce=nonce)
        if root.state != "live":
            return None
        why = kept_back(caller, root)
        # What is restricted is kept; who objects to a purpose does not keep a thread from being deleted.
        if why is not None and (action != "delete" or why is Restraint.RESTRICTED):
            touched = Access(root.record_id, root.version, Action.DENIED)
            return caller.withhold(
                Kind.DELETE if action == "delete" else Kind.ACCESS, why, touched, nonce=nonce
            )
        if action == "delete":  # nobody is given any of what is moved for it
            caller = replace(caller, unrestrained=True, _against=None)
        return cls(caller, ask, scope, thread, root)

    @property
    def bound(self) -> Bound:
        """What it is bound to, as its sealed root says."""
        return Bound(labels_of(self.root), opened_head(self.caller.desk, self.root).subjects)

    def path_index(self) -> str:
        """Where the records of its generation are filed."""
        keys = self.caller.desk.tenancy.keys
        return filing.index_of(keys, self.scope, thread_path(self.thread, self.root.latest))

    def end(self) -> None:
        """Ask for the erasure of the generation's cohorts: from now on nobody is given their keys."""
        desk = self.caller.desk
        leaves = store.cohorts(desk.tx, self.path_index())
        for cohort in cohorts.by_leaves(desk.tx, leaves):
            if cohort.state != OPEN:
                continue
            count = cohorts.count(desk.tx, cohort.leaf)
            by = self.caller.principal.id
            shred = begun(desk.tx, shreds.Kind.COHORT, cohort.id, by=by, at=desk.now, findings={})
            cohorts.move(desk.tx, cohort.id, state=ENDING, shred_id=shred.id)
            row = rowseals.of_shred(desk.tenancy.keys, shred)
            said = {"shred": shred.id, "cohort": cohort.id, "versions": count, "row": row}
            self.caller.record(Kind.SHRED, "requested", nonce=secrets.token_bytes(16), data=said)
        if leaves:
            tenants.raise_epoch(desk.tx, Epoch.KEYS)


def delete(desk: Desk, ask: Ask, scope: str, thread: str) -> bool | Denied:
    """Delete a thread: its keys go with the next batch of erasures. Whether there was one."""
    found = Thread.find(desk, ask, scope, thread, "delete")
    if found is None or isinstance(found, Denied):
        return found or False
    delete_found(found)
    return True


def delete_found(found: Thread) -> None:
    """Delete a thread that was found."""
    found.end()
    bury(found.caller, found.root, nonce=secrets.token_bytes(16))
