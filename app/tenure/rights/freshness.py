"""Whether a dry run still shows what is held. What cannot be undone is not approved on one that does not.

More versions than then, or a newer one, means that something was written that its approver did not see. What
went meanwhile is no reason to look again: less is done than was shown.
"""

from typing import Any

from tenure.crew import Desk
from tenure.errors import Conflict
from tenure.model.rightsrequest import Kind, RightsRequest
from tenure.store.impact import extent
from tenure.store.session import Tx

_IRREVOCABLE = frozenset({Kind.ERASURE, Kind.RECTIFICATION})


def mark(tx: Tx, subject_id: str) -> dict[str, Any]:
    """How much goes with the person now, for the dry run: `{"versions","newest"}` (microseconds)."""
    return extent(tx, subject_id)._asdict()


def require_fresh(desk: Desk, request: RightsRequest) -> None:
    """Conflict when something about the person was written since, if the request cannot be undone."""
    if Kind(request.kind).right not in _IRREVOCABLE or request.subject_id is None:
        return
    shown = request.dry_run.get("as_of", {"versions": -1, "newest": -1})
    now = extent(desk.tx, request.subject_id)
    if now.versions <= shown["versions"] and now.newest <= shown["newest"]:
        return
    raise Conflict(
        "Something about the person was written since the dry run; nothing was approved.",
        field="id",
        rule="a dry run that shows what is held",
        remedy="Look again, and decide on that: POST /v1/requests/{id}:scope, then :approve.",
    )
