"""A hand-over between two root stores: who makes, who keeps, who destroys."""

import pytest

from fakes import FakeRootStore
from support.strictkms import StrictKms, store_on
from tenure.errors import KeyFailure, RootLost
from tenure.rootstore.files import FilesRootStore
from tenure.rootstore.handover import Handover


@pytest.fixture
def old(tmp_path):
    store = FilesRootStore(tmp_path / "old")
    for op in ("init", "batch"):
        store.create(op)
    store.destroy(1, "batch")
    return store


@pytest.fixture
def new():
    return store_on(StrictKms())


def test_the_new_store_makes_versions_above_both(old, new):
    both = Handover(old, new)
    assert both.create("move") == 3
    assert [(one.version, one.provider, one.state) for one in both.list()] == [
        (1, "files", "destroyed"),
        (2, "files", "live"),
        (3, "aws-kms:imported", "live"),
    ]
    assert both.create("move") == 3
    assert both.create("later", above=9) == 10
    assert len(old.list()) == 2, "the old store makes nothing any more"


def test_an_operation_that_began_in_the_old_store_has_its_version_there(old, new):
    assert Handover(old, new).create("batch") == 2
    assert new.list() == []


def test_each_store_seals_opens_and_destroys_its_own(old, new):
    kept = old.seal(2, b"before", b"here")
    both = Handover(old, new)
    version = both.create("move")
    made = both.seal(version, b"after", b"here")
    assert both.unseal(2, kept, b"here") == b"before"
    assert both.unseal(version, made, b"here") == new.unseal(version, made, b"here") == b"after"
    done = both.destroy(2, "move")
    assert done.evidence["provider"] == "files"
    with pytest.raises(RootLost):
        Handover(old, new).unseal(2, kept, b"here")
    assert both.destroy(1, "move").state == "destroyed"
    assert new.unseal(version, made, b"here") == b"after"


def test_the_guarantee_names_both(old, new):
    said = Handover(old, new).capabilities()
    assert said.provider == "aws-kms:imported"
    for one in (old, new):
        assert one.capabilities().guarantee in said.guarantee
    assert said.previous == old.capabilities()


def test_a_number_in_both_stores_is_refused(old):
    other = FakeRootStore()
    other.create("someone else's")
    with pytest.raises(KeyFailure, match="same number"):
        Handover(old, other).list()


def test_a_version_that_neither_has_opens_nothing(old, new):
    both = Handover(old, new)
    for act in (
        lambda: both.unseal(9, b"x" * 60, b"here"),
        lambda: both.seal(9, b"x", b"here"),
        lambda: both.destroy(9, "x"),
    ):
        with pytest.raises(RootLost):
            act()
