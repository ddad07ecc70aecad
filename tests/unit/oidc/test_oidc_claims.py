"""Which tokens hold. Each attack is signed, or unsigned, as an attacker would, and refused for its reason."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from types import MappingProxyType

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tenure.errors import Unauthenticated
from tenure.model.issuer import ALGORITHMS, Issuer
from tenure.oidc.claims import verified
from tenure.oidc.keyset import read_keys
from tenure.oidc.refusal import UNTRUSTED
from tenure.oidc.token import MAX_TOKEN, parse_token

NOW_S = 1_800_000_000
NOW = NOW_S * 1_000_000
URL, AUDIENCE = "https://issuer.example", "https://tenure.example"
ISSUER = Issuer("id-1", "main", URL, AUDIENCE, algorithms=ALGORITHMS)

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def rsa_jwk(key=RSA, kid="rsa", **more):
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "n": number(public.n), "e": number(public.e), **more}


def ec_jwk(kid="ec", **more):
    public = EC.public_key().public_numbers()
    x, y = (b64(one.to_bytes(32)) for one in (public.x, public.y))
    return {"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y, **more}


def ed_jwk(kid="ed", **more):
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(ED.public_key().public_bytes_raw()), **more}


KEYS = [rsa_jwk(), ec_jwk(), ed_jwk()]


def sign(algorithm: str, raw: bytes) -> bytes:
    """Under whatever key of ours the algorithm is for; not by the library under test."""
    if algorithm == "RS256":
        return RSA.sign(raw, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "PS256":
        return RSA.sign(raw, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    if algorithm == "ES256":
        r, s = decode_dss_signature(EC.sign(raw, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    return ED.sign(raw)


def claims(**changes):
    fine = {"iss": URL, "aud": AUDIENCE, "sub": "agent-7", "exp": NOW_S + 60, "iat": NOW_S}
    return {name: value for name, value in {**fine, **changes}.items() if value is not None}


def token(algorithm="ES256", kid="ec", *, header=None, text=None, signature=None, **changes):
    head = {"alg": algorithm, "kid": kid, "typ": "at+jwt", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    signed = b64(json.dumps(head).encode()) + "." + b64((text or json.dumps(claims(**changes))).encode())
    return f"{signed}.{b64(sign(algorithm, signed.encode()) if signature is None else signature)}"


def judge(text, issuer=ISSUER, keys=None):
    parsed = parse_token(text)
    found = read_keys(json.dumps({"keys": KEYS if keys is None else keys}).encode())
    return verified(parsed, issuer, found.find(parsed.key_id, parsed.algorithm), now=NOW)


def rule(text, issuer=ISSUER, keys=None):
    """The rule that a token breaks; the refusal repeats nothing of it."""
    with pytest.raises(Unauthenticated) as caught:
        judge(text, issuer, keys)
    said = f"{caught.value} {caught.value.rule} {caught.value.remedy}"
    assert "agent-7" not in said
    assert URL not in said
    assert caught.value.field == "Authorization"
    assert caught.value.remedy
    return caught.value.rule


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed"), ("Ed25519", "ed")],
)
def test_a_token_that_is_fine_names_its_subject(algorithm, kid):
    found = judge(token(algorithm, kid))
    assert (found.subject, found.actor, found.is_delegated) == ("agent-7", "agent-7", False)
    assert (found.issuer, found.issuer_id, found.claim) == (URL, "id-1", "sub")
    assert found.expires_at == (NOW_S + 60 + ISSUER.clock_skew_s) * 1_000_000


# ── the header ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "HS512", "ES256K", "RS1", "", 5])
def test_only_asymmetric_algorithms(algorithm):
    assert rule(token(header={"alg": algorithm})) == "an asymmetric algorithm"


def test_none_without_a_signature():
    assert "compact form" in rule(token(header={"alg": "none"}, signature=b""))


def test_a_public_key_is_no_shared_secret():
    """HS256 over the RSA key's public bytes: the classic confusion of algorithms."""
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = token(header={"alg": "HS256", "kid": "rsa"}).rpartition(".")[0]
    forged = f"{signed}.{b64(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"
    assert rule(forged) == "an asymmetric algorithm"


def test_a_key_is_used_for_its_own_algorithm_alone():
    assert rule(token("RS256", "ec")) == UNTRUSTED
    assert rule(token("ES256", "rsa")) == UNTRUSTED
    assert rule(token("ES256", "ec", header={"alg": "ES384"})) == UNTRUSTED
    assert rule(token("RS256", "rsa"), keys=[rsa_jwk(alg="PS256")]) == UNTRUSTED
    assert judge(token("EdDSA", "ed"), keys=[ed_jwk(alg="Ed25519")]).subject == "agent-7"


def test_the_tenants_algorithms_are_pinned():
    assert rule(token("RS256", "rsa"), replace(ISSUER, algorithms=("ES256",))) == UNTRUSTED


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks"},
        {"jwk": ec_jwk()},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_a_token_brings_no_key_and_no_extension(header):
    assert rule(token(header=header)) == f"a header without {next(iter(header))}"


@pytest.mark.parametrize("kid", [None, "", 7, ["ec"], {"a": 1}, "k" * 256, "ec\x00", "../../ec\n"])
def test_kid_is_a_name(kid):
    assert rule(token(kid=kid)) == "a header with kid"


@pytest.mark.parametrize("kid", ["EC", "ec ", "' OR 1=1 --", "../ec", "https://evil.example/k", "unknown"])
def test_kid_is_looked_up_and_nothing_else(kid):
    assert rule(token(kid=kid)) == UNTRUSTED


@pytest.mark.parametrize(
    "kind", ["JWT", "jwt", None, "id_token+jwt", "dpop+jwt", "logout+jwt", "application/JWT"]
)
def test_only_access_tokens_unless_the_tenant_says_else(kind):
    assert rule(token(header={"typ": kind})) == UNTRUSTED
    plain = replace(ISSUER, types=("JWT",))
    if kind is None or ("_" not in kind and kind.lower().removeprefix("application/") == "jwt"):
        assert judge(token(header={"typ": kind}), plain).subject == "agent-7"
    else:
        assert rule(token(header={"typ": kind}), plain) == UNTRUSTED
    assert rule(token(), plain) == UNTRUSTED


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_type_in_its_spellings(kind):
    assert judge(token(header={"typ": kind})).subject == "agent-7"


# ── the signature ─────────────────────────────────────────────────────────────────────────────────
def test_any_changed_part_breaks_it():
    head, body, signature = token().split(".")
    other = b64(json.dumps(claims(sub="somebody")).encode())
    assert rule(f"{head}.{other}.{signature}") == UNTRUSTED
    assert rule(f"{head}.{body}.{b64(bytes(64))}") == UNTRUSTED
    assert rule(f"{head}.{body}.{signature[:-4]}") == UNTRUSTED
    assert rule(token("ES256", "ec", signature=sign("EdDSA", b"x"))) == UNTRUSTED


# ── its form ──────────────────────────────────────────────────────────────────────────────────────
def test_no_member_twice():
    doubled = json.dumps(claims())[:-1] + ', "sub": "admin"}'
    assert "each member once" in rule(token(text=doubled))
    assert "each member once" in rule(token(text=json.dumps(claims(deep=0))[:-2] + '{"a":1,"a":2}}'))
    head = '{"alg":"ES256","kid":"ec","alg":"none","typ":"at+jwt"}'
    _, body, signature = token().split(".")
    assert "each member once" in rule(f"{b64(head.encode())}.{body}.{signature}")


@pytest.mark.parametrize(
    "text",
    ["[]", "7", '"x"', "null", "{", '{"exp": NaN}', '{"exp": 1e999, "x": Infinity}', "{}x", "[" * 9000],
)
def test_claims_are_a_plain_object(text):
    assert "JSON object" in rule(token(text=text))


def test_one_spelling_of_base64url():
    head, body, signature = token().split(".")
    for wrong in (
        f"{head}=.{body}.{signature}",
        f"{head}.{body}.{signature}\n",
        f"{head}.{body}",
        f"{head}..x",
    ):
        assert rule(wrong).startswith("a signed JWT")
    # The unused low bits of the last character, set: the same bytes to a lax reader.
    raw = next(one for n in range(3) if len(one := json.dumps(claims(pad="x" * n)).encode()) % 3)
    spelt = b64(raw)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = spelt[:-1] + last[last.index(spelt[-1]) + 1]
    assert base64.urlsafe_b64decode(other + "===") == raw
    assert "base64url" in rule(f"{head}.{other}.{signature}")


def test_a_token_is_not_endless():
    assert rule(token(pad="x" * MAX_TOKEN)).startswith("a signed JWT")


# ── issuer, audience, times ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("issuer", [URL + "/", URL.upper(), "https://evil.example", URL + ".evil.example"])
def test_the_issuer_is_compared_byte_by_byte(issuer):
    assert rule(token(iss=issuer)) == UNTRUSTED


@pytest.mark.parametrize("audience", ["https://other.example", AUDIENCE + "/", [AUDIENCE + "x", "y"]])
def test_another_audience(audience):
    assert rule(token(aud=audience)) == UNTRUSTED


def test_one_of_several_audiences():
    assert judge(token(aud=["y", AUDIENCE])).subject == "agent-7"


@pytest.mark.parametrize(
    "audience", [None, [], "", 7, {"a": AUDIENCE}, [AUDIENCE, 7], [AUDIENCE, AUDIENCE], ["a"] * 9]
)
def test_an_audience_that_is_none(audience):
    assert rule(token(aud=audience)).startswith("aud")


@pytest.mark.parametrize("issuer", [None, "", 7, [URL]])
def test_an_issuer_that_is_none(issuer):
    assert rule(token(iss=issuer)).startswith("iss")


SKEW = ISSUER.clock_skew_s


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"exp": None}, "exp, the end of the token's life"),
        ({"exp": NOW_S - SKEW}, "exp in the future"),
        ({"exp": NOW_S - SKEW + 1}, None),
        ({"exp": NOW_S - 10**6}, "exp in the future"),
        ({"nbf": NOW_S + SKEW}, None),
        ({"nbf": NOW_S + SKEW + 1}, "nbf not in the future"),
        ({"iat": NOW_S + SKEW + 1}, "iat not in the future"),
        ({"iat": None}, None),
        ({"exp": str(NOW_S + 60)}, "exp, seconds since 1970 as a number"),
        ({"exp": True}, "exp, seconds since 1970 as a number"),
        ({"exp": -5}, "exp, seconds since 1970 as a number"),
        ({"exp": 10**30}, "exp, seconds since 1970 as a number"),
        ({"exp": NOW_S + 0.5}, None),
        ({"nbf": [NOW_S]}, "nbf, seconds since 1970 as a number"),
    ],
    ids=repr,
)
def test_the_times(changes, broken):
    if broken is None:
        assert judge(token(**changes)).subject == "agent-7"
    else:
        assert rule(token(**changes)) == broken


def test_an_endless_number_is_no_time():
    assert rule(token(text=json.dumps(claims())[:-1] + ', "nbf": 1e400}')).startswith("nbf, seconds")


# ── what the tenant requires, and whom it names ───────────────────────────────────────────────────
def test_required_claims_and_scopes():
    strict = replace(
        ISSUER,
        required_scopes=("context.read", "context.write"),
        required_claims=MappingProxyType({"tier": ("gold", "silver"), "groups": ("agents",)}),
    )
    fine = {"scope": "x context.write context.read", "tier": "gold", "groups": ["a", "agents"]}
    assert judge(token(**fine), strict).subject == "agent-7"
    assert judge(token(**{**fine, "scope": None, "scp": fine["scope"].split(" ")}), strict)
    for changes in ({"scope": "context.read"}, {"scope": None}, {"scope": "context.readcontext.write"}):
        assert rule(token(**{**fine, **changes}), strict) == "the scopes that the tenant requires"
    for changes in (
        {"tier": "bronze"},
        {"tier": None},
        {"tier": True},
        {"groups": ["agent"]},
        {"groups": {}},
    ):
        assert rule(token(**{**fine, **changes}), strict) == "the claims that the tenant requires"


def test_claims_become_the_roles_that_the_tenant_maps():
    mapped = replace(
        ISSUER,
        role_claim=("realm_access", "roles"),
        roles=MappingProxyType({"a": ("clerk",), "b": ("clerk", "agent")}),
    )
    assert judge(token(realm_access={"roles": ["b", "a", "tenant-admin"]}), mapped).roles == (
        "agent",
        "clerk",
    )
    for value in (None, "a", {"roles": "A"}, {"roles": [["a"]]}, {"role": ["a"]}, ["a"]):
        assert judge(token(realm_access=value), mapped).roles == ()
    assert judge(token(realm_access={"roles": "a"}), mapped).roles == ("clerk",)
    assert judge(token(roles=["clerk"])).roles == ()


def test_the_subject_is_in_the_claim_that_the_tenant_names():
    by_client = replace(ISSUER, subject_claim="client_id")
    assert judge(token(client_id="c1"), by_client).subject == "c1"
    for value in (None, "", 7, ["c1"], "x" * 256, "a\nb"):
        assert rule(token(client_id=value), by_client) == "a subject"


def test_a_delegated_token_has_the_actor_as_its_caller():
    found = judge(token(act={"sub": "agent-9", "act": {"sub": "older"}}))
    assert (found.actor, found.subject, found.is_delegated) == ("agent-9", "agent-7", True)
    for act in (7, "agent-9", {}, {"sub": ""}, {"sub": "agent-9", "iss": "https://other.example"}, []):
        assert rule(token(act=act)) == "act, an actor of the same issuer"


# ── the issuer's keys ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "key",
    [
        rsa_jwk(rsa.generate_private_key(65537, 1024)),
        rsa_jwk(use="enc"),
        rsa_jwk(key_ops=["sign"]),
        rsa_jwk(d="AQAB"),
        rsa_jwk(n="!!"),
        rsa_jwk(kid=None),
        {"kty": "oct", "kid": "rsa", "k": b64(b"x" * 32)},
    ],
    ids=["short", "enc", "sign", "private", "broken", "nameless", "symmetric"],
)
def test_keys_that_verify_nothing_are_left_out(key):
    assert read_keys(json.dumps({"keys": [key, ec_jwk()]}).encode()).find("rsa", "RS256") is None
    assert judge(token(), keys=[key, ec_jwk()]).subject == "agent-7"


def test_of_two_keys_of_one_name_neither_is_taken():
    other = rsa.generate_private_key(65537, 2048)
    assert rule(token("RS256", "rsa"), keys=[rsa_jwk(), rsa_jwk(other)]) == UNTRUSTED
    # Other kinds under the same name are told apart by the algorithm.
    assert judge(token("RS256", "rsa"), keys=[rsa_jwk(), ec_jwk(kid="rsa")]).subject == "agent-7"


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"keys": {}}', b"7", b'{"keys": %s}' % json.dumps([{}] * 101).encode()]
)
def test_what_is_no_key_set(raw):
    with pytest.raises(ValueError):
        read_keys(raw)
