"""What this process knows of a tenant, valid for exactly the epochs it was built from.

A transaction reads the tenant's epochs with its first statement. If they are the ones of the cached tenancy,
nothing else is looked up; if not, the parts whose epoch moved are rebuilt inside that transaction.

Of the tenants that a process meets it keeps the `MAX_TENANCIES` that were asked for last. One that had to go
is built again when it comes back, as at a start: some milliseconds, five further statements.
"""

import contextlib
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from typing import Any

from tenure import ids, resources, restraints
from tenure.elevation import Running
from tenure.errors import Invalid, Unauthenticated
from tenure.keyring import Keyring, TenantKeyring
from tenure.model.cohorts import Grouping
from tenure.model.configuration import Configuration
from tenure.model.limits import UNLIMITED, Limits
from tenure.model.manifests import parse_manifests
from tenure.model.principal import Credential, Principal, Token
from tenure.model.rulebook import Kept, Rulebook
from tenure.policy.bundle import bundle
from tenure.policy.engine import Engine
from tenure.restraints import Restraints
from tenure.store import limits, manifests, principals, tenants
from tenure.store.session import Epochs, Tx

MAX_PRINCIPALS = 10_000
MAX_TENANCIES = 2_048
"""Tenants whose rules and keys one process holds at a time."""
GRACE_S = 30.0
"""How long the keys of a tenant that had to go stay open, for whoever is at work with them."""
_NEVER = -1


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one policy epoch. `digest` names the bundle in every entry."""

    configuration: Configuration
    engine: Engine
    digest: str
    body: bytes
    rulebook: Rulebook
    """The retention rules among them."""


@dataclass(frozen=True, slots=True)
class Known:
    """Who holds a credential, as they may act with it; until when (microseconds, None: no end); its rates."""

    principal: Principal
    expires_at: int | None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One tenant as of some epochs."""

    tenant_id: str
    epochs: Epochs
    policy: Policy
    keys: TenantKeyring
    known: dict[Credential, Known] = field(default_factory=dict)
    """Who was met. Ask `authenticate`, which minds the clock."""
    limits: Limits = UNLIMITED
    """What the tenant may take: what is declared, and the settings'."""
    narrowed: dict[str, Limits | None] = field(default_factory=dict)
    """What credentials that were met may take, by the hash of their secret; None: what their tenant may."""
    restraints: Restraints = restraints.NONE
    """Whose data may not be used now, of the same subject epoch."""
    running: Running = field(default_factory=Running)
    """Elevations of the same principal epoch."""
    groupings: dict[tuple[str, str], Grouping] = field(default_factory=dict)
    """(scope, labels) → how such versions are grouped in cohorts, by these rules."""
    cohorts: dict[str, int] = field(default_factory=dict)
    """Name of an anchor → leaf, of cohorts that are stored and had not ended at this key epoch."""
    label_sets: set[tuple[str, str]] = field(default_factory=set)
    """(scope, labels) that are known to be stored; they are never removed."""
    heads: dict[tuple[str, int], tuple[bytes, Any]] = field(default_factory=dict)
    """(record, number) → a sealed head and what it says, of versions written here at this key epoch.

    Whoever goes on after what it wrote itself need not open it again. Some hundreds at most.
    """
    homes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Index of a thread's root → (what was found, what follows), by these rules and at this key epoch.

    Whoever finds the same again need not work it out anew. It names nobody; a thousand at most.
    """
    generations: dict[str, int] = field(default_factory=dict)
    """Index of a thread's root → its generation, as last met; of those that are not in their first."""
    spare_leaves: deque[int] = field(default_factory=deque)
    """Leaves that this process has taken and given to nothing yet (`leaves`)."""
    bundles: set[str] = field(default_factory=set)
    """Digests of policy bundles that are known to be stored; likewise."""


class Tenancies:
    """The tenants that this process has met."""

    def __init__(self, keyring: Keyring, default: Limits = UNLIMITED) -> None:
        """`default`: what a tenant may take of which nothing is declared."""
        self._keyring = keyring
        self._default = default
        self._tenancies: OrderedDict[str, Tenancy] = OrderedDict()
        """The one asked for last at the end."""
        self._leaving: list[tuple[float, TenantKeyring]] = []
        """Keys of tenants that had to go, and until when they are left open."""
        self._building = threading.Lock()

    def __len__(self) -> int:
        return len(self._tenancies)

    def cached(self, tenant_id: str) -> Tenancy | None:
        """What was last known, to prepare a question with."""
        found = self._tenancies.get(tenant_id)
        if found is not None:
            with contextlib.suppress(KeyError):  # another thread needed its place just now
                self._tenancies.move_to_end(tenant_id)
        return found

    def limits(self, tenant_id: str) -> Limits:
        """What the tenant may take, as last known here."""
        known = self._tenancies.get(tenant_id)
        return self._default if known is None else known.limits

    def narrowed(self, tenant_id: str, secret_hash: str) -> Limits | None:
        """What a credential may take within its tenant's, as last known here; None: nothing is declared."""
        known = self._tenancies.get(tenant_id)
        return None if known is None else known.narrowed.get(secret_hash)

    def knows(self, tenant_id: str, secret_hash: str) -> bool:
        """Whether a credential was found to be a live one, and nothing has changed since."""
        known = self._tenancies.get(tenant_id)
        return known is not None and secret_hash in known.narrowed

    def current(self, tx: Tx) -> Tenancy:
        """The tenancy as this transaction sees it. Unauthenticated when there is no such tenant."""
        if not tx.exists:
            raise Unauthenticated("The credential is unknown.", rule="api-key")
        old = self.cached(tx.tenant_id)
        if old is not None and old.epochs == tx.epochs:
            return old
        # Rules take the longest, and whoever builds the same ones beside us does no harm.
        rules = old.policy if old is not None and old.epochs.policy == tx.epochs.policy else load_policy(tx)
        limited = _restraints(tx, old)
        with self._building:  # one at a time: opened keys that lose a race would never be wiped
            return self._rebuilt(tx, rules, limited)

    def forget_keys(self, before: int) -> None:
        """Wipe every opened key of a key state older than number `before`, and what is cached too long."""
        with self._building:
            for tenant_id, known in list(self._tenancies.items()):
                if known.keys.seq < before:
                    stale = replace(known, epochs=replace(known.epochs, keys=_NEVER))
                    self._tenancies[tenant_id] = stale
                    known.keys.wipe()
                    known.heads.clear()
                    known.homes.clear()
                else:
                    known.keys.sweep()
            # An erasure waits for what was set aside, too: it is wiped with the rest.
            now, staying = time.monotonic(), []
            for until, keys in self._leaving:
                if keys.seq < before or until < now:
                    keys.wipe()
                else:
                    staying.append((until, keys))
            self._leaving = staying

    def _rebuilt(self, tx: Tx, rules: Policy, limited: Restraints) -> Tenancy:
        old = self._tenancies.get(tx.tenant_id)
        now = tx.epochs
        if old is not None and old.epochs == now:
            return old
        same_keys = old is not None and old.epochs.keys == now.keys
        same_rules = old is not None and old.epochs.policy == now.policy
        same_callers = old is not None and old.epochs.principal == now.principal
        new = Tenancy(
            tenant_id=tx.tenant_id,
            epochs=now,
            policy=old.policy if old and same_rules else rules,
            keys=old.keys if old and same_keys else self._keyring.tenant(tx),
            restraints=limited,
            known=old.known if old and same_callers else {},
            limits=old.limits if old and same_callers else limits.of(tx, tx.tenant_id).over(self._default),
            narrowed=old.narrowed if old and same_callers else {},
            running=old.running if old and same_callers else Running(),
            groupings=old.groupings if old and same_rules else {},
            cohorts=old.cohorts if old and same_keys else {},
            label_sets=old.label_sets if old else set(),
            heads=old.heads if old and same_keys else {},
            homes=old.homes if old and same_keys and same_rules else {},
            generations=old.generations if old else {},
            spare_leaves=old.spare_leaves if old else deque(),
            bundles=old.bundles if old else set(),
        )
        self._tenancies[tx.tenant_id] = new
        if old is not None and not same_keys:
            old.keys.wipe()
        while len(self._tenancies) > MAX_TENANCIES:
            _, gone = self._tenancies.popitem(last=False)
            self._leaving.append((time.monotonic() + GRACE_S, gone.keys))
        return new


def _restraints(tx: Tx, old: Tenancy | None) -> Restraints:
    """As of this transaction; only what changed is fetched where something was known."""
    if old is None:
        return restraints.known(tx, None)
    if old.epochs.subjects == tx.epochs.subjects:
        return old.restraints
    return restraints.known(tx, (old.epochs.subjects, old.restraints))


def authenticate(tx: Tx, tenancy: Tenancy, credential: Credential, now: int) -> Principal:
    """Who is calling. Unauthenticated: unknown, revoked or expired credential, disabled principal.

    No round trip for a credential that was met since the last change of a principal; else one, and one more
    for whom it acts. `now` in microseconds: what is remembered ends with the credential.
    """
    known = tenancy.known.get(credential)
    if known is None:
        known = (
            _by_token(tx, tenancy, credential, credential.token)
            if credential.token
            else _by_key(tx, credential)
        )
        if len(tenancy.known) >= MAX_PRINCIPALS:
            tenancy.known.clear()
            tenancy.narrowed.clear()
        tenancy.known[credential] = known
        limits = known.limits
        tenancy.narrowed[credential.secret_hash] = None if limits is None else limits.within(tenancy.limits)
    if known.expires_at is not None and known.expires_at <= now:
        raise Unauthenticated(
            "The credential has expired; nothing was done.",
            rule="expires_at",
            remedy="Ask your tenant's administrator for a new one, or your issuer for a new token.",
        )
    return known.principal


def _by_key(tx: Tx, credential: Credential) -> Known:
    held = principals.by_secret(tx, credential.secret_hash)
    if held is None:
        raise Unauthenticated(
            "The API key is unknown or was revoked.",
            rule="api-key",
            remedy="Ask your tenant's administrator for a new one.",
        )
    principal, reach = held.principal, held.reach
    if reach is not None:
        principal = replace(principal, roles=reach.of_roles(principal.roles), reach=reach, lent=True)
    return Known(_acting(principal, _behalf(tx, credential)), held.expires_at, held.limits)


def _by_token(tx: Tx, tenancy: Tenancy, credential: Credential, token: Token) -> Known:
    """The principals that a verified token names. Its issuer must still be one of this tenant's."""

    def find(subject: str) -> Principal:
        index = tenancy.keys.blind_index("identity", token.issuer, token.claim, subject)
        principal = principals.by_identity(tx, token.issuer_id, index)
        if principal is None:
            raise no_identity()
        return principal

    actor, subject = find(token.actor), find(token.subject)
    if token.roles:
        roles = tuple(sorted({*subject.roles, *token.roles}))
        subject = replace(subject, roles=roles, lent=True)
    if not token.is_delegated:
        return Known(_acting(subject, _behalf(tx, credential)), token.expires_at)
    if credential.on_behalf_of not in (None, subject.id):
        raise no_behalf()
    return Known(_acting(actor, subject), token.expires_at)


def _behalf(tx: Tx, credential: Credential) -> Principal | None:
    if credential.on_behalf_of is None:
        return None
    found = principals.live(tx, credential.on_behalf_of)
    if found is None:
        raise no_behalf()
    return found


def _acting(principal: Principal, behalf: Principal | None) -> Principal:
    """Acting for oneself is acting for nobody else."""
    return principal if behalf is None or behalf.id == principal.id else replace(principal, behalf=behalf)


def no_identity() -> Unauthenticated:
    """A token of somebody who is nobody here."""
    return Unauthenticated(
        "The token's subject is no live principal of this tenant; nothing was done.",
        rule="a subject that the tenant's issuer maps to a principal",
        remedy="Ask your tenant's administrator to map the subject, or to let the issuer make principals.",
    )


def no_behalf() -> Invalid:
    """On behalf of somebody who is nobody here, or not whom the token names."""
    return Invalid(
        "Nobody can be acted for under this id; nothing was done.",
        field="Tenure-On-Behalf-Of",
        rule="the id of a live principal of the tenant; with a delegated token, of its subject",
        remedy="Send a principal's id as GET /v1/principals lists it, or leave the header out.",
    )


def keep_policy(tx: Tx, tenancy: Tenancy) -> None:
    """See to it that the bundle which entries are about to name is stored, whatever made it the present one.

    Nobody may have applied it: a new tenant has none, an upgrade brings other built-in rules. Believed stored
    once a later transaction finds it, since this one may be rolled back: two round trips in the first
    transaction of a process under a policy, one in the second, none after that.
    """
    policy = tenancy.policy
    if policy.digest in tenancy.bundles:
        return
    if manifests.has_bundle(tx, policy.digest):
        tenancy.bundles.add(policy.digest)
    else:
        manifests.keep_bundle(tx, policy.digest, policy.body, at=ids.now())


def load_policy(tx: Tx) -> Policy:
    """Build the engine of the transaction's tenant from its stored manifests."""
    rows = manifests.every(tx)
    stored = [
        {
            "apiVersion": "tenure/v1",
            "kind": row["kind"],
            "metadata": {"name": row["name"]},
            "spec": row["spec"],
        }
        for row in rows
    ]
    applied = {(row["kind"], row["name"]): row["applied_at"] for row in rows}
    declared = Configuration.empty().with_manifests(parse_manifests(stored))
    return policy_of(tx.tenant_id, declared, Kept(tenants.access_since(tx), applied))


def policy_of(tenant_id: str, configuration: Configuration, kept: Kept | None = None) -> Policy:
    """The engine and bundle of a configuration. `kept`: of accesses, under it; None: it is not in force."""
    model, builtin = resources.policy_model(), resources.builtin_rules()
    packed = bundle(configuration, model, builtin)
    engine = Engine(configuration, tenant=tenant_id, model_text=model, builtin_rules_text=builtin)
    return Policy(configuration, engine, packed.digest, packed.data, Rulebook(configuration, kept))
