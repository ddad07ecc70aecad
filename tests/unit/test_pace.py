"""A log's rounds take at most their share of the processor."""

from tenure import pace
from tenure.pace import Pace


def test_a_dear_round_is_followed_later_and_a_cheap_one_at_once(monkeypatch) -> None:
    clock = 100.0
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock)
    paced = Pace()
    assert paced.wait_s("t") == 0
    paced.took("t", 100.0, 0.010)
    assert round(paced.wait_s("t"), 6) == 0.2
    assert paced.wait_s("another") == 0
    clock = 100.15
    assert round(paced.wait_s("t"), 6) == 0.05
    clock = 100.3
    assert paced.wait_s("t") == 0
    paced.took("t", 100.3, 10.0)
    assert round(paced.wait_s("t"), 6) == pace.LONGEST_S


def test_only_so_many_are_remembered(monkeypatch) -> None:
    monkeypatch.setattr(pace, "MOST", 2)
    paced = Pace()
    for tenant in ("a", "b", "a", "c"):
        paced.took(tenant, pace.time.monotonic(), 1.0)
    assert [paced.wait_s(one) > 0 for one in ("a", "b", "c")] == [True, False, True]
