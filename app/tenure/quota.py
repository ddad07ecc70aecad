"""What a tenant may store: asked in the write's own transaction, counted with it.

Reads, deletes, erasures and everything that governs go on however much is stored. Transactions that run side
by side do not see each other's writes, so a tenant may pass its quota by what is under way at that moment:
two batches at most in each process.
"""

from tenure.crew import Desk
from tenure.errors import QuotaExceeded
from tenure.store import limits
from tenure.store.records import StoredVersion
from tenure.tenancy import Tenancy


def applies(tenancy: Tenancy) -> bool:
    """Whether the tenant may not store whatever it likes."""
    return bool(tenancy.limits.stored_versions or tenancy.limits.stored_bytes)


def check(desk: Desk, size: int) -> None:
    """Raise QuotaExceeded when one version more, with so many bytes of content, is too much."""
    may, stored = desk.tenancy.limits, desk.found.usage
    if stored is None:
        return
    for name, unit, would, most in (
        ("stored_versions", "versions", stored.versions + 1, may.stored_versions),
        ("stored_bytes", "bytes", stored.bytes + size, may.stored_bytes),
    ):
        if most and would > most:
            raise QuotaExceeded(
                "The tenant stores as much as it may; nothing was written. Reading and erasing go on.",
                limit=name,
                rule=f"at most {most} {unit} of content in all scopes",
                remedy="Waiting does not help: the operator may raise the quota (tenure tenant limits), and"
                " erasures make room.",
            )


def count(desk: Desk, new: StoredVersion) -> None:
    """Count a new version, if it has content: with the commit, and for the rest of the batch."""
    if new.content is None:
        return
    size = len(new.head or b"") + len(new.content)
    limits.add(desk.tx, versions=1, size=size)
    if (stored := desk.found.usage) is not None:
        stored.versions += 1
        stored.bytes += size
