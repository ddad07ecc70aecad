"""A table in a pg_dump archive is one stream cut into blocks: wherever the cuts are, it is read through."""

import gzip
import zlib

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from unit.residue.planting import tally_of

NAME = "Ada Lovelace"
ROWS = b"".join(b"%d\t%d\n" % (n, n * 7919) for n in range(300)) + b"Ada Love\tlace\n" * 2
TABLE = ROWS + NAME.encode() + b"\n" + ROWS


def number(value):
    return b"\0" + value.to_bytes(4, "little")


def archive(stream, size):
    """The head of an archive, then one data block as `pg_backup_custom.c` writes it."""
    blocks = [stream[at : at + size] for at in range(0, len(stream), size)]
    body = b"".join(number(len(block)) + block for block in blocks)
    return b"PGDMP\x01\x10\x00\x04\x08\x01" + b"toc" * 9 + b"\x01" + number(3210) + body + number(0)


@pytest.mark.parametrize(
    ("name", "pack"), [("zlib", zlib.compress), ("gzip", gzip.compress), ("zstd", zstd.compress)]
)
@given(size=st.integers(40, 4096), chunk=st.integers(1, 5000))
def test_wherever_it_is_cut(name, pack, size, chunk):
    found = tally_of(archive(pack(TABLE), size), [NAME], chunk=chunk)
    assert ("pg_dump", name, "utf-8") in {chain for _, chain in found.hits}
    assert found.gaps == {}


def test_outside_of_an_archive_the_same_bytes_are_a_broken_stream():
    """The control: without the archive's head nobody says that these are blocks."""
    found = tally_of(archive(gzip.compress(TABLE), 100).removeprefix(b"PGDMP"), [NAME])
    assert [reason for reason, _ in found.gaps] == ["damaged"]


def test_blocks_that_do_not_end_are_said():
    whole = archive(gzip.compress(TABLE), 100)
    assert [reason for reason, _ in tally_of(whole[:-400], [NAME]).gaps] == ["cut-short"]
    torn = whole.replace(number(100), b"\x07" * 5, 3).replace(b"\x07" * 5, number(100), 2)
    assert [reason for reason, _ in tally_of(torn, [NAME]).gaps] == ["damaged"]


def test_an_archive_in_a_container_does_not_use_up_the_depth():
    inner = archive(gzip.compress(gzip.compress(TABLE)), 100)
    assert any(
        chain[:4] == ("zstd", "pg_dump", "gzip", "gzip")
        for _, chain in tally_of(zstd.compress(inner), [NAME]).hits
    )
