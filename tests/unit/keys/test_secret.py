"""Key bytes are overwritten where they lie: when they are wiped, and when nobody holds them any more."""

import ctypes
import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure.keys.secret import Secret, fresh_key, joined, taken, unsealed, wipe


def address(key):
    return ctypes.addressof(ctypes.c_char.from_buffer(key))


def test_what_a_library_made_is_moved_and_wiped():
    fresh = os.urandom(32)
    expected = bytes(bytearray(fresh))
    assert taken(fresh) == expected
    assert fresh == bytes(32)


@pytest.mark.parametrize("length", [0, 1])
def test_bytes_that_the_interpreter_shares_are_left_alone(length):
    wipe(b"k" * length)
    assert b"k" * length == bytes([107] * length)


def test_a_secret_is_overwritten_with_its_last_holder():
    key = Secret(b"s" * 4096)  # too long for the interpreter to hand its place out again at once
    at, held = address(key), key
    del key
    assert ctypes.string_at(at, 4096) == b"s" * 4096
    seen = memoryview(held)
    del held
    assert bytes(seen) == b"s" * 4096, "a view of it holds it too"


def test_a_wiped_secret_keeps_its_length():
    key = Secret(b"secret")
    wipe(key)
    assert key == bytes(6)


def test_dropping_overwrites():
    class Kept(Secret):
        def __del__(self):
            super().__del__()
            after.append(bytes(self))

    after = []
    key = Kept(b"secret")
    assert after == []
    del key
    assert after == [bytes(6)]


def test_joined_parts_are_one_secret():
    whole = joined([b"one", bytearray(b"two"), memoryview(b"-three")[1:]])
    assert isinstance(whole, Secret)
    assert whole == b"onetwothree"


def test_opens_what_aes_gcm_sealed_and_nothing_else():
    key, nonce = fresh_key(), bytes(12)
    sealed = AESGCM(key).encrypt(nonce, b"data", b"aad")
    opened = unsealed(key, nonce, sealed, b"aad")
    assert isinstance(opened, Secret)
    assert opened == b"data"
    for other in (sealed[:-1], sealed[:3], b"", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(InvalidTag):
            unsealed(key, nonce, other, b"aad")


def test_no_repr_shows_the_bytes():
    assert repr(Secret(b"secret")) == "Secret(6 bytes)"
