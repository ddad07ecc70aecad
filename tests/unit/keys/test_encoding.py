"""The small primitives: unambiguous, equal to the public references, and refusing what is cut."""

import keys_second as second
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Tampered
from tenure.keys.encoding import Reader, lp
from tenure.keys.hkdf import expand, expand_blocks, extract
from tenure.keys.padme import padded_length
from tenure.keys.secret import wipe

parts = st.lists(st.binary(max_size=6), max_size=5)


@given(parts, parts)
def test_different_sequences_never_encode_alike(one, other):
    assert (lp(*one) == lp(*other)) == (one == other)


@given(parts)
def test_what_was_encoded_reads_back(sequence):
    reader = Reader(lp(*sequence), "test")
    assert [reader.prefixed() for _ in sequence] == sequence
    reader.end()


@given(parts, st.data())
def test_a_cut_or_longer_encoding_is_refused(sequence, data):
    encoded = lp(*sequence, b"last")
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for changed in (encoded[:cut], encoded + b"\x00"):
        reader = Reader(changed, "test")
        with pytest.raises(Tampered, match="test cannot be read"):  # noqa: PT012 - whichever read finds it
            for _ in [*sequence, b"last"]:
                reader.prefixed()
            reader.end()


@given(
    st.binary(min_size=1, max_size=80), st.binary(min_size=1, max_size=80), st.binary(max_size=80), st.data()
)
def test_hkdf_is_the_one_of_the_cryptography_package(secret, salt, info, data):
    length = data.draw(st.integers(1, 200))
    theirs = HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
    assert b"".join(expand_blocks(extract(secret, salt), info, 7))[:length] == theirs
    assert expand(extract(secret, salt), info)[:length] == theirs[:32]
    unsalted = HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)
    assert b"".join(expand_blocks(extract(secret), info, 7))[:length] == unsalted


def test_hkdf_ends_where_the_rfc_ends():
    assert len(expand_blocks(bytes(32), b"", 255)) == 255
    with pytest.raises(ValueError, match="8160"):
        expand_blocks(bytes(32), b"", 256)


@given(st.integers(2, 2**50))
def test_padme_is_the_papers_and_costs_at_most_12_percent(length):
    padded = padded_length(length)
    assert padded == second.padme(length)
    assert length <= padded <= length * 1.12
    assert padded_length(padded) == padded


def test_padme_at_its_edges():
    assert [padded_length(n) for n in (0, 1, 2, 9, 1032)] == [0, 1, 2, 10, 1088]
    with pytest.raises(ValueError, match="negative"):
        padded_length(-1)


def test_wiping_overwrites_in_place():
    key = bytearray(b"secret")
    same = key
    wipe(key)
    assert same == bytes(6)
