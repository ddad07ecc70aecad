"""What a saver keeps of values: enough to send less, of the snapshot that was met last, and no more."""

from tenure.client.pieces import Kept

LONG, SHORT = b"x" * 1000, b"x"


def store(kept, thread, snapshot, value):
    made = {"talk": (1, value)}
    kept.keep(thread, "", snapshot, {}, made, {"talk": 1}, {"talk": 1})


def test_a_long_value_is_known_of_its_snapshot_only():
    kept = Kept()
    store(kept, "t", "a", LONG)
    assert kept.of("t", "", "a")["talk"].value == LONG
    assert kept.of("t", "", "b") == kept.of("u", "", "a") == {}


def test_a_snapshot_of_short_values_takes_the_place_of_its_thread():
    kept = Kept()
    store(kept, "t", "a", LONG)
    store(kept, "t", "b", SHORT)
    assert kept.of("t", "", "a") == kept.of("t", "", "b") == {}
    assert kept._size == 0


def test_threads_of_short_values_displace_no_other():
    kept = Kept()
    store(kept, "t", "a", LONG)
    for number in range(2000):
        store(kept, f"short {number}", "a", SHORT)
    assert kept.of("t", "", "a")["talk"].value == LONG


def test_no_more_than_so_many_threads_are_kept():
    kept = Kept()
    for number in range(600):
        store(kept, f"t{number}", "a", LONG)
    assert kept.of("t0", "", "a") == {}
    assert kept.of("t599", "", "a")
    assert kept._size == 512 * len(LONG)
