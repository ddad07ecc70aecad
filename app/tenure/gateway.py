"""THE request flow. Start reading here.

    read    1 authenticate   2 decide on the record's own labels   3 open
            4 append the entry   5 commit   6 release plaintext
    write   1 authenticate   2 check labels, decide   3 preconditions   4 seal
            5 append the entry   6 commit   7 answer with version and entry

Steps up to the commit happen in one transaction of the tenant, shared with concurrent requests (`batcher`):
two database round trips with warm caches, whatever the number of requests in the batch. A denial is
appended and committed like any other outcome and only then raised: raising earlier would roll back its own
evidence. Plaintext exists in memory before the commit and leaves only after it. The steps themselves are in
`reading.py` and `writing.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tenure import lineage, listing
from tenure.access import Ask, check_scope_name
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.listing import History, Page, Query
from tenure.model.record import Draft, Version, Written, check_key, check_paths, check_people, check_subject
from tenure.reading import Read
from tenure.retention import Explain, Retained
from tenure.writing import Condition, Delete, Write


class Gateway:
    """Governed access to records, for every surface."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def read(
        self, ask: Ask, scope: str, key: str, *, version: int | None = None, as_of: int | None = None
    ) -> Version:
        """The current, a numbered, or a past version. Two round trips (three for a past one).

        Raises Denied (recorded), NotFound, Erased, Invalid, Unavailable.
        """
        check_address(scope, key)
        operation = Read(ask, scope, key, version=version, as_of=as_of)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def retention(
        self, ask: Ask, scope: str, key: str, *, version: int | None = None, as_of: int | None = None
    ) -> Retained:
        """When a version moves or goes, and by which rules. Four round trips.

        One more for a past version, two more if a rule waits for an event. Raises as `read` does; it is on
        record like one.
        """
        check_address(scope, key)
        operation = Explain(ask, scope, key, version=version, as_of=as_of)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def write(
        self,
        ask: Ask,
        scope: str,
        key: str,
        draft: Draft,
        *,
        condition: Condition | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """Store a new version. Two round trips (more when it names a person for the first time).

        Raises Denied (recorded), NotFound (scope), Erased (a person being erased), Stale, KeyReused, Invalid.
        """
        check_address(scope, key)
        check_people(draft)
        check_paths(draft.paths)
        lineage.check_ids(draft.derived_from)
        draft = replace(draft, categories=tuple(sorted(set(draft.categories))))
        operation = Write(ask, scope, key, draft, condition or Condition(), idempotency_key)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def delete(self, ask: Ask, scope: str, key: str, *, condition: Condition | None = None) -> Written:
        """Store a tombstone version: the record reads as absent, its history stays. Two round trips.

        Raises Denied (recorded), NotFound, Erased, Stale. It destroys nothing; erasure does.
        """
        check_address(scope, key)
        operation = Delete(ask, scope, key, condition or Condition())
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def query(self, ask: Ask, scope: str, wanted: Query) -> Page:
        """A page of what this caller may list.

        Raises Denied (recorded), NotFound (scope), Malformed (cursor).
        """
        check_scope_name(scope)
        if wanted.subject is not None:
            check_subject(wanted.subject)
        if wanted.path:
            check_paths((wanted.path,))
        return await self._alone(ask, lambda desk: listing.query(desk, ask, scope, wanted))  # type: ignore[no-any-return]

    async def history(
        self, ask: Ask, scope: str, key: str, *, before: int | None = None, limit: int = 50
    ) -> History:
        """A record's versions, newest first, without content. Raises Denied (recorded), NotFound (scope)."""
        check_address(scope, key)
        return await self._alone(  # type: ignore[no-any-return]
            ask, lambda desk: listing.history(desk, ask, scope, key, before=before, limit=limit)
        )

    async def _alone(self, ask: Ask, work: Callable[[Desk], Any]) -> Any:  # noqa: ANN401
        return await self._batcher.submit(ask.credential.tenant_id, Solo(work, ask.needs))


def check_address(scope: str, key: str) -> None:
    """A record's address must be one that can exist at all."""
    check_scope_name(scope)
    check_key(key)
