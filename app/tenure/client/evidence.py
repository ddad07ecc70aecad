"""Put an evidence pack together from what a service gives to an auditor, and check it before it is kept."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tenure.client.http import Connection
from tenure.client.pack import audit_pack
from tenure.client.trust import Trust
from tenure.errors import NotFound, Unverified
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint
from tenure.ledger.keychain import FILE
from tenure.ledger.pack import (
    GENERATIONS,
    INDEX,
    README,
    STATEMENT,
    Named,
    PackReport,
    Span,
    entries_of,
    index_file,
    list_name,
    policy_name,
    population_file,
    survey,
)
from tenure.ledger.packcertificates import PENDING, file_of, pending_file
from tenure.ledger.tile import TileId, expected_bundles, expected_tiles

Said = Callable[[str], None]
"""Told, in a word or two, what is fetched next."""

_TEXT = """# Evidence from a Tenure ledger

What agents and people did with the personal context of one tenant, by opaque identifiers: who accessed what,
when, for which purpose and under which rules. It names nobody, and holds no content except in `openings/`.

- log: `{origin}`, {size} entries, root `{root}`
- about: {about}
- taken with: `{vkey}`

## Check it
You need no access to the service, and nothing that it says is believed.

    pip install .          # in a copy of Tenure's repository: what a package index calls `tenure` is not this
    tenure audit PACK.zip --vkey '{vkey}'

An older key of this log will do as well: its changes are followed. The key above came from the service. Get
it once by another way, and compare. With `--witness KEY --quorum N`
cosignatures count; `--earlier FILE` takes a checkpoint that you have from before.

The log in `ledger/{generation}/` is a C2SP tlog-tiles log. Unpack it and any client of that format checks it,
with nothing of ours: for example Go's `golang.org/x/mod/sumdb/tlog` and `note`.

## What is in it
| | |
|---|---|
| `ledger/{generation}/` | the whole log: checkpoint, tiles, entry bundles, key, and proofs of its changes |
| `checkpoints/` | earlier heads, at the end of each day that the pack is about, with their cosignatures |
| `generations.json` | every generation of the log. A new one begins where a restore lost entries |
| `policies/` | the rules and manifests in force, by the digest that entries name |
| `access-lists/` | lists of accesses that did not fit into an entry, by their SHA-256 |
| `certificates/` | signed certificates of erasures and of rights requests: all that the log names |
| `pending.json` | erasures that were under way, in the service's word: their certificates are signed later |
| `populations/` | which entries are of which kind, and no others: run again by `tenure audit` |
| `receipts/`, `openings/` | decisions whose content was opened: what exactly the agent saw |
| `index.json`, `statement.json` | the SHA-256 of every file, and the service's signature over it |

Formats: `docs/spec/ledger.md` of Tenure.
"""


async def collect(
    connection: Connection,
    span: Span,
    keys: Trust,
    folder: Path,
    *,
    decisions: Sequence[str] = (),
    purpose: str | None = None,
    said: Said = lambda _: None,
) -> PackReport:
    """Fetch everything into a folder, new or empty, have its index signed, and check the whole.

    `decisions` are opened for `purpose`, as far as policy lets the caller see their content; each is a
    recorded access. Raises `Unverified` when the head is not signed by a key that is trusted, and what the
    service answers.
    """
    pack = _Pack(connection, folder)
    generations = await connection.call("GET", "/v1/ledger/generations")
    newest = generations["items"][-1]
    note = await connection.call("GET", "/v1/ledger/checkpoint")
    head = open_checkpoint(note, keys.verifiers).checkpoint
    if head.origin != newest["origin"]:
        raise Unverified("pack-head", "The log began a new generation meanwhile. Take the pack again.")
    base = f"ledger/{newest['generation']}"
    said("the log")
    pack.keep(f"{base}/checkpoint", note.encode())
    pack.keep(f"{base}/vkey", f"{newest['vkey']}\n".encode())
    if rotations := await connection.call("GET", "/v1/ledger/rotations"):
        pack.keep(f"{base}/{FILE}", rotations.encode())
    for tile in _tiles(head.size):
        pack.keep(f"{base}/{tile.path}", await connection.fetch(f"/v1/ledger/{tile.path}"))
    pack.keep(GENERATIONS, json.dumps(generations, indent=1, sort_keys=True).encode())
    named = survey(entries_of(lambda path: pack.read(f"{base}/{path}"), head.size), span)
    said("papers")
    await pack.papers(named, head)
    for decision in decisions:
        said("openings")
        await pack.opened(decision, purpose)
    about = ", ".join(f"{name} {part}" for name, part in span.selection.members().items())
    text = _TEXT.format(
        origin=head.origin,
        size=head.size,
        root=head.root.hex(),
        about=about or "all entries",
        vkey=newest["vkey"],
        generation=newest["generation"],
    )
    pack.keep(README, text.encode())
    await pack.close(span, newest["generation"], head)
    said("checking")
    report = audit_pack(folder, [key.vkey for key in keys.verifiers], quorum=keys.quorum)
    return keys.qualify(report)


class _Pack:
    """A pack that is being filled."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = connection
        self._folder = folder
        self._digests: dict[str, bytes] = {}

    def keep(self, name: str, content: bytes) -> None:
        """Write one file."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._digests[name] = hashlib.sha256(content).digest()

    def read(self, name: str) -> bytes | None:
        """A file that was written."""
        return (self._folder / name).read_bytes() if name in self._digests else None

    async def papers(self, named: Named, head: Checkpoint) -> None:
        """What the span's entries name, every certificate, earlier heads, populations."""
        for digest in sorted(named.policies):
            await self._if_there(policy_name(digest), f"/v1/policies/{digest}")
        for digest in sorted(named.lists):
            await self._if_there(list_name(digest), f"/v1/ledger/access-lists/{digest}")
        cursor: dict[str, str] = {}
        while True:
            page = await self._connection.call("GET", "/v1/certificates", params={"limit": "50", **cursor})
            if not cursor:  # under way now: what is signed meanwhile is in a later page, or in none
                self.keep(PENDING, pending_file(page["pending"]))
            for one in page["items"]:
                self.keep(file_of(one["id"]), one["certificate"].encode())
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        for size in sorted(set(named.days.values())):
            await self._earlier(size, head)
        for name, (selection, matches) in named.populations.items():
            self.keep(f"populations/{name}.json", population_file(selection, head, matches))

    async def opened(self, decision: str, purpose: str | None) -> None:
        """A decision's receipt and openings."""
        path = f"/v1/decisions/{decision}"
        receipt = await self._connection.call("GET", f"{path}/receipt")
        headers = {"Tenure-Purpose": purpose or ""}
        openings: Any = await self._connection.call("GET", f"{path}/openings", headers=headers)
        self.keep(f"receipts/{decision}.tlog-proof", receipt.encode())
        self.keep(f"openings/{decision}.json", json.dumps(openings, sort_keys=True).encode())

    async def close(self, span: Span, generation: int, head: Checkpoint) -> None:
        """The index, and the service's statement over it."""
        index = index_file(span, generation, head, dict(sorted(self._digests.items())))
        (self._folder / INDEX).write_bytes(index)
        body = {
            "index_sha256": hashlib.sha256(index).hexdigest(),
            "files": len(self._digests),
            "size": head.size,
            "root": head.root.hex(),
        }
        statement = await self._connection.call("POST", "/v1/evidence", body)
        (self._folder / STATEMENT).write_text(json.dumps(statement, sort_keys=True))

    async def _if_there(self, name: str, path: str) -> None:
        """What the service does not have is named by the check of the pack."""
        try:
            self.keep(name, await self._connection.fetch(path))
        except NotFound:
            return

    async def _earlier(self, size: int, head: Checkpoint) -> None:
        """The newest head of at most this size."""
        try:
            note = await self._connection.call("GET", f"/v1/ledger/checkpoints/{size}")
        except NotFound:
            return
        found = int(note.splitlines()[1])
        if found != head.size:
            self.keep(f"checkpoints/{found}", note.encode())


def _tiles(size: int) -> Iterator[TileId]:
    yield from expected_tiles(size)
    yield from expected_bundles(size)
