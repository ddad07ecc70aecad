"""Decisions: open, seal, what was read, the exact content, receipt, openings.

open      an entry; from then on accesses with its id are bound to it
seal      lists every bound access with its commitment in one entry; nothing binds afterwards
context   reconstructs what the decision saw, version by version; erased ones are tombstones
receipt   the seal's entry with its inclusion proof and signed checkpoint (C2SP tlog-proof)
openings  the salts and contents behind the commitments: a separate file, gone with the person's key
"""

import asyncio
import re
import secrets
from dataclasses import replace
from typing import Any, NamedTuple

from tenure import ids, rowseals
from tenure.access import Ask, Caller
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Conflict, Erased, Invalid, NotFound, NotYet
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.decision import Decision
from tenure.model.identity import check_id
from tenure.model.principal import Credential, Principal
from tenure.model.record import check_subject
from tenure.policy import rights
from tenure.receipting import RETRY_S, Published, published, receipt_of
from tenure.reconstruction import EVERY, Chosen, accesses_of_decision, lost, no_access, opened_item
from tenure.sealing import labels_of
from tenure.store import celllog, log, records
from tenure.store import decisions as store
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.store.subjects import BY_REF, StoredSubject
from tenure.tenancy import Tenancies
from tenure.thawing import require
from tenure.withholding import kept_back, segments_back
from tenure.writing import subject_of

_CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Opening(NamedTuple):
    """What a decision is opened with. `facts`: agent, model, input_sha256."""

    purpose: str
    subject: str | None = None
    facts: dict[str, str] = {}  # noqa: RUF012 - never changed


class Decisions:
    """The decision's whole life, for every surface."""

    def __init__(self, batcher: Batcher, database: Database, tenancies: Tenancies) -> None:
        self._batcher = batcher
        self._database = database
        self._tenancies = tenancies

    async def open(self, credential: Credential, opening: Opening) -> dict[str, Any]:
        """Open a decision: `{"id","purpose","opened_at","entry"}`."""
        _check_facts(opening.facts)
        if opening.subject is not None:
            check_subject(opening.subject)

        def work(desk: Desk) -> dict[str, Any]:
            caller = Caller.at(desk, Ask(credential, opening.purpose))
            decision = Decision(
                id=ids.new_id(),
                principal_id=caller.principal.id,
                purpose=opening.purpose,
                subject_id=_person(desk, opening.subject) if opening.subject else None,
                facts=dict(opening.facts),
                opened_at=desk.now,
                sealed_at=None,
                outcome=None,
                seal_entry=None,
            )
            caller.ask = replace(caller.ask, decision=decision.id)
            row = {"row": rowseals.of_decision(desk.tenancy.keys, decision)}
            entry = caller.record(Kind.DECISION_OPEN, "ok", nonce=secrets.token_bytes(16), data=row)
            store.open_decision(desk.tx, decision)
            return {
                "id": decision.id,
                "purpose": decision.purpose,
                "opened_at": ids.rfc3339(desk.now),
                "entry": entry,
            }

        return await self._batcher.submit(credential.tenant_id, Solo(work))  # type: ignore[no-any-return]

    async def seal(
        self, credential: Credential, decision_id: str, outcome: str, output_sha256: str | None
    ) -> dict[str, Any]:
        """Close a decision: `{"id","outcome","sealed_at","accesses","entry"}`. Conflict when it is closed."""
        if not _CODE.fullmatch(outcome):
            raise Invalid(
                "The outcome is not a code; nothing was sealed.",
                field="outcome",
                rule="1 to 64 of a-z 0-9 . _ -, for example refund-approved",
                remedy="Send a code; free text belongs into a record.",
            )
        _check_digest(output_sha256, "output_sha256")
        check_id(decision_id, "decision")

        def work(desk: Desk) -> dict[str, Any]:
            principal = desk.principal(credential)
            decision = _own(store.get(desk.tx, decision_id, lock=True), principal)
            if decision.sealed:
                raise Conflict(
                    "The decision is sealed already; nothing was changed.",
                    rule="a decision is sealed once",
                    remedy="Read it with GET /v1/decisions/{id}.",
                )
            accesses = accesses_of_decision(desk.tx, decision_id)
            caller = Caller(desk, Ask(credential, decision.purpose, decision_id), principal)
            facts = decision.facts | ({"output_sha256": output_sha256} if output_sha256 else {})
            sealed = replace(decision, facts=facts, sealed_at=desk.now, outcome=outcome)
            row = {"row": rowseals.of_decision(desk.tenancy.keys, sealed)}
            entry = caller.record(
                Kind.DECISION_SEAL, outcome, *accesses, nonce=secrets.token_bytes(16), rules=(), data=row
            )
            store.seal(desk.tx, decision_id, at=desk.now, outcome=outcome, entry=entry, facts=facts)
            return {
                "id": decision_id,
                "outcome": outcome,
                "sealed_at": ids.rfc3339(desk.now),
                "accesses": len(accesses),
                "entry": entry,
            }

        return await self._batcher.submit(credential.tenant_id, Solo(work))  # type: ignore[no-any-return]

    async def get(self, credential: Credential, decision_id: str) -> dict[str, Any]:
        """What it is and what it read, without content: for its principal, auditors and administrators."""
        check_id(decision_id, "decision")
        return await asyncio.to_thread(
            self._database.read, credential.tenant_id, lambda tx: self._shown(tx, credential, decision_id)
        )

    async def receipt(self, credential: Credential, decision_id: str, *, cell: bool = False) -> str:
        """The receipt text (C2SP tlog-proof). NotYet until the seal is published; Conflict while open.

        It shows its checkpoint in the cell's log, too, once one with the seal is there: some seconds later.
        With `cell`, NotYet until then.
        """
        check_id(decision_id, "decision")
        return await asyncio.to_thread(self._receipt, credential, decision_id, cell=cell)

    async def context(self, ask: Ask, decision_id: str) -> dict[str, Any]:
        """The exact content it saw: `{"items":[…],"withheld"}`. Itself a recorded access.

        Each version is judged by its own labels for the asker; erased ones show as tombstones. What is kept
        back for a person now is kept back here, too. What was corrected since is shown as it was seen to who
        may audit, and to the decision's own principal not.
        """
        return await self._reconstruct(ask, decision_id, openings=False)

    async def openings(self, ask: Ask, decision_id: str, chosen: Chosen = EVERY) -> dict[str, Any]:
        """Salts and contents that open the commitments of its accesses. Itself a recorded access.

        Only the `chosen` ones are judged, opened and put on record. NotFound when the decision has none such.
        """
        return await self._reconstruct(ask, decision_id, chosen, openings=True)

    # ── reading back ─────────────────────────────────────────────────────────────────────────────
    async def _reconstruct(
        self, ask: Ask, decision_id: str, chosen: Chosen = EVERY, *, openings: bool
    ) -> dict[str, Any]:
        check_id(decision_id, "decision")

        def work(desk: Desk) -> dict[str, Any]:
            caller = Caller.at(desk, ask)
            decision = self._visible(desk.tx, caller.principal, decision_id)
            bound = accesses_of_decision(desk.tx, decision_id, chosen)
            accesses = [one for one in bound if one.commitment is not None]
            if chosen != EVERY and not accesses:
                raise no_access()
            rows = records.by_ids(desk.tx, [(one.record, one.version) for one in accesses])
            found = {(row.record_id, row.version): row for row in rows}
            audits = self._audits(desk.tx, caller.principal)
            packed = [row for row in rows if row.pack_id and kept_back(caller, row, as_seen=audits) is None]
            may = [row for row in packed if caller.decide("read", row.scope, labels_of(row)).allowed]
            require(desk.tx.tenant_id, may, desk.thawed)
            nonce = secrets.token_bytes(16)
            evidence: list[Access] = []
            items: list[dict[str, Any]] = []
            withheld = 0
            reasons: set[str] = set()
            for access in accesses:
                stored = found.get((access.record, access.version))
                if stored is None:  # the log was brought up, the records were not (ADR 15)
                    items.append(lost(access))
                    continue
                if not caller.decide("read", stored.scope, labels_of(stored)).allowed:
                    withheld += 1
                    evidence.append(Access(access.record, access.version, Action.WITHHELD))
                    continue
                back = kept_back(caller, stored, as_seen=audits)
                if back is None and access.segment is not None:
                    back = segments_back(caller, stored).get(access.segment)
                if back is not None:
                    withheld += 1
                    reasons.add(back.value)
                    evidence.append(
                        Access(access.record, access.version, Action.WITHHELD, segment=access.segment)
                    )
                    continue
                item, seen = opened_item(caller, decision, access, stored, nonce, openings=openings)
                items.append(item)
                evidence.append(seen)
            data = {"withheld": max(reasons)} if reasons else {}
            entry = caller.record(Kind.ACCESS, "ok", *evidence, nonce=nonce, data=data)
            return {"decision": decision_id, "items": items, "withheld": withheld, "entry": entry}

        return await self._batcher.submit(ask.credential.tenant_id, Solo(work, ask.needs))  # type: ignore[no-any-return]

    def _shown(self, tx: Tx, credential: Credential, decision_id: str) -> dict[str, Any]:
        decision = self._visible(tx, self._caller(tx, credential), decision_id)
        return {
            "id": decision.id,
            "principal": decision.principal_id,
            "purpose": decision.purpose,
            "subject": decision.subject_id,
            **decision.facts,
            "state": "sealed" if decision.sealed else "open",
            "opened_at": ids.rfc3339(decision.opened_at),
            "sealed_at": ids.rfc3339(decision.sealed_at) if decision.sealed_at else None,
            "outcome": decision.outcome,
            "seal_entry": decision.seal_entry,
            "accesses": [
                {
                    "record": access.record,
                    "version": access.version,
                    "action": access.action.value,
                    "commitment": access.commitment.hex() if access.commitment else None,
                    **({} if access.segment is None else {"segment": access.segment}),
                }
                for access in accesses_of_decision(tx, decision_id)
            ],
        }

    def _receipt(self, credential: Credential, decision_id: str, *, cell: bool) -> str:
        """Three transactions: what is published, what of it the cell's log holds, and the proof."""
        tenant_id = credential.tenant_id
        sealed = self._database.read(tenant_id, lambda tx: self._sealed(tx, credential, decision_id))
        found = None
        if tenant_id != ids.CELL:
            found = self._database.read(
                ids.CELL,
                lambda tx: celllog.newest_proof(
                    tx, tenant_id, sealed.generation, above=sealed.idx, upto=sealed.size
                ),
            )
        if cell and found is None:
            raise NotYet(
                "The cell's log has not taken this in yet.",
                retry_after=RETRY_S,
                remedy="Ask again in a moment, or without cell=wait.",
            )
        return self._database.read(tenant_id, lambda tx: receipt_of(tx, sealed, found))

    def _sealed(self, tx: Tx, credential: Credential, decision_id: str) -> Published:
        """The seal's published entry."""
        decision = self._visible(tx, self._caller(tx, credential), decision_id)
        if decision.seal_entry is None:
            raise Conflict(
                "The decision is still open, so there is no receipt yet.",
                rule="a sealed decision",
                remedy="Seal it with POST /v1/decisions/{id}:seal.",
            )
        writer, _, n = decision.seal_entry.rpartition("-")
        return published(tx, log.entry(tx, writer, int(n)))

    def _caller(self, tx: Tx, credential: Credential) -> Principal:
        return Desk.reading(tx, self._tenancies).principal(credential)

    def _visible(self, tx: Tx, principal: Principal, decision_id: str) -> Decision:
        """The decision, if it is the principal's own or the principal may audit."""
        decision = store.get(tx, decision_id)
        if decision is not None and decision.principal_id == principal.id:
            return decision
        if decision is None or not self._audits(tx, principal):
            raise _no_decision()
        return decision

    def _audits(self, tx: Tx, principal: Principal) -> bool:
        """Whether somebody may see the decisions of others."""
        engine = self._tenancies.current(tx).policy.engine
        return rights.decide_service(engine, principal, "tenure.decisions", "read").allowed


def _person(desk: Desk, reference: str) -> str:
    index = desk.tenancy.keys.blind_index("subject", reference)
    rows = desk.tx.ask((BY_REF, {"refs": [index]}))[0]
    desk.found.subjects.update((row[0], StoredSubject(*row)) for row in rows)
    person = subject_of(desk, reference)
    if person.state != "active":
        raise Erased("This person is being erased; no decision about them was opened.", shred=person.shred_id)
    return person.id


def _own(decision: Decision | None, principal: Principal) -> Decision:
    if decision is None or decision.principal_id != principal.id:
        raise _no_decision()
    return decision


def _no_decision() -> NotFound:
    return NotFound("There is no such decision that you may see.", field="id", rule="a decision's id")


def _check_facts(facts: dict[str, str]) -> None:
    _check_digest(facts.get("input_sha256"), "input_sha256")
    for name, value in facts.items():
        if not _FACT.fullmatch(value):
            raise Invalid(
                "A fact about the decision is not a plain name; nothing was opened.",
                field=name,
                rule="1 to 128 of letters, digits, space and . _ : / @ -",
                remedy="Name the agent or model; personal data does not belong here.",
            )


def _check_digest(value: str | None, field: str) -> None:
    if value is not None and not _SHA256.fullmatch(value):
        raise Invalid(
            "The digest is not SHA-256 in hex; nothing was done.",
            field=field,
            rule="64 lower-case hex digits",
            remedy="Send hashlib.sha256(data).hexdigest().",
        )
