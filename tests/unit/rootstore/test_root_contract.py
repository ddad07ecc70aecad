"""What every root store keeps to, wherever it keeps its keys."""

import os

import pytest

from tenure.errors import RootLost, Tampered


@pytest.fixture
def root(custody):
    return custody.root


def destroyed(custody, version, op_id="shred"):
    """Destroy a version and see it through."""
    done = custody.root.destroy(version, op_id)
    if custody.slow:
        assert done.state == "pending"
        custody.wait()
        done = custody.root.destroy(version, op_id)
    return done


def test_what_is_sealed_unseals_under_the_same_version_and_data_only(root):
    one, two = root.create("a"), root.create("b")
    key = os.urandom(64)
    sealed = root.seal(one, key, b"here")
    assert root.unseal(one, sealed, b"here") == key
    assert key not in sealed
    assert root.seal(one, key, b"here") != sealed
    for version, data, aad in (
        (two, sealed, b"here"),
        (one, sealed, b"there"),
        (one, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here"),
        (one, sealed[:3], b"here"),
        (one, b"", b"here"),
    ):
        with pytest.raises(Tampered):
            root.unseal(version, data, aad)


def test_creating_again_for_the_same_operation_gives_the_same_version(root):
    assert [root.create(op) for op in ("a", "b", "a", "b", "c")] == [1, 2, 1, 2, 3]


def test_a_new_version_is_above_what_the_caller_names(root):
    assert root.create("a", above=6) == 7
    assert root.create("a", above=20) == 7, "an operation has its version"
    assert root.create("b", above=3) == 8
    assert root.create("c") == 9


def test_a_destroyed_version_opens_nothing_and_its_number_is_not_used_again(custody, root):
    version = root.create("a")
    root.create("stays")
    sealed = root.seal(version, b"key", b"here")
    at_once = root.destroy(version, "shred")
    if custody.refuses:
        with pytest.raises(RootLost):
            root.unseal(version, sealed, b"here")
    done = destroyed(custody, version)
    assert done.state == "destroyed"
    assert at_once.unusable_at == done.unusable_at <= done.irrecoverable_at
    with pytest.raises(RootLost):
        root.unseal(version, sealed, b"here")
    assert root.create("a") == version, (
        "still the same operation: a batch that dropped its root needs a new id"
    )
    assert root.create("b") == version + 2


def test_destroying_again_tells_the_same_story(custody, root):
    version = root.create("a")
    root.create("stays")
    first = destroyed(custody, version)
    assert first == root.destroy(version, "shred") == root.destroy(version, "again")
    assert first.evidence["provider"] == root.list()[0].provider
    assert first.evidence["operation"] == "shred"


def test_the_list_remembers_everything(custody, root):
    first, second = root.create("a"), root.create("b")
    root.destroy(first, "shred")
    if custody.slow:
        assert [one.state for one in root.list()] == ["pending", "live"]
        custody.wait()
    assert [(one.version, one.state, one.op_id) for one in root.list()] == [
        (first, "destroyed", "a"),
        (second, "live", "b"),
    ]
    assert root.list()[0].created_at <= root.list()[1].created_at


def test_the_only_version_can_be_destroyed(custody, root):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    root.destroy(version, "shred")
    custody.wait()
    with pytest.raises(RootLost):
        root.unseal(version, sealed, b"here")
    assert [one for one in root.list() if one.state == "live"] == []


def test_a_version_that_never_was_opens_nothing(root):
    with pytest.raises(RootLost):
        root.unseal(9, b"x" * 60, b"here")


def test_it_says_what_it_is(root):
    said = root.capabilities()
    assert said.provider
    assert said.guarantee
