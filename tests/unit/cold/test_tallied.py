"""Requests for packs are counted by whose they are, and nothing else is."""

import threading

import pytest

from tenure import ids
from tenure.cold import tallied
from tenure.cold.files import FileObjects
from tenure.cold.tallied import Asked, Key, RequestTally, Tallied
from tenure.model.layers import DAY_US

ONE, TWO = ids.new_id(), ids.new_id()


def test_each_kind_by_tenant_and_tier(tmp_path):
    tally = RequestTally()
    store = Tallied(FileObjects(tmp_path), tally)
    assert store.keep(f"packs/{ONE}/a", b"12345678", tags={"tenure-class": "keep"})
    store.put(f"packs/{TWO}/b", b"1")
    store.retag(f"packs/{ONE}/a", {"tenure-class": "keep"})
    assert store.get(f"packs/{ONE}/a") == b"12345678"
    assert store.get_range(f"packs/{ONE}/a", 2, 3) == b"345"
    assert store.get(f"packs/{ONE}/none") is None
    store.restore(f"packs/{TWO}/b")
    # Published logs and hand-overs are no tenant's packs; what is deleted or listed costs nobody.
    store.put(f"ledger/{ONE}/1/vkey", b"x")
    store.get(f"handover/{ONE}/keys.json")
    assert list(store.names(f"packs/{ONE}")) == [f"packs/{ONE}/a"]
    store.delete(f"packs/{ONE}/a")
    today = ids.now() // DAY_US
    assert tally.take() == (
        {
            Key(ONE, today, "cold"): Asked(puts=2, gets=3, retrieved=11),
            Key(TWO, today, "cold"): Asked(puts=1),
            Key(TWO, today, "archive"): Asked(restores=1),
        },
        0,
    )
    assert tally.take() == ({}, 0)


def test_what_is_asked_for_and_fails_is_counted(tmp_path):
    tally = RequestTally()
    store = Tallied(FileObjects(tmp_path), tally)
    store.put(f"packs/{ONE}/a", b"1234")
    with pytest.raises(Exception, match="shorter"):
        store.get_range(f"packs/{ONE}/a", 2, 30)
    (asked,) = tally.take()[0].values()
    assert asked == Asked(puts=1, gets=1)


def test_memory_has_an_end_and_no_count_is_lost_between_threads(monkeypatch):
    monkeypatch.setattr(tallied, "MOST", 2)
    tally = RequestTally()

    def count():
        for _ in range(500):
            for name in ("a", "b", "c"):
                tally.add(Key(name, 1, "cold"), Asked(gets=1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    found, left_out = tally.take()
    assert ({key.tenant_id: asked.gets for key, asked in found.items()}, left_out) == (
        {"a": 2000, "b": 2000},
        2000,
    )
