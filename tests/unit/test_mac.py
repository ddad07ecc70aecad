"""Our HMAC is the standard one: RFC 4231's vectors, and the standard library on anything else."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.mac import hmac_sha256

RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]


@pytest.mark.parametrize(("key", "message", "expected"), RFC_4231)
def test_rfc_4231(key, message, expected):
    assert hmac_sha256(key, message).hex() == expected


@given(st.binary(max_size=200), st.binary(max_size=5000))
def test_it_is_the_standard_hmac(key, message):
    assert hmac_sha256(bytearray(key), message) == hmac.digest(key, message, "sha256")
