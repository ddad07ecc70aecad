"""The turnstile in front of every call: who is over a limit is turned away before the body is read.

Nothing is decided here, and no database is asked: the credential is parsed, `limiting.Gate` says yes or no,
and what the request and its answer weigh is told to it afterwards.
"""

import ipaddress
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPSendMessage, Message, Receive, Scope, Send

from tenure.errors import Invalid, RateLimited, Unauthenticated
from tenure.governance.tokens import Owner, hash_of
from tenure.http import problems
from tenure.http.auth import Headers, headers_of, read_api_key, read_bearer
from tenure.limiting import Gate, Pass, Way
from tenure.oidc.token import is_token

_RECORDS = "tenure.records"
_OPEN = ("health", "metrics", "schema")
_GOVERNING = frozenset(
    {
        *("subjects", "shreds", "holds", "requests", "notices", "certificates"),  # the officer's desk
        *(
            "principals",
            "issuers",
            "manifests",
            "policy",
            "breakglass",
        ),  # whoever stops a caller that runs wild
        *("tenants", "limits", "rootstore", "jobs", "lifecycle", "storage", "retention"),
    }
)
_V6_SITE = 64
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def count_records(scope: Scope, count: int) -> None:
    """Say how many records this request's answer is about."""
    cast("dict[str, Any]", scope)[_RECORDS] = count


def way_of(path: str) -> Way:
    """How a request to a path is taken in."""
    _, first, noun, *_ = *path.split("/", 3), "", ""
    if first == "v1":
        return Way.RESERVED if noun.partition(":")[0] in _GOVERNING else Way.USUAL
    return Way.OPEN if first in _OPEN else Way.USUAL


class Turnstile:
    """Counts one application's requests at a gate."""

    def __init__(
        self,
        gate: Gate,
        proven: Callable[[str, str], bool],
        owner: Callable[[str], Owner],
        proxies: Networks,
    ) -> None:
        """`proven(tenant, secret)`: whether this process has found that credential to be a live one.

        `owner(secret)`: whose an access token is that was verified here; empty for any other.
        """
        self._gate = gate
        self._proven = proven
        self._owner = owner
        self._proxies = proxies

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 429."""
        way = way_of(scope["path"])
        if way is Way.OPEN:
            await app(scope, receive, send)
            return
        headers = headers_of(scope)
        tenant_id, secret = self._presented(headers)
        peer = self._peer(scope, headers)
        try:
            ticket = self._gate.enter(way, tenant_id, secret, peer, monotonic())
        except RateLimited as refused:
            await problems.refusal(scope, refused)(scope, receive, send)
            return
        visit = _Visit(receive, send, ticket)
        if ticket.peer is not None:  # whose it is comes out when it is verified
            headers.admit = lambda owner: self._admit(visit, headers, way, owner)
        try:
            await app(scope, visit.receive, visit.send)
        finally:
            self._left(visit, scope, tenant_id, secret, peer)

    def _admit(self, visit: "_Visit", headers: Headers, way: Way, owner: Owner) -> None:
        """Count a request with a token that is new here for its owner. Raises RateLimited."""
        headers.admit = None
        visit.ticket = self._gate.admit(visit.ticket, way, owner.tenant_id, owner.actor, monotonic())

    def _presented(self, headers: Headers) -> tuple[str, str]:
        """(tenant, hash of the secret) of the credential, empty where there is none to tell."""
        try:
            bearer = read_bearer(headers)
            if is_token(bearer):
                secret = hash_of(bearer)
                return self._owner(secret).tenant_id, secret
            credential = read_api_key(headers, bearer)
        except Unauthenticated:
            return "", ""
        return credential.tenant_id, credential.secret_hash

    def _left(self, visit: "_Visit", scope: Scope, tenant_id: str, secret: str, peer: str) -> None:
        gate, ticket = self._gate, visit.ticket
        owner = self._owner(secret)
        tenant_id = tenant_id or owner.tenant_id  # of a token that was verified meanwhile
        if visit.status == _UNAUTHENTICATED and ticket.peer is not None:
            gate.forgive(ticket)  # a tenant does not pay for who turned out to be nobody there
        else:
            gate.leave(ticket, visit.size, cast("dict[str, Any]", scope).get(_RECORDS, 0))
        if visit.status == _UNAUTHENTICATED:
            gate.failed(tenant_id, secret, peer, monotonic())
        elif ticket.peer is not None and self._proven(tenant_id, secret):
            gate.proven(tenant_id, secret, owner.actor)
        elif ticket.peer is not None and visit.status != _OVER:
            gate.failed(tenant_id, secret, peer, monotonic())

    def _peer(self, scope: Scope, headers: Headers) -> str:
        """The address that a request comes from, as the nearest trusted proxy says if there is one."""
        client = scope.get("client")
        address = client[0] if client else ""
        if self._proxies and _among(address, self._proxies):
            hops = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
            for hop in reversed(hops):
                if not _among(hop.strip(), self._proxies):
                    address = hop.strip() or address
                    break
        return site(address)


_UNAUTHENTICATED = 401
_OVER = 429


class _Visit:
    """One request's way in and out, weighed."""

    __slots__ = ("_receive", "_send", "size", "status", "ticket")

    def __init__(self, receive: Receive, send: Send, ticket: Pass) -> None:
        self.ticket = ticket
        self._receive = receive
        self._send = send
        self.size = 0
        self.status = 0

    async def receive(self) -> HTTPReceiveMessage:
        message = cast("HTTPReceiveMessage", await self._receive())
        if message["type"] == "http.request":
            self.size += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        elif message["type"] == "http.response.start":
            self.status = cast("HTTPSendMessage", message)["status"]  # type: ignore[typeddict-item]  # of this type
        await self._send(message)


def site(address: str) -> str:
    """The address that attempts are counted under: of IPv6 the network of one site, a /64 (RFC 6177)."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, _V6_SITE), strict=False))


def networks(text: str) -> Networks:
    """The networks of `TENURE_TRUSTED_PROXIES`, separated by commas. Raises Invalid."""
    try:
        return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())
    except ValueError:
        raise Invalid(
            "A trusted proxy cannot be read; nothing was opened.",
            field="TENURE_TRUSTED_PROXIES",
            rule="addresses or networks such as 10.0.0.0/8, separated by commas",
            remedy="Name the addresses that your proxies connect from, or leave it empty.",
        ) from None


def _among(address: str, proxies: Networks) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in proxies)
