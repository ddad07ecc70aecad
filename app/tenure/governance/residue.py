"""Searching a tenant's own context for values that the protection officer gives: free text names no subject.

What somebody wrote about a person without labelling it is found by nobody's key. So the officer may have
everything searched: every version that can still be opened, every row as it lies, every published object.
Values are held in memory for the search and go nowhere; places are named by opaque ids.

An erasure that was asked for with a search waits for it (`awaiting-scan`) and its certificate says how it
went; for any other the search is only an answer.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from tenure.crew import Desk
from tenure.errors import Erased, NotFound, TenureError
from tenure.governance.certificates import issue
from tenure.governance.erasures import SCOPE, shown
from tenure.governance.ground import Ground
from tenure.governance.purge import certified
from tenure.governance.service import Seat, Service
from tenure.ledger.entry import Kind as Act
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.residue.texts import TextScan, joined
from tenure.residue.values import Value, values_of
from tenure.sealing import labels_of, open_content, open_head, open_segments, unseal
from tenure.sequencer import Sequencer
from tenure.store import erasing, shreds, sweep
from tenure.store.records import Place, StoredVersion
from tenure.store.session import Tx
from tenure.store.shreds import AWAITING, Shred
from tenure.tenancy import Tenancies
from tenure.thawing import Cold, Thaw, Thawed, require, warm

_PAGE = 500


class Residue:
    """Runs searches, and completes the erasures that wait for one."""

    def __init__(
        self,
        service: Service,
        ground: Ground,
        sequencer: Sequencer,
        tenancies: Tenancies,
    ) -> None:
        self._service = service
        self._ground = ground
        self._sequencer = sequencer
        self._tenancies = tenancies

    async def scan(
        self, credential: Credential, shred_id: str, values: Sequence[str], *, accept: bool = False
    ) -> dict[str, Any]:
        """Search everything of the tenant, and complete the erasure if it waits for that.

        `{"shred","state","certificate"?,"attached","residue":{…},"found":[…],"values_salt"}`. A certificate
        follows when nothing was found everywhere, or when the officer accepts (`accept`) what was; it states
        the result either way. Reads all of the tenant once, in pages; nothing waits for it. Raises NotFound,
        and Invalid or TooLarge for values that cannot be looked for.
        """
        check_id(shred_id, "erasure")
        wanted = values_of(values)
        await self._service.run(credential, SCOPE, "write", lambda seat: _known(seat, shred_id))
        search = await self.search(credential.tenant_id, wanted)
        result = search.summary()

        def work(seat: Seat) -> dict[str, Any]:
            shred = _known(seat, shred_id)
            attach = shred.state == AWAITING and (accept or search.verdict == "clean")
            # A search tells whether somebody's words stand somewhere: it is on record like any access.
            seat.record(
                Act.ACCESS,
                f"residue-{search.verdict}",
                shred=shred.id,
                findings=search.findings,
                accepted=accept,
                values=result["values_commitment"],
            )
            if attach:
                shred = self.complete(seat.desk, shred, result | {"accepted": accept})
            return {**shown(shred), "attached": attach}

        answer = await self._service.run(credential, SCOPE, "write", work)
        return {**answer, "residue": result, **search.details()}

    async def search(self, tenant_id: str, values: Sequence[Value]) -> TextScan:
        """Search everything of a tenant, in pages. Nothing is on record by it, and nothing is done."""
        search = TextScan(tuple(values))
        await asyncio.to_thread(self._search, tenant_id, search)
        return search

    def complete(self, desk: Desk, shred: Shred, result: dict[str, Any]) -> Shred:
        """Sign the certificate that waited. Mirrored first: a restored database must still name it."""
        shred = shred._replace(findings={**shred.findings, "scan": result})
        done, evidence = certified(desk, shred)
        certificate_id = str(done.certificate_id)
        envelope = issue(self._sequencer.signer(desk.tx), evidence)
        self._ground.mirror.put_certificate(shred.id, certificate_id, envelope)
        shreds.keep_certificate(desk.tx, certificate_id, shred.id, envelope, at=evidence.at)
        shreds.move(desk.tx, done)
        return done

    # ── the search ───────────────────────────────────────────────────────────────────────────────
    def _search(self, tenant_id: str, search: TextScan) -> None:
        read = self._ground.database.read
        after: Place | None = None
        thaw = Thaw(self._ground.objects)
        thawed: Thawed = {}
        while True:
            try:
                page = read(tenant_id, partial(self._versions, search=search, after=after, thawed=thawed))
            except Cold as cold:  # nothing of the page was searched yet
                thawed = thaw.fetch_now(list(cold.wanted))
                continue
            if page is None:
                break
            after, thawed = page, {}
        thaw.close()
        for table in sweep.TABLES:
            key: sweep.Key | None = None
            while True:
                cells, key = read(tenant_id, partial(sweep.rows, table=table, after=key, limit=_PAGE))
                for column, values in cells.items():
                    where = {"table": table.name, "column": column}
                    search.look("cells", where, [joined(values)], items=len(values))
                if key is None:
                    break
        for name in self._ground.objects.names(f"ledger/{tenant_id}"):
            search.look("objects", {"object": name}, [self._ground.objects.get(name) or b""])

    def _versions(self, tx: Tx, search: TextScan, after: Place | None, thawed: Thawed) -> Place | None:
        """Search a page of opened versions; where it ends. Cold naming all of it that is in packs."""
        desk = Desk.reading(tx, self._tenancies)
        page = erasing.live(tx, limit=_PAGE, after=after)
        require(tx.tenant_id, page, thawed)
        page = [warm(tx.tenant_id, one, thawed) for one in page]
        for stored in page:
            where = {"record": stored.record_id, "version": stored.version, "scope": stored.scope}
            try:
                texts = _opened(desk, stored)
            except Erased:
                continue
            except TenureError as failure:
                search.gap(failure.kind)
                continue
            search.look("versions", where, texts)
        return (page[-1].record_id, page[-1].version) if page else None


def _opened(desk: Desk, stored: StoredVersion) -> list[bytes]:
    """Everything that a version says, in clear."""
    keys = desk.tenancy.keys
    opened = unseal(desk.tx, keys, stored)
    head = open_head(keys, opened, stored)
    said = [str((head.key, head.subjects, head.metadata, head.paths, labels_of(stored))).encode()]
    if not head.slots:
        return [*said, b"\x00", open_content(opened, stored)]
    for segment in open_segments(desk.tx, keys, stored, head):
        said += [b"\x00", str(segment.subjects).encode(), b"\x00", segment.content]
    return said


def _known(seat: Seat, shred_id: str) -> Shred:
    found = shreds.get(seat.desk.tx, shred_id)
    if found is None:
        raise NotFound("There is no such erasure.", field="id")
    return found
