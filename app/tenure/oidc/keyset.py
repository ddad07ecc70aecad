"""An issuer's published keys (JWK Set, RFC 7517). A key is used for what it is, not for what a token says."""

import json
from collections import defaultdict
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from tenure.oidc.token import is_name

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""
_READERS: Final[dict[str, Any]] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_EDWARDS: Final = ("EdDSA", "Ed25519")
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey


class _Key(NamedTuple):
    public: PublicKey
    algorithm: str | None

    def fits(self, algorithm: str) -> bool:
        """Whether it is for this algorithm: by its kind, and by what the issuer says of it."""
        key = self.public
        if isinstance(key, RSAPublicKey):
            right = algorithm[:2] in ("RS", "PS") and key.key_size >= MIN_RSA_BITS
        elif isinstance(key, EllipticCurvePublicKey):
            right = _CURVES.get(algorithm) == key.curve.name
        else:
            right = algorithm == "EdDSA" or (algorithm == "Ed25519" and isinstance(key, Ed25519PublicKey))
        same = self.algorithm in (None, algorithm) or {self.algorithm, algorithm} == set(_EDWARDS)
        return right and same


class KeySet:
    """The keys by their ids."""

    def __init__(self, keys: dict[str, list[_Key]]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        """How many ids have a key."""
        return len(self._keys)

    def find(self, key_id: str, algorithm: str) -> PublicKey | None:
        """The one key of this id for this algorithm; None when there is none, or more than one."""
        fitting = [key.public for key in self._keys.get(key_id, ()) if key.fits(algorithm)]
        return fitting[0] if len(fitting) == 1 else None


def read_keys(raw: bytes) -> KeySet:
    """A JWK Set. Keys that cannot verify a signature are left out (RFC 7517 §5). ValueError: it is no set."""
    whole = json.loads(raw)
    given = whole.get("keys") if isinstance(whole, dict) else None
    if not isinstance(given, list) or len(given) > MAX_KEYS:
        raise ValueError("not a JWK Set")
    keys: defaultdict[str, list[_Key]] = defaultdict(list)
    for one in given:
        if (key := _read(one)) is not None:
            keys[one["kid"]].append(key)
    return KeySet(dict(keys))


def _read(one: Any) -> _Key | None:  # noqa: ANN401 - whatever the JSON holds
    if not isinstance(one, dict) or not is_name(one.get("kid")):
        return None
    kind, operations = one.get("kty"), one.get("key_ops", ["verify"])
    if not isinstance(kind, str) or kind not in _READERS or not isinstance(operations, list):
        return None
    # A private key that was published is nobody's secret any more.
    if one.get("use", "sig") != "sig" or "verify" not in operations or "d" in one:
        return None
    try:
        public = _READERS[one["kty"]].from_jwk(one)
    except (InvalidKeyError, ValueError, TypeError, KeyError):
        return None
    algorithm = one.get("alg")
    return _Key(public, algorithm) if isinstance(public, PublicKey) else None
