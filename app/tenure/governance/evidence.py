"""What an evidence pack is made of beside the log, and the statement that closes it.

An auditor's client fetches the parts one by one and puts the pack together; no request here depends on how
large the tenant is. `client.evidence` has the other half.
"""

from typing import Any, NamedTuple

from tenure import ids
from tenure.errors import Invalid, NotFound
from tenure.governance.ledger import LedgerReader, pinned
from tenure.governance.service import Seat, Service
from tenure.keyring import Keyring
from tenure.ledger.checkpoint import peek_checkpoint
from tenure.ledger.entry import Kind
from tenure.ledger.evidence import KIND, VERSION, issue_statement
from tenure.model.principal import Credential
from tenure.store import ledgerkeys, log, manifests, rights, shreds
from tenure.store.log import Log
from tenure.store.session import Tx

SCOPE = "tenure.evidence"
POLICY_SCOPE = "tenure.policy"
CERTIFICATES_SCOPE = "tenure.certificates"


class Index(NamedTuple):
    """What is to be signed: digest (hex) and number of files of a pack's index, and the head it is under."""

    sha256: str
    files: int
    size: int
    root: str


class Evidence:
    """For auditors. What has no content of people is read without an entry; taking a pack has one."""

    def __init__(self, service: Service, reader: LedgerReader, keyring: Keyring) -> None:
        self._service = service
        self._reader = reader
        self._keyring = keyring

    async def policy(self, credential: Credential, digest: str) -> bytes:
        """A policy bundle, canonical JSON, by the digest (`sha256:…`) that entries name."""

        def work(seat: Seat) -> bytes:
            body = manifests.bundle(seat.desk.tx, digest)
            if body is None:
                raise NotFound("There is no such policy bundle.", field="digest", rule="`policy` of an entry")
            return bytes(body)

        return await self._service.run(credential, POLICY_SCOPE, "read", work)

    async def certificates(self, credential: Credential, *, after: str | None, limit: int) -> dict[str, Any]:
        """A page of certificates: `{"items":[{"id","certificate"}],"pending","next"}`.

        Of erasures and of rights requests, by their ids, each an envelope as text. `pending`, in the first
        page, has the erasures that are under way, `{"shred","state"}`: what they did may be in the log before
        they are certified. Two round trips, and one for these.
        """

        def work(seat: Seat) -> dict[str, Any]:
            tx, most = seat.desk.tx, limit + 1
            found = shreds.certificates(tx, after=after, limit=most)
            found = sorted(found + rights.certificates(tx, after=after, limit=most))[:most]
            page = found[:limit]
            pending = shreds.under_way(tx) if after is None else []
            return {
                "items": [{"id": one, "certificate": envelope} for one, envelope in page],
                "pending": [{"shred": one, "state": state} for one, state in pending],
                "next": page[-1][0] if len(found) > limit else None,
            }

        return await self._service.run(credential, CERTIFICATES_SCOPE, "read", work)

    async def access_list(self, credential: Credential, digest: str) -> bytes:
        """A separate access list by the digest (hex) that its entry names."""

        def work(tx: Tx, _current: Log) -> bytes:
            body = log.access_list(tx, digest)
            if body is None:
                raise NotFound(
                    "There is no such access list.", field="digest", rule="`accesses_sha256` of an entry"
                )
            return bytes(body)

        return await self._reader.read(credential, work)

    async def checkpoint(self, credential: Credential, size: int) -> str:
        """The newest checkpoint of at most this size, with its cosignatures: what was published then."""

        def work(tx: Tx, current: Log) -> str:
            note = log.checkpoint(tx, current.generation, newest_upto=min(size, current.published))
            if note is None:
                raise NotFound("This log has no checkpoint that old.", field="size", rule="a published size")
            return note

        return await self._reader.read(credential, work)

    async def generations(self, credential: Credential) -> dict[str, Any]:
        """Every generation of the log, oldest first: `{"items":[…]}`, each with keys and head.

        `{"generation","origin","vkey","previous","size","root"}`, the root in hex, `vkey` the key in force at
        the published head and `previous` those before it, newest first, each with the index of the entry
        that replaced it. A new generation begins where a restore lost entries; its first entry says what.
        One round trip for each generation.
        """

        def work(tx: Tx, _current: Log) -> dict[str, Any]:
            return {"items": [self._generation(tx, one) for one in log.generations(tx)]}

        return await self._reader.read(credential, work)

    async def sign(self, credential: Credential, index: Index) -> str:
        """The statement over a pack's index: a DSSE envelope as JSON text. On record, by the index's digest.

        Invalid when the head is not one that this log published, or is of before a change of its key: only
        the key in force at the head may sign. KeyFailure when the live key state has another key than the log
        names. Three round trips beside the entry.
        """

        def work(seat: Seat) -> str:
            tx = seat.desk.tx
            current = log.newest(tx)
            note = log.checkpoint(tx, current.generation, size=index.size) if current is not None else None
            if current is None or note is None or peek_checkpoint(note).root.hex() != index.root:
                raise Invalid(
                    "That is not a head of this log; nothing was signed.",
                    field="root",
                    rule="size and root of a published checkpoint",
                    remedy="Take the pack again: the log may have begun a new generation.",
                )
            keys = ledgerkeys.history(tx, current.generation)
            if keys and keys[0].size > index.size:
                raise Invalid(
                    "The log's key was changed behind that head; nothing was signed.",
                    field="size",
                    rule="a head that the present key signed",
                    remedy="Take the pack again, under the newest head.",
                )
            named = keys[0].vkey if keys else None
            signer = self._keyring.signer(tx.tenant_id, current.origin, named)
            statement_id = ids.new_id()
            entry = seat.record(
                Kind.EVIDENCE,
                evidence=statement_id,
                index=index.sha256,
                files=index.files,
                size=index.size,
            )
            statement = {
                "v": VERSION,
                "kind": KIND,
                "id": statement_id,
                "tenant": tx.tenant_id,
                "origin": current.origin,
                "size": index.size,
                "root": index.root,
                "index_sha256": index.sha256,
                "files": index.files,
                "issued_at": ids.rfc3339(seat.desk.now),
                "issued_to": seat.principal.id,
                "entry": entry,
            }
            return issue_statement(statement, signer)

        return await self._service.run(credential, SCOPE, "write", work)

    def _generation(self, tx: Tx, one: Log) -> dict[str, Any]:
        return {
            "generation": one.generation,
            **pinned(tx, one, self._keyring),
            "size": one.size,
            "root": bytes(one.root).hex(),
        }
