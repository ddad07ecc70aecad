"""An issuer of access tokens, as a tenant configures it: whose tokens name whom, and what they must say."""

import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from tenure.errors import Invalid
from tenure.model.names import is_label
from tenure.model.principal import PrincipalKind

ALGORITHMS: Final = (
    "EdDSA",
    "Ed25519",
    *("ES256", "ES384", "ES512"),
    *("PS256", "PS384", "PS512"),
    *("RS256", "RS384", "RS512"),
)
"""All of them asymmetric (RFC 7518 §3.1, RFC 8037, RFC 9864): no secret is shared with an issuer."""
DEFAULT_ALGORITHMS: Final = ("EdDSA", "ES256", "RS256")
TYPES: Final = ("at+jwt", "JWT")
"""`at+jwt` is an access token and nothing else (RFC 9068 §2.1). `JWT` may be any token of the issuer, an ID
token too: only where the issuer knows no better."""
MAX_SKEW_S: Final = 120
MAX_TEXT: Final = 255
"""Longest name that an issuer gives to anybody or anything (OpenID Connect Core §2, `sub`)."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_APART = frozenset({"id", "name", "url", "audience"})


@dataclass(frozen=True, slots=True)
class Provision:
    """What a subject that nobody mapped becomes: a principal of this kind with these roles."""

    kind: PrincipalKind
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Issuer:
    """One configuration. It never changes under its id: a token that was judged by it names the id.

    `url` is the issuer identifier, compared with `iss` byte by byte. `role_claim` is the path to a claim,
    outermost name first; `roles` maps its values to roles. Without `provision` only subjects that were
    mapped to a principal get in. `jwks_uri`: None to discover it.
    """

    id: str
    name: str
    url: str
    audience: str
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    types: tuple[str, ...] = ("at+jwt",)
    clock_skew_s: int = 60
    subject_claim: str = "sub"
    role_claim: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    required_claims: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    required_scopes: tuple[str, ...] = ()
    provision: Provision | None = None
    jwks_uri: str | None = None

    @property
    def given_roles(self) -> frozenset[str]:
        """Every role that its tokens or its subjects may have by this configuration."""
        lent = {role for roles in self.roles.values() for role in roles}
        return frozenset(lent | set(self.provision.roles if self.provision else ()))

    def as_json(self) -> dict[str, Any]:
        """Every member but the id, as callers write them."""
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "id"}
        for name in ("roles", "required_claims"):
            shown[name] = {key: list(values) for key, values in sorted(shown[name].items())}
        if self.provision is not None:
            shown["provision"] = {"kind": self.provision.kind.value, "roles": list(self.provision.roles)}
        shown = {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}
        return {"issuer": shown.pop("url"), **shown}

    def stored(self) -> str:
        """The text that `read_issuer` reads, beside the columns of their own."""
        kept = {name: value for name, value in self.as_json().items() if name not in {"issuer", *_APART}}
        return json.dumps(kept, sort_keys=True)

    def digest(self) -> str:
        """64 hex digits of everything that is configured, for the entry that says so."""
        return sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def claim(self) -> str:
        """What no two tenants may have: the pair of issuer and audience."""
        return claim_of(self.url, self.audience)


def claim_of(url: str, audience: str) -> str:
    """64 hex digits of an issuer and an audience."""
    return sha256(json.dumps([url, audience]).encode()).hexdigest()


def read_issuer(issuer_id: str, name: str, url: str, audience: str, spec: str) -> Issuer:
    """An issuer as it was stored. TypeError for a member that this version does not know: fail closed."""
    given: dict[str, Any] = json.loads(spec)
    for several in ("algorithms", "types", "role_claim", "required_scopes"):
        given[several] = tuple(given[several])
    for mapped in ("roles", "required_claims"):
        given[mapped] = MappingProxyType({key: tuple(values) for key, values in given[mapped].items()})
    if given["provision"] is not None:
        kind, roles = given["provision"]["kind"], given["provision"]["roles"]
        given["provision"] = Provision(PrincipalKind(kind), tuple(roles))
    return Issuer(issuer_id, name, url, audience, **given)


def check_issuer(issuer: Issuer, *, local: bool) -> None:
    """Invalid for what could not be asked, or would take tokens that prove nothing.

    `local`: whether issuers on this machine may be asked.
    """
    if not is_label(issuer.name):
        raise _wrong("name", "lowercase letters, digits and inner hyphens, 63 at most", "Choose such a name.")
    if not is_asked(issuer.url):
        raise _wrong(
            "issuer",
            "an https address without user, query and fragment; http for this machine only",
            "Write the issuer identifier exactly as it stands in `iss`.",
        )
    if is_here(issuer.url) and not local:
        raise _wrong(
            "issuer",
            "on another machine than the service",
            "Set TENURE_LOCAL_ISSUERS where the service runs, if tenants may have it ask its own machine.",
        )
    if issuer.jwks_uri is not None and not is_asked(issuer.jwks_uri, of=issuer.url):
        raise _wrong("jwks_uri", "an https address, as `issuer`", "Leave it out to have it discovered.")
    if not issuer.algorithms or not set(issuer.algorithms) <= set(ALGORITHMS):
        raise _wrong("algorithms", f"of {', '.join(ALGORITHMS)}", "Name those that the issuer signs with.")
    if not issuer.types or not set(issuer.types) <= set(TYPES):
        raise _wrong("types", f"of {', '.join(TYPES)}", "Leave it out if the issuer marks access tokens.")
    if issuer.roles and not issuer.role_claim:
        raise _wrong("role_claim", "given where `roles` is", "Name the claim whose values are mapped.")


def is_asked(url: str, *, of: str | None = None) -> bool:
    """Whether keys may be fetched from there: https, or http to this very machine.

    With `of`, an issuer's address: this machine is asked only on behalf of an issuer that is on it, so that
    what a document from outside says leads nowhere inside.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and 0 < len(url) <= MAX_TEXT
    if not (plain and host) or "@" in parts.netloc or "#" in url or "?" in url:
        return False
    if is_here(url):
        plain = host in _LOOPBACK and parts.scheme == "http"
        return (plain or parts.scheme == "https") and (of is None or is_here(of))
    return parts.scheme == "https"


def is_here(url: str) -> bool:
    """Whether the host of an address is this very machine, however it is spelt. Names are not looked up."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(host))  # 127.1 and the like
        except OSError:
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _wrong(where: str, rule: str, remedy: str) -> Invalid:
    return Invalid(
        "The issuer cannot be configured like this; nothing was changed.",
        field=where,
        rule=rule,
        remedy=remedy,
    )
