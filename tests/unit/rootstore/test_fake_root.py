"""The fake is strict: tests that use it wrongly fail, and it fails on demand before or after its work."""

import pytest

from fakes import FakeRootStore
from tenure.errors import RootLost, Unavailable


@pytest.fixture
def root():
    store = FakeRootStore()
    store.create("a")
    return store


def test_broken_invariants_fail_the_test(root):
    root.destroy(1, "shred")
    for misuse in (
        lambda: root.create(""),
        lambda: root.seal(1, b"key", b"here"),
        lambda: root.seal(2, b"key", b"here"),
        lambda: root.destroy(2, "shred"),
        lambda: root.destroy(1, ""),
        lambda: root.finish(2),
    ):
        with pytest.raises(AssertionError):
            misuse()


@pytest.mark.parametrize(("size", "aad"), [(65, b"here"), (1, b"")])
def test_too_much_data_and_no_associated_data_fail_the_test(root, size, aad):
    with pytest.raises(AssertionError):
        root.seal(1, bytes(size), aad)


@pytest.mark.parametrize(("when", "state"), [("before", "live"), ("after", "destroyed")])
def test_it_fails_once_with_or_without_having_destroyed(root, when, state):
    root.fail_next["destroy"] = when
    with pytest.raises(Unavailable):
        root.destroy(1, "shred")
    assert root.list()[0].state == state
    assert root.destroy(1, "shred").state == "destroyed"


@pytest.mark.parametrize(("when", "count"), [("before", 1), ("after", 2)])
def test_it_fails_once_with_or_without_having_created(root, when, count):
    root.fail_next["create"] = when
    with pytest.raises(Unavailable):
        root.create("b")
    assert len(root.list()) == count
    assert root.create("b") == 2


def test_it_can_lie_about_a_destruction(root):
    sealed = root.seal(1, b"key", b"here")
    root.lies = True
    assert root.destroy(1, "shred").state == "destroyed"
    assert root.unseal(1, sealed, b"here") == b"key"


def test_a_pending_destruction_is_useless_at_once_and_finished_later(root):
    sealed = root.seal(1, b"key", b"here")
    root.pending = True
    assert root.destroy(1, "shred").state == "pending"
    with pytest.raises(RootLost):
        root.unseal(1, sealed, b"here")
    root.finish(1)
    assert root.destroy(1, "shred").state == "destroyed"
    assert root.list()[0].state == "destroyed"
