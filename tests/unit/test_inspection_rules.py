"""What inspections decide without a database: which key signs at which size, what makes a round whole."""

import pytest

from tenure.inspection.celllog import is_whole
from tenure.inspection.logkeys import Broken, Chain, InForce
from tenure.ledger.cellproof import fold
from tenure.ledger.note import Signer

FIRST, SECOND, THIRD = (Signer("log.test/1", bytes([seed]) * 32).verifier for seed in (1, 2, 3))


def test_an_earlier_key_signs_what_is_smaller_than_the_hand_over() -> None:
    chain = Chain((InForce(THIRD, 20), InForce(SECOND, 10, 7), InForce(FIRST, 0, 5)))
    assert [chain.at(size) for size in (1, 9, 10, 19, 20, 1000)] == [
        FIRST,
        FIRST,
        SECOND,
        SECOND,
        THIRD,
        THIRD,
    ]


def test_what_is_not_proven_signs_nothing() -> None:
    chain = Chain((InForce(THIRD, 20),), Broken(12, "vkey", "of a stranger"))
    assert (chain.at(19), chain.at(20)) == (None, THIRD)
    assert Chain(()).at(1) is None


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 33])
def test_a_round_is_whole_with_all_of_its_openings(count: int) -> None:
    """And is not with half of its places or less; in between nobody can tell."""
    height = len(fold([bytes(32)] * count)[1][0])
    assert is_whole(count, {height})
    assert not is_whole((1 << height) // 2, {height})
    assert not is_whole(0, set())
    assert not is_whole(count, {height, height + 1})
