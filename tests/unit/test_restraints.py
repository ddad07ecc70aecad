"""Whose data may not be used, from one subject epoch to the next."""

from hypothesis import given
from hypothesis import strategies as st

from tenure.restraints import NONE, Restraint, Restraints
from tenure.store.subjectlimits import OBJECTION, RESTRICTION, Held

PURPOSES = ("marketing", "service", "support")
_limits = st.one_of(
    st.tuples(st.integers(1, 5), st.just(RESTRICTION), st.just(""), st.integers(0, 2)),
    st.tuples(st.integers(1, 5), st.just(OBJECTION), st.sampled_from(PURPOSES), st.integers(0, 2)),
)


def told(restraints: Restraints) -> set[tuple[str, int]]:
    """All that holds: "" of a restriction, and the purposes of objections, each with a leaf."""
    found = {("", leaf) for leaf in restraints.restricted}
    return found | {(purpose, leaf) for purpose, held in restraints.objected.items() for leaf in held}


@given(st.lists(st.lists(_limits)))
def test_what_changed_last_counts_and_nothing_older_is_touched(epochs: list[list[Held]]) -> None:
    expected: set[tuple[str, int]] = set()
    restraints, before = NONE, [(NONE, set(expected))]
    for changed in epochs:
        restraints = restraints.after(changed)
        for leaf, _, purpose, in_force in changed:
            (expected.add if in_force else expected.discard)((purpose, leaf))
        assert told(restraints) == expected
        before.append((restraints, set(expected)))
    assert all(told(older) == then for older, then in before)
    assert all(restraints.objected.values()), "no purpose that nobody objects to is kept"


def test_purposes_above_count_and_a_restriction_counts_first() -> None:
    restraints = NONE.after(
        [(1, OBJECTION, "service", 1), (2, OBJECTION, "marketing", 1), (3, RESTRICTION, "", 1)]
    )
    assert [(why, set(held)) for why, held in restraints.against(("support", "service"))] == [
        (Restraint.RESTRICTED, {3}),
        (Restraint.OBJECTED, {1}),
    ]
    assert NONE.against(("support", "service")) == ()
