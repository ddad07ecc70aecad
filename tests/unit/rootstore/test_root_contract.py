"""What every root store keeps to: the files store and the fake alike."""

import os

import pytest

from fakes import FakeRootStore
from tenure.errors import RootLost, Tampered
from tenure.rootstore.files import FilesRootStore


@pytest.fixture(params=["files", "fake"])
def root(request, tmp_path):
    return FilesRootStore(tmp_path / "roots") if request.param == "files" else FakeRootStore()


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


def test_a_destroyed_version_opens_nothing_and_its_number_is_not_used_again(root):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    done = root.destroy(version, "shred")
    assert done.state == "destroyed"
    assert done.unusable_at <= done.irrecoverable_at
    with pytest.raises(RootLost):
        root.unseal(version, sealed, b"here")
    assert root.create("a") == version, (
        "still the same operation: a batch that dropped its root needs a new id"
    )
    assert root.create("b") == version + 1


def test_destroying_again_tells_the_same_story(root):
    version = root.create("a")
    assert root.destroy(version, "shred") == root.destroy(version, "shred") == root.destroy(version, "again")


def test_the_list_remembers_everything(root):
    first, second = root.create("a"), root.create("b")
    root.destroy(first, "shred")
    assert [(one.version, one.state, one.op_id) for one in root.list()] == [
        (first, "destroyed", "a"),
        (second, "live", "b"),
    ]
    assert root.list()[0].created_at <= root.list()[1].created_at


def test_a_version_that_never_was_opens_nothing(root):
    with pytest.raises(RootLost):
        root.unseal(9, b"x" * 60, b"here")


def test_it_says_what_it_is(root):
    said = root.capabilities()
    assert said.provider
    assert said.guarantee
