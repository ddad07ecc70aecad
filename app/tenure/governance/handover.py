"""A tenant that leaves may take its ledger along: the whole published log, checked, as a folder.

    handover/TENANT/README.txt            what this is and how to check it, for people
                    logs.json             each log's origin, key, size and root; written last
                    ledger/GENERATION/    what `tenure audit` reads: checkpoint, tiles, entry bundles, vkey
                    access-lists/ certificates/

It lies in the object tier, beside the published logs, and stays there until the operator takes it away. Only
what was audited from the copy alone, under the key that the tenant's seed gave, counts as handed over;
whatever is not is kept as it was. It holds opaque ids, no content.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import structlog

from tenure.cold.objects import Objects
from tenure.governance.ground import Ground
from tenure.governance.plan import Plan
from tenure.ledger.audit import audit
from tenure.ledger.note import Signer, Verifier
from tenure.publication import published_logs, published_name
from tenure.store import ledgerkeys, log, shreds
from tenure.store.shreds import Kind

Choice = Literal["keep", "hand-over"]
HAND_OVER: Choice = "hand-over"
_CHUNK = 500
_log = structlog.get_logger(__name__)

_README = """The ledger of tenant {tenant}, which left this service.

It says who accessed what, when, for which purpose and under which policy, by opaque identifiers. It holds no
content and names nobody. The service's own copy is deleted.

Check it with `tenure audit`, or with any verifier of C2SP tlog-tiles:

{checks}
ledger/        one folder for each generation of the log: checkpoint, tile/, vkey
access-lists/  lists of accesses that did not fit into an entry, by SHA-256 of the list
certificates/  signed certificates of erasures: tenure verify FILE --vkey KEY
logs.json      origins, keys, sizes and roots, for programs
"""


def leaving(plan: Plan) -> list[str]:
    """Tenants of a batch whose ledger was asked to be handed over."""
    return [
        one["target"]
        for mine in plan.values()
        for one in mine["erasures"]
        if one["kind"] == Kind.TENANT and one.get("ledger") == HAND_OVER
    ]


class Handover:
    """Writes hand-overs into the object tier."""

    def __init__(self, ground: Ground, objects: Objects) -> None:
        self._ground = ground
        self._objects = objects

    def pin(self, tenant_id: str) -> None:
        """Remember the log's keys while the tenant's seed still says what they are. Safe to repeat."""
        keys = self._ground.keyring.manifest().tenants.get(tenant_id)
        if keys is None:
            return  # a batch that is put back: pinned before, or not at all
        pins = {
            str(generation): self._named(tenant_id, generation) or Signer(origin, keys.ledger_seed).vkey
            for generation, origin in self._published(tenant_id).items()
        }
        self._put(tenant_id, "keys.json", json.dumps(pins, sort_keys=True).encode())

    def write(self, tenant_id: str) -> list[dict[str, Any]] | None:
        """The hand-over's logs, written and audited; None when that failed and the ledger must be kept.

        After the swap: nobody can sign the log any more, so this is all of it. Safe to repeat.
        """
        done = self._objects.get(_name(tenant_id, "logs.json"))
        if done is not None:
            return list(json.loads(done))
        pins = json.loads(self._objects.get(_name(tenant_id, "keys.json")) or b"{}")
        published = self._published(tenant_id)
        if not pins or set(pins) != {str(generation) for generation in published}:
            _log.error("a ledger was not handed over and is kept", reason="it is not published whole")
            return None
        logs = [self._copied(tenant_id, generation, pins[str(generation)]) for generation in published]
        whole = [one for one in logs if one is not None]
        if len(whole) < len(logs) or not self._is_newest(tenant_id, whole[-1]):
            _log.error("a ledger was not handed over and is kept", reason="the copy does not verify")
            return None
        for name, content in self._beside(tenant_id):
            self._put(tenant_id, name, content)
        self._put(tenant_id, "README.txt", _readme(tenant_id, whole).encode())
        self._put(tenant_id, "logs.json", json.dumps(whole, indent=1, sort_keys=True).encode())
        return whole

    def drop_published(self, tenant_id: str) -> None:
        """Delete the service's own copy of a log that was handed over. Safe to repeat."""
        for name in list(self._objects.names(published_logs(tenant_id))):
            self._objects.delete(name)

    def _published(self, tenant_id: str) -> dict[int, str]:
        """Generation → origin of every log of the tenant that has a checkpoint, in order."""
        root = published_logs(tenant_id)
        names = self._objects.names(root)
        found = {int(name.removeprefix(f"{root}/").partition("/")[0]) for name in names}
        notes = {generation: self._checkpoint(tenant_id, generation) for generation in sorted(found)}
        return {generation: note.splitlines()[0] for generation, note in notes.items() if note}

    def _named(self, tenant_id: str, generation: int) -> str | None:
        """The key that a generation is on record with: it may have ended before the seed was changed."""
        return self._ground.database.read(tenant_id, partial(ledgerkeys.newest, generation=generation))

    def _checkpoint(self, tenant_id: str, generation: int) -> str:
        return (self._objects.get(f"{published_name(tenant_id, generation)}/checkpoint") or b"").decode()

    def _copied(self, tenant_id: str, generation: int, vkey: str) -> dict[str, Any] | None:
        source, folder = published_name(tenant_id, generation), f"ledger/{generation}"
        for name in self._objects.names(source):
            self._put(tenant_id, f"{folder}{name.removeprefix(source)}", self._objects.get(name) or b"")
        self._put(tenant_id, f"{folder}/vkey", f"{vkey}\n".encode())
        report = audit(
            lambda path: self._objects.get(_name(tenant_id, f"{folder}/{path}")), [Verifier.parse(vkey)]
        )
        if not report.ok or report.checkpoint is None:
            return None
        found = report.checkpoint
        return {
            "generation": generation,
            "origin": found.origin,
            "vkey": vkey,
            "size": found.size,
            "root": found.root.hex(),
        }

    def _is_newest(self, tenant_id: str, handed: dict[str, Any]) -> bool:
        """Whether the copy is all of what the database has of the tenant's log."""
        current = self._ground.database.read(tenant_id, log.newest)
        return current is not None and (current.generation, current.size, current.root.hex()) == (
            handed["generation"],
            handed["size"],
            handed["root"],
        )

    def _beside(self, tenant_id: str) -> Iterator[tuple[str, bytes]]:
        """(name, content) of what belongs to the log and is not in it."""
        read = partial(self._ground.database.read, tenant_id)
        behind = ""
        while lists := read(partial(log.access_lists, after=behind, limit=_CHUNK)):
            for digest, body in lists:
                yield f"access-lists/{digest}.json", body
            behind = lists[-1][0]
        after: str | None = None
        while certificates := read(partial(shreds.certificates, after=after, limit=_CHUNK)):
            for certificate_id, envelope in certificates:
                yield f"certificates/{certificate_id}.json", envelope.encode()
            after = certificates[-1][0]

    def _put(self, tenant_id: str, name: str, content: bytes) -> None:
        self._objects.put(_name(tenant_id, name), content)


def _name(tenant_id: str, name: str) -> str:
    return f"handover/{tenant_id}/{name}"


def _readme(tenant_id: str, logs: list[dict[str, Any]]) -> str:
    checks = "\n".join(
        f"    {one['origin']}, {one['size']} entries, root {one['root']}\n"
        f"    tenure audit ledger/{one['generation']} --vkey '{one['vkey']}'\n"
        for one in logs
    )
    return _README.format(tenant=tenant_id, checks=checks)
