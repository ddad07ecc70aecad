"""A token under its issuer's configuration: does it hold, and whom does it name? Pure: the clock is given.

1 type and algorithm are ones that the issuer is configured with
2 the signature, under the issuer's own key
3 issuer and audience        4 the times        5 what the tenant requires        6 who it is
"""

from typing import Any, Final

from jwt import PyJWS
from jwt.algorithms import OKPAlgorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from tenure.ledger.canonical import MAX_INTEGER
from tenure.model.issuer import ALGORITHMS, Issuer
from tenure.model.principal import Token
from tenure.oidc.keyset import PublicKey
from tenure.oidc.refusal import UNTRUSTED, refused
from tenure.oidc.token import Parsed, is_name

_S: Final = 1_000_000


def _signatures() -> PyJWS:
    """Verifies nothing but the asymmetric algorithms."""
    ours = PyJWS(algorithms=[name for name in ALGORITHMS if name in get_default_algorithms()])
    if "Ed25519" not in ours.get_algorithms():
        ours.register_algorithm("Ed25519", OKPAlgorithm())  # RFC 9864's name for what EdDSA does here
    return ours


_JWS = _signatures()


def check_form(parsed: Parsed, issuer: Issuer) -> None:
    """Step 1, before a key is looked for. Raises Unauthenticated."""
    kind = parsed.type or "jwt"  # the header is optional (RFC 7519 §5.1)
    if kind not in {one.lower() for one in issuer.types} or parsed.algorithm not in issuer.algorithms:
        raise refused(UNTRUSTED)


def verified(parsed: Parsed, issuer: Issuer, key: PublicKey | None, *, now: int) -> Token:
    """Steps 1 to 6. `now` in microseconds. Raises Unauthenticated, naming the rule."""
    check_form(parsed, issuer)
    if key is None:
        raise refused(UNTRUSTED)
    try:
        _JWS.decode_complete(parsed.text, key, algorithms=[parsed.algorithm])
    except (PyJWTError, ValueError, TypeError):
        raise refused(UNTRUSTED) from None
    if parsed.issuer != issuer.url or issuer.audience not in parsed.audiences:
        raise refused(UNTRUSTED)
    claims = parsed.claims
    expires_at = _check_times(claims, issuer.clock_skew_s, now)
    _check_required(claims, issuer)
    subject, actor = _people(claims, issuer)
    return Token(
        issuer_id=issuer.id,
        issuer=issuer.url,
        claim=issuer.subject_claim,
        actor=actor,
        subject=subject,
        roles=_roles(claims, issuer),
        expires_at=expires_at,
    )


def _check_times(claims: dict[str, Any], skew_s: int, now: int) -> int:
    """RFC 7519 §4.1.4 to §4.1.6; the instant from which on the token is not taken, in microseconds."""
    expires, begins, issued = (_seconds(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is None:
        raise refused("exp, the end of the token's life")
    ends = int((expires + skew_s) * _S)
    if ends <= now:
        raise refused("exp in the future")
    for name, instant in (("nbf", begins), ("iat", issued)):
        if instant is not None and (instant - skew_s) * _S > now:
            raise refused(f"{name} not in the future", "Set the issuer's clock, or ask again later.")
    return ends


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2); None when the claim is absent."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) not in (int, float) or not 0 <= value <= MAX_INTEGER // _S:
        raise refused(f"{name}, seconds since 1970 as a number")
    return float(value)


def _check_required(claims: dict[str, Any], issuer: Issuer) -> None:
    given = claims.get("scope", claims.get("scp", []))
    scopes = set(given.split(" ")) if isinstance(given, str) else set(_texts(given))
    if not scopes.issuperset(issuer.required_scopes):
        raise refused("the scopes that the tenant requires", "Ask the issuer for a token with them.")
    for name, wanted in issuer.required_claims.items():
        if not set(_texts(claims.get(name))) & set(wanted):
            raise refused("the claims that the tenant requires")


def _people(claims: dict[str, Any], issuer: Issuer) -> tuple[str, str]:
    """(for whom, who acts): the same one, unless the token was delegated (RFC 8693 §4.1)."""
    subject = claims.get(issuer.subject_claim)
    if not is_name(subject):
        raise refused("a subject", "Have the issuer send the claim that the tenant configured.")
    if "act" not in claims:
        return str(subject), str(subject)
    # What is nested deeper is history: only the current actor counts.
    act = claims["act"]
    actor = act.get(issuer.subject_claim) if isinstance(act, dict) else None
    if not is_name(actor) or act.get("iss", issuer.url) != issuer.url:
        raise refused("act, an actor of the same issuer")
    return str(subject), str(actor)


def _roles(claims: dict[str, Any], issuer: Issuer) -> tuple[str, ...]:
    value: Any = claims if issuer.role_claim else None
    for name in issuer.role_claim:
        value = value.get(name) if isinstance(value, dict) else None
    found = {role for text in _texts(value) for role in issuer.roles.get(text, ())}
    return tuple(sorted(found))


def _texts(value: object) -> list[str]:
    """A text, or the texts of a list."""
    several = value if isinstance(value, list) else [value]
    return [one for one in several if isinstance(one, str)]
