"""Values as slices: whatever is stored over many generations is put together as it was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.client.pieces import Known, pieces_of
from tenure.errors import Invalid
from tenure.model.thread import MAX_PIECES, Reuse, cut, place

_TEXT = b"".join(b"%06d a line of what was said, and what was answered to it;" % n for n in range(60))
stretches = st.builds(lambda at, size: _TEXT[at : at + size], st.integers(0, 3000), st.integers(0, 1500))
values = st.lists(st.one_of(stretches, st.binary(max_size=40)), max_size=5).map(b"".join)


@st.composite
def edits(draw, old):
    """What a step makes of a value: a few bytes in front, an end, a middle that is another, or all new."""
    front = draw(st.sampled_from([0, 0, 1, 3, 40]))
    at = draw(st.integers(0, len(old)))
    new = draw(st.binary(max_size=front)) + old[front:]
    return draw(
        st.sampled_from([old, new, new + draw(values), new[:at] + draw(values) + new[at:], draw(values)])
    )


def together(slices, versions):
    return b"".join(versions[number][part][at : at + size] for number, part, at, size in slices)


@given(st.data())
def test_over_many_generations_values_are_what_was_sent(data):
    versions, old, before, known = {}, b"", None, None
    for number in range(1, data.draw(st.integers(2, 24))):
        new = data.draw(edits(old))
        parts = []
        slices = place(pieces_of(new, known), number, parts, before)
        versions[number] = parts
        assert together(slices, versions) == new
        assert len(slices) <= MAX_PIECES
        old, before, known = new, (number, slices), Known(number, new, len(slices))


@given(values, values)
def test_pieces_say_the_new_value_whatever_the_old_one_was(old, new):
    pieces = pieces_of(new, Known(7, old, 1))
    whole = b"".join(
        old[one.start : one.start + one.length] if isinstance(one, Reuse) else one for one in pieces
    )
    assert whole == new


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 9), st.integers(1, 9))), st.data()
)
def test_a_cut_is_what_lies_there_and_never_more(slices, data):
    slices = [list(one) for one in slices]
    versions = {n: [bytes([n * 16 + part]) * 9 + bytes(range(9)) for part in range(4)] for n in range(1, 5)}
    whole = together(slices, versions)
    start, length = data.draw(st.integers(-3, 40)), data.draw(st.integers(-3, 40))
    if start < 0 or length < 0 or (length and start + length > len(whole)):
        with pytest.raises(Invalid):
            cut(slices, start, length)
    else:
        assert together(cut(slices, start, length), versions) == whole[start : start + length]
