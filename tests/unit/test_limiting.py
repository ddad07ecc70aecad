"""The gate by a clock of the test's own: what is let in, what is refused, for how long, and who pays."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure import limiting
from tenure.errors import RateLimited
from tenure.limiting import Gate, Meter, Pass, Way
from tenure.model.limits import UNLIMITED, Limits

A, B = "tenant-a", "tenant-b"


@dataclass
class World:
    """A gate with a clock."""

    default: Limits = UNLIMITED
    declared: dict[str, Limits] = field(default_factory=dict)
    narrowed: dict[tuple[str, str], Limits] = field(default_factory=dict)
    share: int = 1
    strangers: int = 1
    reserve: int = 2
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.gate = Gate(
            lambda tenant: self.declared.get(tenant, self.default),
            lambda tenant, secret: self.narrowed.get((tenant, secret)),
            lambda: self.share,
            strangers=self.strangers,
            reserve=self.reserve,
        )
        for tenant in (A, B):
            self.gate.proven(tenant, "key")

    def enter(
        self, tenant: str = A, secret: str = "key", *, way: Way = Way.USUAL, peer: str = "10.0.0.1"
    ) -> Pass:
        return self.gate.enter(way, tenant, secret, peer, self.now)

    def once(self, tenant: str = A, secret: str = "key", *, size: int = 0, records: int = 0) -> str:
        """One request from beginning to end: `in`, or the limit that refused it."""
        try:
            ticket = self.enter(tenant, secret)
        except RateLimited as refused:
            return refused.limit
        self.gate.leave(ticket, size, records)
        return "in"

    def many(self, count: int, tenant: str = A, **more: int) -> list[str]:
        return [self.once(tenant, **more) for _ in range(count)]


def refusal(world: World, **how: object) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        world.enter(**how)  # type: ignore[arg-type]
    return caught.value


def test_a_burst_then_the_rate() -> None:
    world = World(Limits(10, 0, 0, 2, 0))
    assert world.many(25) == ["in"] * 20 + ["requests"] * 5
    world.now += 0.5
    assert world.many(6) == ["in"] * 5 + ["requests"]
    world.now += 3600
    assert world.many(21).count("in") == 20, "no more than the burst is saved up"


def test_what_is_refused_costs_nothing() -> None:
    world = World(Limits(1, 0, 0, 1, 0))
    assert world.many(100).count("in") == 1
    world.now += 1
    assert world.once() == "in"


def test_it_says_which_limit_and_when_to_come_back() -> None:
    world = World(Limits(0, 100, 0, 1, 0))
    assert world.once(size=1000) == "in", "a request is let in while there is something left"
    refused = refusal(world)
    assert (refused.limit, refused.retry_after) == ("bytes", 10)
    world.now += refused.retry_after - 1
    assert world.once() == "bytes"
    world.now += 1
    assert world.once() == "in"


def test_nobody_owes_for_longer_than_a_minute() -> None:
    world = World(Limits(0, 10, 0, 1, 0))
    world.once(size=10**9)
    assert refusal(world).retry_after <= 61
    world.now += 61
    assert world.once() == "in"


def test_a_list_of_two_hundred_counts_two_hundred() -> None:
    world = World(Limits(0, 0, 100, 2, 0))
    assert world.many(3, records=200) == ["in", "records", "records"]
    world.now += 1
    assert world.once() == "in"


def test_requests_at_once() -> None:
    world = World(Limits(0, 0, 0, 1, 2))
    under_way = [world.enter(), world.enter()]
    assert refusal(world).limit == "concurrent"
    world.gate.leave(under_way[0], 0, 0)
    world.enter()
    assert refusal(world).limit == "concurrent"
    world.enter(B)


def test_a_tenant_far_over_its_limit_takes_nothing_of_another() -> None:
    world = World(Limits(10, 1000, 100, 1, 5))
    for _ in range(10):
        world.many(200, A, size=500, records=50)
        assert world.once(B, size=10, records=1) == "in"
        world.now += 0.2
    assert world.gate.refusals["requests"] + world.gate.refusals["bytes"] > 1000
    assert {one.tenant_id for one in world.gate.refused_since(0)} == {A}


def test_a_credential_is_held_to_its_own_and_to_its_tenants() -> None:
    world = World(Limits(10, 0, 0, 1, 0), narrowed={(A, "small"): Limits(requests=2)})
    world.gate.proven(A, "small")
    assert [world.once(A, "small") for _ in range(4)] == ["in", "in", "requests", "requests"]
    assert world.many(20).count("in") == 8, "what it took is gone from the tenant's"
    world.now += 1
    assert world.many(20).count("in") == 10
    assert world.once(A, "small") == "requests", "its own allowance is full, its tenant's is empty"


def test_a_fresh_token_for_each_request_gets_round_nothing() -> None:
    world = World(Limits(10, 0, 0, 1, 0))

    def once(number: int) -> str:
        ticket = world.enter("", f"token-{number}")
        try:
            ticket = world.gate.admit(ticket, Way.USUAL, A, "robot", world.now)
        except RateLimited as refused:
            return refused.limit
        finally:
            world.gate.leave(ticket, 0, 0)
        return "in"

    assert [once(number) for number in range(15)] == ["in"] * 10 + ["requests"] * 5
    assert world.once() == "requests", "they took what is the tenant's"
    assert world.once(B) == "in"
    ticket = world.enter("", "an officer's", way=Way.RESERVED)
    admitted = world.gate.admit(ticket, Way.RESERVED, A, "officer", world.now)
    assert admitted == ticket, "and what governs goes on"


def test_what_governs_is_one_allowance_for_all_tokens_of_an_actor() -> None:
    world = World(reserve=2)

    def governs(number: int, actor: str = "robot") -> str:
        token = f"{actor}-{number}"
        try:
            ticket = world.enter(A if (A, token) in met else "", token, way=Way.RESERVED)
            if ticket.peer is not None:
                world.gate.admit(ticket, Way.RESERVED, A, actor, world.now)
        except RateLimited as refused:
            return refused.limit
        world.gate.proven(A, token, actor)
        met.add((A, token))
        return "in"

    met: set[tuple[str, str]] = set()
    burst = limiting._RESERVE_BURST_S * 2
    assert [governs(number) for number in range(burst)] == ["in"] * burst
    assert [governs(burst), governs(0)] == ["reserve"] * 2, "by a fresh token as by an old one"
    assert governs(0, "officer") == "in"


def test_who_turns_out_to_be_nobody_costs_the_tenant_nothing() -> None:
    world = World(Limits(5, 0, 0, 1, 2))
    for number in range(20):
        ticket = world.gate.admit(world.enter("", f"t{number}"), Way.USUAL, A, "passer-by", world.now)
        world.gate.forgive(ticket)
    assert world.many(6) == ["in"] * 5 + ["requests"]


def test_a_limit_that_changes_holds_at_once() -> None:
    world = World(Limits(1, 0, 0, 1, 0))
    assert world.many(3).count("in") == 1
    world.declared[A] = Limits(100, 0, 0, 1, 0)
    world.now += 0.1
    assert world.many(30).count("in") == 10
    world.declared[A] = Limits(1, 0, 0, 1, 0)
    world.now += 0.5
    assert world.many(5).count("in") <= 1
    world.narrowed[A, "key"] = Limits(concurrent=1)
    world.declared[A] = UNLIMITED
    world.enter()
    assert refusal(world).limit == "concurrent"
    del world.narrowed[A, "key"]
    assert world.once() == "in"


def test_processes_share_a_limit() -> None:
    worlds = [World(Limits(40, 0, 0, 1, 9), share=4) for _ in range(4)]
    assert sum(world.many(100).count("in") for world in worlds) == 40
    world = worlds[0]
    world.now += 1
    under_way = [world.enter(), world.enter()]
    assert refusal(world).limit == "concurrent", "9 // 4"
    for one in under_way:
        world.gate.leave(one, 0, 0)
    world.share = 1  # the others are gone
    world.now += 1
    assert world.many(100).count("in") == 40


def test_governing_has_an_allowance_of_its_own() -> None:
    world = World(Limits(1, 1, 1, 1, 1), reserve=2)
    world.gate.proven(A, "officer")
    held = world.enter()
    world.many(50, size=10**6)
    for _ in range(4):
        world.enter(A, "officer", way=Way.RESERVED)
    assert refusal(world, secret="officer", way=Way.RESERVED).limit == "reserve"
    world.now += 0.5
    world.enter(A, "officer", way=Way.RESERVED)
    world.gate.leave(held, 0, 0)
    for _ in range(4):
        world.enter(A, "key", way=Way.RESERVED)
    assert refusal(world, way=Way.RESERVED).limit == "reserve", "an agent cannot ask for ever either"
    world.now += 0.5
    world.enter(A, "officer", way=Way.RESERVED)


# ── whoever is not known ──────────────────────────────────────────────────────────────────────────
def test_made_up_keys_cost_their_address_and_not_the_tenant() -> None:
    world = World(Limits(5, 0, 0, 1, 0), strangers=2)
    for n in range(20):  # ten seconds' worth
        ticket = world.enter(A, f"guess-{n}")
        world.gate.leave(ticket, 0, 0)
        world.gate.failed(A, f"guess-{n}", "10.0.0.1", world.now)
    refused = refusal(world, secret="guess-20")
    assert (refused.limit, refused.retry_after) == ("strangers", 1)
    assert world.many(5) == ["in"] * 5, "behind the same address, a key that is known"
    assert world.gate.refused_since(0) == [], "no tenant is named for keys that others made up"
    world.enter(A, "guess", peer="10.0.0.2")
    world.now += 0.5
    world.enter(A, "guess")


def test_attempts_at_once_are_owed_for() -> None:
    world = World(strangers=1)
    for n in range(40):
        world.enter(A, f"guess-{n}")
    for n in range(40):
        world.gate.failed(A, f"guess-{n}", "10.0.0.1", world.now)
    assert refusal(world, secret="more").retry_after == 31


def test_new_keys_that_are_good_cost_nothing() -> None:
    world = World(strangers=1)
    for n in range(500):
        ticket = world.enter(A, f"good-{n}")
        world.gate.leave(ticket, 0, 0)
        world.gate.proven(A, f"good-{n}")
    assert world.once(A, "another") == "in"


def test_a_revoked_key_becomes_a_stranger() -> None:
    world = World(strangers=1)
    for _ in range(11):
        world.gate.failed(A, "key", "10.0.0.1", world.now)
    assert refusal(world).limit == "strangers"
    assert world.once(B) == "in"


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_TENANTS", "MAX_CREDENTIALS", "MAX_PEERS"):
        monkeypatch.setattr(limiting, name, 10)
    world = World(Limits(5, 0, 0, 1, 3))
    busy = [world.enter(), world.enter(), world.enter()]
    for n in range(100):
        world.gate.proven(f"tenant-{n}", "key")
        world.once(f"tenant-{n}")
        world.gate.failed("", "", f"10.0.1.{n}", world.now)
    assert max(world.gate.sizes) <= 11
    world.gate.proven(A, "key")
    world.now += 1
    assert refusal(world).limit == "concurrent", "an account in use is not forgotten"
    for one in busy:
        world.gate.leave(one, 0, 0)


@given(
    rate=st.integers(1, 1000),
    burst=st.integers(1, 60),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 10_000)), max_size=50),
)
def test_over_any_time_no_more_than_burst_and_rate(
    rate: int, burst: int, steps: list[tuple[float, int]]
) -> None:
    meter = Meter(rate, rate * burst, 0.0)
    now = taken = 0.0
    for pause, wish in steps:
        now += pause
        for _ in range(min(wish, 100)):
            if meter.fill(now) >= 1:
                meter.spend(1)
                taken += 1
    assert taken <= rate * burst + now * rate + 1e-6
    assert -rate * 60 <= meter.level <= rate * burst
