"""Whatever the spelling, the container, the offset and the chunks: what was planted is found."""

import gzip
import os
import random
import zlib
from base64 import b64encode, encodebytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from unit.residue.planting import CONTAINERS, ENCODINGS, chains, tally_of

NAME = "Zoë O'Brien-Łukasiewicz"
PRINTABLE = st.characters(codec="utf-8", exclude_characters="\t", exclude_categories=("Cc", "Cs"))
TEXT = st.text(PRINTABLE, min_size=4, max_size=24)
VALUES = TEXT.filter(lambda text: len(text.strip().encode()) >= 4)
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NOISE = st.binary(max_size=200)


def noise(length, seed=1):
    return random.Random(seed).randbytes(length)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize(
    "value", [NAME, "ada@example.org", "DE89 3704 0044 0532 0130 00", "王小明先生", 'a"b\\c/d<e']
)
def test_each_encoding_is_found_and_named(name, value):
    data = noise(500) + ENCODINGS[name](value) + noise(500, 2)
    assert chains(data, value), name
    assert not chains(data, "somebody else entirely")


@settings(max_examples=60)
@given(
    value=VALUES, name=st.sampled_from(sorted(ENCODINGS)), before=NOISE, after=NOISE, chunk=st.integers(1, 40)
)
@example(value="00¡ ", name="quoted-printable", before=b"", after=b"", chunk=1)
def test_any_value_anywhere_in_any_encoding(value, name, before, after, chunk):
    """Except where changing case changes more than letters: then only the case as given is promised."""
    if name in ("utf-8 upper", "utf-8 lower") and value.upper().lower() != value.lower():
        return
    data = before + ENCODINGS[name](value) + after
    assert chains(data, value, chunk=chunk)


@settings(max_examples=40)
@given(
    value=VALUES,
    encoding=st.sampled_from(sorted(ENCODINGS)),
    boxes=st.lists(st.sampled_from(sorted(CONTAINERS)), min_size=1, max_size=3),
    before=NOISE,
    chunk=st.sampled_from([1, 7, 64, 1000, 1 << 18]),
)
def test_any_value_inside_containers(value, encoding, boxes, before, chunk):
    if encoding in ("utf-8 upper", "utf-8 lower") and value.upper().lower() != value.lower():
        return
    data = b"first " * 50 + ENCODINGS[encoding](value) + b" last" * 50
    for box in boxes:
        data = CONTAINERS[box](data)
    found = tally_of(before + data + b"after", [value], chunk=chunk)
    outside_in = [box for box in reversed(boxes) if box != "tar"]
    assert any(list(chain[:-1]) == outside_in for _, chain in found.hits), (found.hits, found.gaps)
    # Noise may begin like a container that cannot be opened; why not may depend on what comes behind it.
    assert {chain for _, chain in found.gaps} <= {chain for _, chain in tally_of(before, [value]).gaps}


@given(data=st.binary(max_size=3000), value=VALUES, chunk=st.integers(1, 100))
@example(data=b"x" * 3000, value="xxxx", chunk=1)
def test_the_size_of_chunks_changes_nothing(data, value, chunk):
    data = data[:1000] + value.encode() + data[1000:] + zlib.compress(data + value.encode())
    whole, parts = tally_of(data, [value]), tally_of(data, [value], chunk=chunk)
    assert whole.hits == parts.hits
    assert whole.gaps == parts.gaps


def test_nothing_is_counted_twice_whatever_the_chunks():
    """One of each view: as it is, folded, and squeezed."""
    cjk, ada = "王小明先生", "ada@example.org"
    data = (b"." * 40).join([cjk.encode("utf-16-le"), ada.upper().encode(), b64encode(ada.encode()), b""])
    for chunk in (1, 3, 50, 1000):
        hits = tally_of(data, [cjk, ada], chunk=chunk).hits
        assert {chain: seen.count for (_, chain), seen in hits.items()} == {
            ("utf-16-le",): 1,
            ("utf-8",): 1,
            ("base64",): 1,
        }


def test_offsets_and_counts():
    data = b"." * 700 + b"ada@example.org" + b"." * 100 + gzip.compress(b"-" * 55 + b"ADA@example.org" * 3)
    found = tally_of(data, ["ada@example.org"], chunk=64).hits
    plain, packed = found[0, ("utf-8",)], found[0, ("gzip", "utf-8")]
    assert (plain.offset, plain.inner, plain.count) == (700, None, 1)
    assert (packed.offset, packed.inner, packed.count) == (815, 55, 3)


@pytest.mark.parametrize("shift", range(60))
def test_base64_that_e_mail_wraps(shift):
    head = b"Content-Transfer-Encoding: base64\r\n\r\n"
    plain = b"x" * shift + b"Ada Lovelace, 12 St James's Square, London" + b"y" * 100
    mail = head + encodebytes(plain).replace(b"\n", b"\r\n")
    (seen,) = tally_of(mail, ["Ada Lovelace, 12 St James's Square"]).hits.values()
    first = -(-8 * shift // 6)  # the first character that is of the value alone
    assert seen.offset == len(head) + first + 2 * (first // 76)


def test_base64_with_the_slashes_that_php_escapes():
    written = b64encode("Ünïcödé Ädá ÿÿÿ???".encode()).replace(b"/", b"\\/")
    assert b"\\/" in written
    assert chains(b'{"a":"' + written + b'"}', "Ünïcödé Ädá ÿÿÿ???") == {"base64"}


def test_values_that_are_not_there_are_not_found():
    """The negative control: noise, text and containers of both, and 200 values of others."""
    others = [f"person-{n}@example.org" for n in range(200)]
    text = " ".join(f"person-{n}@example.com" for n in range(2000)).encode()
    for data in (
        noise(300_000),
        text,
        gzip.compress(text),
        zlib.compress(noise(100_000)),
        os.urandom(300_000),
    ):
        found = tally_of(data, others)
        assert (found.hits, found.gaps) == ({}, {})


def test_base64_is_compared_to_the_last_bit():
    """The outer characters are shared with the neighbours: a wrong bit in them is another value."""
    written = b64encode(b"a" + b"q7Zk" + b"bc")
    assert chains(b" " + written, "q7Zk") == {"base64"}
    for at, bit in ((1, 1), (6, 32)):  # the low bits of the second character, the high ones of the seventh
        wrong = bytearray(written)
        wrong[at] = LETTERS[LETTERS.index(wrong[at]) ^ bit]
        assert chains(b" " + bytes(wrong), "q7Zk") == set()
    free = bytearray(written)
    free[1] = LETTERS[LETTERS.index(free[1]) ^ 16]  # a bit of the neighbour
    assert chains(b" " + bytes(free), "q7Zk") == {"base64"}
