"""From an access token to a credential, before any transaction of the request's own.

    1 parse      the token's own form; nothing in it is believed
    2 find       the one tenant that has claimed (issuer, audience); these are an index here, and no proof
    3 key        of that issuer, by the token's kid; fetched, if need be, in a thread of its own
    4 verify     signature, issuer, audience, times, what the tenant requires
    5 provision  a subject that was never seen becomes a principal, where the tenant wants that, on record

The request's transaction then looks up who the subject is (`tenancy.authenticate`), and refuses a token whose
configuration is gone by then. So nothing that is cached here outlives a change for longer than that.
"""

import asyncio
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Unavailable
from tenure.ids import CELL
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.issuer import Issuer, claim_of
from tenure.model.names import SERVICE_PURPOSE
from tenure.model.principal import Credential, Principal, Token
from tenure.oidc.claims import check_form, verified
from tenure.oidc.refusal import UNTRUSTED, refused
from tenure.oidc.sources import KeySources
from tenure.oidc.token import Parsed, parse_token
from tenure.store import issuers as store
from tenure.store import principals
from tenure.store.database import Database

FOUND_S: Final = 1.0
"""How long it is remembered whom a token leads to: a change is seen so much later at most."""
MAX_FOUND: Final = 4_096
MAX_SEEN: Final = 10_000
_AT_ONCE: Final = 4
"""Look-ups at once. Anybody can ask for one, so they leave the database's connections to others."""

_Found = tuple[str, Issuer]


class Owner(NamedTuple):
    """Whose a verified token is: its tenant, and a hash of the actor, the same for all their tokens."""

    tenant_id: str
    actor: str


NOBODY: Final = Owner("", "")
Admit = Callable[[Owner], None]


class Tokens:
    """Reads tokens for every surface. Called on the event loop."""

    def __init__(
        self, database: Database, batcher: Batcher, sources: KeySources, candidates: KeySources
    ) -> None:
        """`candidates`: keys of issuers that are not trusted yet."""
        self._database = database
        self._batcher = batcher
        self._sources = sources
        self._candidates = candidates
        self._proving: set[str] = set()
        self._found: dict[tuple[str, ...], tuple[float, asyncio.Task[_Found | None]]] = {}
        self._seen: set[tuple[str, str, str, str]] = set()
        self._owners: dict[str, Owner] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def credential(self, text: str, admit: Admit | None = None) -> Credential:
        """Steps 1 to 5. `admit` is told whose token it is once it is verified, before anything is written.

        Two reads of the database at most once a second for an issuer and its audiences; a transaction more
        when this process meets a subject for the first time. Raises Unauthenticated, Unavailable, and what
        `admit` raises.
        """
        parsed = parse_token(text)
        tenant_id, issuer = await self._find(parsed)
        token = await self._verified(parsed, issuer, self._sources)
        owner = Owner(tenant_id, hash_of(f"{issuer.url} {token.claim} {token.actor}"))
        if admit is not None:
            admit(owner)
        await self._provide(tenant_id, issuer, token)
        secret_hash = hash_of(text)
        if len(self._owners) >= MAX_SEEN:
            self._owners.clear()
        self._owners[secret_hash] = owner
        return Credential(tenant_id, secret_hash, token)

    def owner(self, secret_hash: str) -> Owner:
        """Whose a token is that was verified here, by its hash; empty for any other. Proves nothing."""
        return self._owners.get(secret_hash, NOBODY)

    async def prove(self, tenant_id: str, text: str, issuer: Issuer) -> None:
        """Steps 1, 3 and 4 under a configuration that is not in force. Raises as `credential`.

        One at a time for a tenant, and apart from the keys that tokens are verified by: whom a tenant would
        trust may be slow, or many.
        """
        if tenant_id in self._proving:
            raise Unavailable(
                "Another proof of this tenant is being verified; nothing was changed.",
                retry_after=5,
                remedy="Configure one issuer after the other.",
            )
        self._proving.add(tenant_id)
        try:
            await self._verified(parse_token(text), issuer, self._candidates)
        finally:
            self._proving.discard(tenant_id)

    async def _verified(self, parsed: Parsed, issuer: Issuer, sources: KeySources) -> Token:
        check_form(parsed, issuer)
        key = await sources.key(issuer, parsed.key_id, parsed.algorithm)
        return verified(parsed, issuer, key, now=ids.now())

    def forget(self) -> None:
        """Look again whom issuers lead to: this process has just changed it."""
        self._found.clear()

    async def _find(self, parsed: Parsed) -> _Found:
        key = (parsed.issuer, *parsed.audiences)
        until, task = self._found.get(key, (0.0, None))
        if task is None or until <= time.monotonic() or (task.done() and task.exception() is not None):
            if len(self._found) >= MAX_FOUND:
                self._found.clear()
            task = asyncio.create_task(self._looked_up(parsed))
            self._found[key] = (time.monotonic() + FOUND_S, task)
        found = await asyncio.shield(task)
        if found is None:
            raise refused(UNTRUSTED)
        return found

    async def _looked_up(self, parsed: Parsed) -> _Found | None:
        async with self._turns:
            return await asyncio.to_thread(self._look_up, parsed)

    def _look_up(self, parsed: Parsed) -> _Found | None:
        """None too for a token that leads to more than one configuration: it must name one. In a thread."""
        claims = [claim_of(parsed.issuer, audience) for audience in parsed.audiences]
        found = self._database.read(CELL, lambda tx: store.claimed(tx, claims))
        if len(found) != 1:
            return None
        tenant_id, issuer_id = found[0]
        issuer = self._database.read(tenant_id, lambda tx: store.get(tx, issuer_id))
        return None if issuer is None else (tenant_id, issuer)

    async def _provide(self, tenant_id: str, issuer: Issuer, token: Token) -> None:
        if issuer.provision is None:
            return
        for subject in {token.actor, token.subject}:
            seen = (tenant_id, issuer.url, issuer.subject_claim, subject)
            if seen in self._seen:
                continue

            def work(desk: Desk, subject: str = subject) -> None:
                _provide(desk, issuer, subject)

            await self._batcher.submit(tenant_id, Solo(work))
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen.add(seen)


def hash_of(text: str) -> str:
    """What a token is told by: SHA-256 in hex, as of an API key's secret."""
    return sha256(text.encode()).hexdigest()


def _provide(desk: Desk, issuer: Issuer, subject: str) -> None:
    """Step 5, for one subject. Of two that do the same at once the second clashes, and finds it done."""
    tx = desk.tx
    index = desk.tenancy.keys.blind_index("identity", issuer.url, issuer.subject_claim, subject)
    if store.identity(tx, index) is not None:
        return
    current = store.get(tx, issuer.id, lock=True)  # it does not go, nor then its roles, before this is there
    if current is None or current.provision is None:
        raise refused(UNTRUSTED)
    roles = tuple(sorted(set(current.provision.roles)))
    new_id = ids.new_id()
    # The name tells nothing of what the issuer calls it, which may be an address.
    new = Principal(tx.tenant_id, new_id, f"{issuer.name}:{new_id}", current.provision.kind, roles)
    principals.create(tx, new, at=desk.now)
    store.identify(tx, index, new_id, at=desk.now)
    data = {"change": "provisioned", "issuer": issuer.id, **new.standing}
    tx.append(
        EntryDraft(
            kind=Kind.PRINCIPAL_CHANGE,
            at=desk.now,
            outcome="ok",
            principal=new_id,
            policy=desk.tenancy.policy.digest,
            purpose=SERVICE_PURPOSE,
            data=data,
        )
    )
