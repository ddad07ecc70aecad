"""Who may go on now: rates and requests at once, per tenant, per credential, and per address of strangers.

    enter    before a request's body is read: is every allowance in the black? Then take one request
    spend    bytes as they come and go, records as the answer counts them: an allowance may go into the red,
             and the next request waits for it
    leave    the request is over

Pure but for its counters: the caller brings the time, and nothing here waits, locks or asks the database.
Used on the event loop only. Counted is what this process does: of a limit it has the share of one process.

A tenant's allowance is only ever touched with a credential that was proven in this process, or with a token
that its issuer signed; of a token whose subject is nobody here it is given back. Whoever makes up keys in a
tenant's name pays with their own address (`strangers`), and only for what failed. Calls that govern
(`Way.RESERVED`) have an allowance of their own for each credential, and one for all tokens of an actor:
agents cannot keep an officer out.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn

from tenure.errors import RateLimited
from tenure.model.limits import Limits

MAX_TENANTS: Final = 10_000
MAX_CREDENTIALS: Final = 50_000
MAX_PEERS: Final = 20_000
_RECENT: Final = 200
_WORST_S: Final = 60.0
"""Nobody is in the red for longer than this, however much one request took."""
_STRANGERS_BURST_S: Final = 10
_RESERVE_BURST_S: Final = 2
_SPARED: Final = 8

STRANGERS, RESERVE, CONCURRENT = "strangers", "reserve", "concurrent"
_WORDS: Final = {
    "requests": "requests a second",
    "bytes": "bytes a second, of requests and answers",
    "records": "records read or written a second",
    CONCURRENT: "requests at once",
    RESERVE: "governing calls a second",
    STRANGERS: "attempts from this address without a credential known here",
}
LIMITS: Final = tuple(_WORDS)
"""Every name that RateLimited has for a limit."""


class Way(Enum):
    """How a request is taken in."""

    OPEN = "open"
    """Probes and metrics: never refused."""
    RESERVED = "reserved"
    """What governs: erasures, rights, holds, keys of callers."""
    USUAL = "usual"


class Meter:
    """An allowance that fills with time: a token bucket. `level` below 0 is owed."""

    __slots__ = ("at", "capacity", "level", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate = rate
        self.capacity = capacity
        self.level = capacity
        self.at = now

    def fill(self, now: float) -> float:
        """What there is now."""
        level = self.level + (now - self.at) * self.rate
        self.at = now
        self.level = level = min(self.capacity, level)
        return level

    def spend(self, amount: float) -> None:
        """Take, into the red if need be, but no further than a minute's worth."""
        level = self.level - amount
        worst = -self.rate * _WORST_S
        self.level = max(worst, level)

    def wait(self, need: float) -> float:
        """Seconds until there is so much."""
        return (need - self.level) / self.rate

    def set(self, rate: float, capacity: float) -> None:
        """Another rate; what was spent stays spent, in the new measure no longer than before."""
        self.rate = rate
        self.level = max(min(self.level, capacity), -rate * _WORST_S)
        self.capacity = capacity


class Account:
    """What one tenant or credential may take from this process, and what it is taking."""

    __slots__ = ("bytes", "concurrent", "limits", "records", "requests", "reserve", "running", "share")

    def __init__(self) -> None:
        self.limits: Limits | None = None
        self.share = 1
        self.running = 0
        self.concurrent = 0
        self.requests: Meter | None = None
        self.bytes: Meter | None = None
        self.records: Meter | None = None
        self.reserve: Meter | None = None

    def set(self, limits: Limits, share: int, now: float) -> None:
        """Take up limits of the whole cell, of which this process has one of `share` parts."""
        self.limits, self.share = limits, share
        burst = limits.burst_s or 1
        self.requests = _meter(self.requests, limits.requests, share, burst, now)
        self.bytes = _meter(self.bytes, limits.bytes, share, burst, now)
        self.records = _meter(self.records, limits.records, share, burst, now)
        self.concurrent = max(1, limits.concurrent // share) if limits.concurrent else 0

    def refused(self, now: float) -> tuple[str, float] | None:
        """(limit, seconds until it may go on), or None. Takes nothing."""
        if self.concurrent and self.running >= self.concurrent:
            return CONCURRENT, 1.0
        if (meter := self.requests) is not None and meter.fill(now) < 1:
            return "requests", meter.wait(1)
        if (meter := self.bytes) is not None and meter.fill(now) <= 0:
            return "bytes", meter.wait(1)
        if (meter := self.records) is not None and meter.fill(now) <= 0:
            return "records", meter.wait(1)
        return None

    def enter(self) -> None:
        """One more request is under way."""
        self.running += 1
        if self.requests is not None:
            self.requests.level -= 1

    def leave(self, size: int, records: int) -> None:
        """It is over, and took this much."""
        self.running -= 1
        if size and self.bytes is not None:
            self.bytes.spend(size)
        if records and self.records is not None:
            self.records.spend(records)


def _meter(old: Meter | None, rate: int | None, share: int, burst_s: int, now: float) -> Meter | None:
    if not rate:
        return None
    mine = rate / share
    capacity = max(1.0, mine * burst_s)
    if old is None:
        return Meter(mine, capacity, now)
    old.set(mine, capacity)
    return old


class Refused(NamedTuple):
    """A tenant that was refused lately: which limit, how often in this process, when last (monotonic)."""

    tenant_id: str
    limit: str
    times: int
    at: float


class Pass(NamedTuple):
    """A request that was let in: which accounts it is charged to, or the address of a stranger."""

    tenant: Account | None
    credential: Account | None
    peer: str | None


OPEN: Final = Pass(None, None, None)


class Gate:
    """The accounts of this process, the most recently used of each kind, and who was refused."""

    def __init__(
        self,
        limits: Callable[[str], Limits],
        narrowed: Callable[[str, str], Limits | None],
        share: Callable[[], int],
        *,
        strangers: int,
        reserve: int,
    ) -> None:
        """`limits(tenant)` and `narrowed(tenant, credential)`: what is known here, without asking anybody.

        `strangers`: failed attempts a second of one address; `reserve`: governing calls a second of one
        credential. 0: no limit. `share`: how many processes share the limits now.
        """
        self._limits = limits
        self._narrowed = narrowed
        self._share = share
        self._strangers = strangers
        self._reserve = reserve
        self._tenants: OrderedDict[str, Account] = OrderedDict()
        self._credentials: OrderedDict[tuple[str, str], Account] = OrderedDict()
        self._peers: OrderedDict[str, Meter] = OrderedDict()
        self._recent: OrderedDict[tuple[str, str], Refused] = OrderedDict()
        self.refusals: Counter[str] = Counter()
        """Refused requests by limit."""

    def enter(self, way: Way, tenant_id: str, secret: str, peer: str, now: float) -> Pass:
        """Let a request in, or raise RateLimited. `secret` is the hash of what proves the credential.

        Empty `tenant_id`: no credential that can be read.
        """
        credential = self._credentials.get((tenant_id, secret))
        if credential is None:  # not proven here yet
            self._meet(peer, now)
            return Pass(None, None, peer)
        self._credentials.move_to_end((tenant_id, secret))
        if way is Way.RESERVED:
            self._govern(tenant_id, credential, now)
            return OPEN
        tenant = self._tenant(tenant_id, now)
        own = self._narrowed(tenant_id, secret)
        share = tenant.share
        found = tenant.refused(now)
        if found is None and own is not None:
            if credential.limits is not own or credential.share != share:
                credential.set(own, share, now)
            found = credential.refused(now)
        if found is not None:
            self._refuse(tenant_id, *found, now)
        tenant.enter()
        if own is None:
            return Pass(tenant, None, None)
        credential.enter()
        return Pass(tenant, credential, None)

    def admit(self, ticket: Pass, way: Way, tenant_id: str, actor: str, now: float) -> Pass:
        """Charge a request that came in as a stranger's to the tenant, and the actor, it turned out to be of.

        Raises RateLimited where the tenant is over a limit, or, for what governs, the actor: of all their
        tokens, however fresh.
        """
        if way is Way.RESERVED:
            self._govern(tenant_id, self._account(tenant_id, actor), now)
            return ticket
        tenant = self._tenant(tenant_id, now)
        if (found := tenant.refused(now)) is not None:
            self._refuse(tenant_id, *found, now)
        tenant.enter()
        return ticket._replace(tenant=tenant)

    def leave(self, ticket: Pass, size: int, records: int) -> None:
        """A request that was let in is over: `size` bytes came and went, `records` were handed over."""
        if ticket.tenant is not None:
            ticket.tenant.leave(size, records)
        if ticket.credential is not None:
            ticket.credential.leave(size, records)

    def forgive(self, ticket: Pass) -> None:
        """A request that was admitted is over, and was of nobody: what it was charged is given back."""
        if ticket.tenant is not None:
            if ticket.tenant.requests is not None:
                ticket.tenant.requests.level += 1
            ticket.tenant.leave(0, 0)

    def proven(self, tenant_id: str, secret: str, actor: str = "") -> None:
        """This credential was found to be a live one. Tokens of one `actor` share an account."""
        if (tenant_id, secret) not in self._credentials:
            account = self._account(tenant_id, actor) if actor else Account()
            self._credentials[tenant_id, secret] = account
            _trim(self._credentials, MAX_CREDENTIALS)

    def failed(self, tenant_id: str, secret: str, peer: str, now: float) -> None:
        """An attempt from this address proved nothing; if the credential was good once, it is no longer."""
        self._credentials.pop((tenant_id, secret), None)
        if not self._strangers:
            return
        meter = self._peers.get(peer)
        if meter is None:
            meter = self._peers[peer] = Meter(self._strangers, self._strangers * _STRANGERS_BURST_S, now)
            if len(self._peers) > MAX_PEERS:
                self._peers.popitem(last=False)
        meter.fill(now)
        meter.spend(1)

    def refused_since(self, since: float) -> list[Refused]:
        """Tenants that were refused since an instant, the latest first."""
        return [one for one in reversed(self._recent.values()) if one.at >= since]

    @property
    def share(self) -> int:
        """How many processes share the limits."""
        return self._share()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Tenants, credentials and addresses that are kept."""
        return len(self._tenants), len(self._credentials), len(self._peers)

    def _tenant(self, tenant_id: str, now: float) -> Account:
        account = self._tenants.get(tenant_id)
        if account is None:
            account = self._tenants[tenant_id] = Account()
            _trim(self._tenants, MAX_TENANTS)
        else:
            self._tenants.move_to_end(tenant_id)
        limits, share = self._limits(tenant_id), self._share()
        if account.limits is not limits or account.share != share:
            account.set(limits, share, now)
        return account

    def _account(self, tenant_id: str, actor: str) -> Account:
        account = self._credentials.setdefault((tenant_id, actor), Account())
        self._credentials.move_to_end((tenant_id, actor))
        _trim(self._credentials, MAX_CREDENTIALS)
        return account

    def _govern(self, tenant_id: str, credential: Account, now: float) -> None:
        if not self._reserve:
            return
        if credential.reserve is None:
            credential.reserve = Meter(self._reserve, self._reserve * _RESERVE_BURST_S, now)
        if credential.reserve.fill(now) < 1:
            self._refuse(tenant_id, RESERVE, credential.reserve.wait(1), now)
        credential.reserve.level -= 1

    def _meet(self, peer: str, now: float) -> None:
        meter = self._peers.get(peer)
        if meter is not None:
            self._peers.move_to_end(peer)
            if meter.fill(now) < 1:
                self._refuse("", STRANGERS, meter.wait(1), now)

    def _refuse(self, tenant_id: str, limit: str, seconds: float, now: float) -> NoReturn:
        self.refusals[limit] += 1
        if tenant_id:
            before = self._recent.pop((tenant_id, limit), None)
            times = 1 if before is None else before.times + 1
            self._recent[tenant_id, limit] = Refused(tenant_id, limit, times, now)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        after = max(1, math.ceil(seconds))
        raise RateLimited(
            "The caller is over a limit for the moment; the request was not read and nothing was done.",
            limit=limit,
            retry_after=after,
            rule=f"no more than it may: {_WORDS[limit]}",
            remedy=f"Wait {after} s (retry_after), then send less at once; GET /v1/limits shows the tenant's"
            " administrator what it may take.",
        )


def _trim(accounts: "OrderedDict[Any, Account]", most: int) -> None:
    """Drop the account that was used longest ago; one with requests under way is spared, a few times."""
    for _ in range(_SPARED):
        if len(accounts) <= most:
            return
        key, account = accounts.popitem(last=False)
        if account.running:
            accounts[key] = account
