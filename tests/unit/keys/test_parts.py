"""Parts: sizes say little, and a part is whole or does not open."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Tampered
from tenure.keys.parts import CHUNK, open_part, seal_part

KEY, AAD = bytes(range(32)), b"place"
SEALED_CHUNK = CHUNK + 16
DATA = bytes(range(256)) * 800  # 204 800 bytes: four chunks, the last one short
WHOLE = seal_part(KEY, AAD, DATA)
CHUNKS = [WHOLE[at : at + SEALED_CHUNK] for at in range(0, len(WHOLE), SEALED_CHUNK)]


@settings(max_examples=40)
@given(
    st.one_of(st.integers(0, 2_000), st.sampled_from([CHUNK - 9, CHUNK - 8, CHUNK - 7, CHUNK, 4 * CHUNK - 8]))
)
def test_round_trip(length):
    data = DATA * 2
    sealed = seal_part(KEY, AAD, data[:length])
    assert open_part(KEY, AAD, sealed) == data[:length]


def test_the_sample_has_several_chunks():
    assert len(CHUNKS) == 4
    assert open_part(KEY, AAD, b"".join(CHUNKS)) == DATA


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(CHUNKS[:-1], id="last one dropped"),
        pytest.param(CHUNKS[1:], id="first one dropped"),
        pytest.param(CHUNKS[:1] + CHUNKS[2:], id="middle one dropped"),
        pytest.param([CHUNKS[1], CHUNKS[0], *CHUNKS[2:]], id="two swapped"),
        pytest.param([CHUNKS[0], *CHUNKS], id="one repeated"),
        pytest.param([*CHUNKS, CHUNKS[-1]], id="last one repeated"),
        pytest.param([*CHUNKS, b"\x00"], id="a byte appended"),
        pytest.param([*CHUNKS[:-1], CHUNKS[-1][:-1]], id="last byte cut"),
        pytest.param(CHUNKS[:1], id="first one alone"),
        pytest.param([], id="nothing"),
        pytest.param([bytes(16)], id="a tag alone"),
    ],
)
def test_dropped_moved_repeated_and_cut_chunks_are_noticed(chunks):
    with pytest.raises(Tampered):
        open_part(KEY, AAD, b"".join(chunks))


@pytest.mark.parametrize("at", [0, SEALED_CHUNK - 1, SEALED_CHUNK, 3 * SEALED_CHUNK + 5, len(WHOLE) - 1])
def test_a_changed_byte_in_any_chunk_is_noticed(at):
    with pytest.raises(Tampered):
        open_part(KEY, AAD, WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :])


def test_another_key_or_place_is_noticed():
    for key, aad in ((bytes(32), AAD), (KEY, b"elsewhere")):
        with pytest.raises(Tampered):
            open_part(key, aad, WHOLE)


def test_short_data_all_look_alike_and_long_data_nearly():
    sizes = {len(seal_part(KEY, AAD, bytes(n))) for n in range(121)}
    assert sizes == {128 + 16}
    assert len({len(seal_part(KEY, AAD, bytes(n))) for n in range(1_000, 2_000)}) < 20


@pytest.mark.parametrize(
    "padded",
    [
        pytest.param((3).to_bytes(8) + b"abc" + bytes(116) + b"\x01", id="padding that is not zero"),
        pytest.param((3).to_bytes(8) + b"abc" + bytes(118), id="more padding than Padmé"),
        pytest.param((3).to_bytes(8) + b"abc", id="less than the least"),
        pytest.param((2**63).to_bytes(8) + bytes(120), id="a length beyond the end"),
        pytest.param(bytes(7), id="no length"),
    ],
)
def test_padding_that_is_not_canonical_is_refused(padded):
    sealed = AESGCM(KEY).encrypt(bytes(11) + b"\x01", padded, AAD)
    with pytest.raises(Tampered, match="padding"):
        open_part(KEY, AAD, sealed)
