"""What could not be looked into is said, and is never clean."""

import bz2
import gzip
import io
import lzma
import random
import struct
import zipfile
import zlib

import pytest
from backports import zstd

from unit.residue.planting import CONTAINERS, tally_of

VALUE = "Ada Lovelace"
TEXT = " ".join(str(n * 7919) for n in range(40_000)).encode()


def inside(tally):
    """The chains of what was found inside of something: short texts stand in most in the clear too."""
    return [chain for _, chain in tally.hits if len(chain) > 1]


def reasons(data, **more):
    return {(reason, ">".join(chain)) for reason, chain in tally_of(data, [VALUE], **more).gaps}


def nested(box, depth):
    data = TEXT + VALUE.encode()
    for _ in range(depth):
        data = CONTAINERS[box](data)
    return data


@pytest.mark.parametrize("box", ["zlib", "gzip", "zstd", "bzip2", "xz", "zip"])
def test_three_deep_is_looked_into_and_four_deep_is_said(box):
    three = tally_of(nested(box, 3), [VALUE])
    assert three.gaps == {}
    assert (box, box, box, "utf-8") in inside(three)
    four = tally_of(nested(box, 4), [VALUE])
    assert (box,) * 4 not in [chain[:4] for chain in inside(four)]
    assert {reason for reason, _ in four.gaps} == {"too-deep"}


@pytest.mark.parametrize("box", ["zlib", "gzip"])
def test_a_tiny_container_too_deep_is_said_as_well(box):
    data = b"tiny"
    for _ in range(4):
        data = CONTAINERS[box](data)
    assert [reason for reason, _ in tally_of(data, [VALUE]).gaps] == ["too-deep"]


@pytest.mark.parametrize("box", ["zlib", "gzip", "zstd", "bzip2", "xz", "zip"])
def test_a_bomb_stops_at_the_limit(box):
    bomb = CONTAINERS[box](bytes(8_000_000) + VALUE.encode())
    assert len(bomb) < 20_000
    found = tally_of(bomb, [VALUE], unpack_limit=3_000_000)
    assert inside(found) == []
    assert [reason for reason, _ in found.gaps] == ["unpack-limit"]
    assert found.unpacked < 4_000_000
    assert inside(tally_of(bomb, [VALUE], unpack_limit=10_000_000))


def test_after_the_limit_the_rest_of_the_file_is_still_read():
    bomb = gzip.compress(bytes(8_000_000))
    found = tally_of(bomb + b"..." + VALUE.encode(), [VALUE], unpack_limit=1_000_000, chunk=1000)
    assert [chain for _, chain in found.hits] == [("utf-8",)]


@pytest.mark.parametrize("box", ["zlib", "gzip", "zstd", "bzip2", "xz", "zip"])
def test_a_stream_that_breaks_or_ends_early_is_said(box):
    whole = CONTAINERS[box](VALUE.encode() + TEXT * 6)
    broken = whole[: len(whole) // 2] + b"\xff" * 60_000 + whole[len(whole) // 2 + 60_000 :]
    assert {reason for reason, _ in reasons(broken)} <= {"damaged", "cut-short"}
    assert reasons(broken)
    assert reasons(whole[: len(whole) * 2 // 3])
    assert reasons(whole) == set()


@pytest.mark.parametrize("before", [b"", b"Ada Love" * 9 + b"lace " * 9], ids=["letters", "references"])
@pytest.mark.parametrize("kind", [zlib.compress, gzip.compress])
def test_what_can_be_decoded_before_the_damage_is_found(kind, before):
    """The value is the last thing before the damage: the library itself would drop it."""
    packer = zlib.compressobj() if kind is zlib.compress else zlib.compressobj(wbits=31)
    data = packer.compress(TEXT[:5000] + before + VALUE.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    found = tally_of(data + b"\x07" * 5000, [VALUE])
    assert len(inside(found)) == 1
    assert [reason for reason, _ in found.gaps] == ["damaged"]


def test_an_encrypted_zip_member_is_said():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", TEXT)
    data = bytearray(file.getvalue())
    data[6] |= 1  # the general-purpose flag of APPNOTE 4.4.4
    assert reasons(bytes(data)) == {("encrypted", "zip")}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(100), ("unknown-format", "7z")),
        (b"Rar!\x1a\x07\x01\x00" + bytes(100), ("unknown-format", "rar")),
        (b"\x04\x22\x4d\x18\x64\x40\xa7" + bytes(100), ("unknown-format", "lz4")),
        (b"PK\x03\x04" + struct.pack("<HHH", 63, 0, 14) + bytes(100), ("unknown-method", "zip")),
    ],
)
def test_formats_that_are_not_opened_are_said(data, reason):
    assert reasons(b"...." + data) == {reason}


def test_a_frame_that_needs_much_memory_is_said():
    options = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    assert reasons(packer.compress(TEXT) + packer.flush()) == {("needs-memory", "zstd")}


def test_many_overlapping_streams_are_not_all_followed():
    """Stored blocks that each hold the heads of all that follow: an attack on the time a scan takes."""
    data = bytes(64)
    for _ in range(60):
        size = len(data)
        data = b"\x78\x01\x01" + struct.pack("<HH", size, size ^ 0xFFFF) + data
    found = tally_of(data + VALUE.encode(), [VALUE])
    assert found.gaps
    assert found.unpacked < 1000 * len(data)
    assert [chain for _, chain in found.hits] == [("utf-8",)]


def test_noise_is_no_gap():
    """A gap for bytes that only look like a container would make every store of ciphertext incomplete."""
    noise = random.Random(5).randbytes(6_000_000)
    assert tally_of(noise, [VALUE]).gaps == {}


def test_stored_and_uncompressed_members_are_seen_as_they_are():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.txt", VALUE)
        archive.writestr("b.gz", gzip.compress(VALUE.encode()))
    assert {">".join(chain) for _, chain in tally_of(file.getvalue(), [VALUE]).hits} == {
        "utf-8",
        "gzip>utf-8",
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_zip_methods(method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.txt", VALUE * 100)
    found = tally_of(file.getvalue(), [VALUE])
    assert bool(found.hits) != bool(found.gaps)
    assert (method == zipfile.ZIP_BZIP2) == bool(found.hits)


def test_several_streams_in_one_file():
    parts = [bz2.compress(b"x"), gzip.compress(b"y"), lzma.compress(VALUE.encode()), gzip.compress(b"z")]
    assert inside(tally_of(b"".join(parts), [VALUE])) == [("xz", "utf-8")]


@pytest.mark.parametrize("outer", ["zlib", "gzip", "zstd", "bzip2", "xz", "zip"])
@pytest.mark.parametrize("inner", ["gzip", "xz", "zstd"])
def test_what_is_compressed_twice_is_no_gap(inner, outer):
    """The inner container's mark is seen in the outer one too, and what begins there breaks."""
    data = CONTAINERS[outer](CONTAINERS[inner](random.Random(7).randbytes(150_000)) + TEXT)
    assert tally_of(data, [VALUE], chunk=10_000).gaps == {}
    assert tally_of(data[:-20_000], [VALUE], chunk=10_000).gaps
