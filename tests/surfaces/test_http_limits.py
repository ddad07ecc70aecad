"""Limits over HTTP: who is over one is turned away before the body is read, and nobody else notices."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from test_http_metrics import scraped

from conftest import SCOPE, World, record
from tenure.client.http import Connection
from tenure.errors import Invalid, RateLimited
from tenure.http import turnstile
from tenure.model.apikey import new_api_key, parse_api_key

BODY = {"content": 1, "subjects": ["customer:1"], "categories": ["contact"]}


class Clock:
    """Seconds that pass when the test says so."""

    now = time.monotonic()

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Clock:
    # Whatever the test before used up is there again; never behind what the world's making was counted by.
    CLOCK.now = max(CLOCK.now, time.monotonic()) + 100
    monkeypatch.setattr(turnstile, "monotonic", CLOCK)
    monkeypatch.setattr(world.client.app.state.tenure.gate, "_strangers", 20)
    return CLOCK


@pytest.fixture
def tenant(world: World) -> Iterator[str]:
    """A tenant of its own, `small`, whose callers the service has met; its id."""
    name = f"small-{uuid4().hex[:8]}"
    world.tenant(name)
    for who in ("admin", "agent", "dpo"):
        world.keys[f"small-{who}"] = world.keys[f"{name}-{who}"]
    world.ids["small-agent"] = world.ids[f"{name}-agent"]
    tenant_id = parse_api_key(world.keys["small-admin"]).tenant_id
    for who in ("small-agent", "small-dpo"):
        assert world.call(who, "GET", record("none")).status_code in (403, 404)
    yield tenant_id
    for key in [key for key in world.keys if key.startswith("small-")]:
        del world.keys[key]


def limit(world: World, tenant: str, **limits: int) -> None:
    """The operator's word, taken up by the tenant's next transaction."""
    world.ok("operator", "PUT", f"/v1/tenants/{tenant}/limits", json=limits)
    world.ok("small-admin", "GET", "/v1/limits")


def put(world: World, key: str = "k", who: str = "small-agent") -> httpx.Response:
    return world.call(who, "PUT", record(key), json=BODY)


# ── the answer ────────────────────────────────────────────────────────────────────────────────────
def test_over_the_rate_is_a_429_that_says_which_limit_and_when(
    world: World, tenant: str, clock: Clock
) -> None:
    limit(world, tenant, requests=2, burst_s=1)
    assert [put(world).status_code for _ in range(3)] == [201, 201, 429]
    answer = put(world, "never")
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["connection"] == "close", "the body was not read"
    assert problem["type"] == "urn:tenure:problem:rate-limited"
    assert (problem["status"], problem["limit"], problem["retry_after"]) == (429, "requests", 1)
    assert "nothing was done" in problem["detail"]
    assert problem["rule"]
    assert problem["remedy"]
    assert not set("0123456789") & set(problem["detail"]), "no load is told, of nobody"
    clock.now += 1
    assert world.call("small-agent", "GET", record("never")).status_code == 404


def test_bytes_and_records_are_counted_afterwards(world: World, tenant: str, clock: Clock) -> None:
    for n in range(5):
        assert put(world, f"k{n}").status_code == 201
    limit(world, tenant, records=10, burst_s=1)
    query = f"/v1/scopes/{SCOPE}/records:query"
    assert world.call("small-agent", "POST", query, json={"limit": 5}).status_code == 200
    assert world.call("small-agent", "POST", query, json={"limit": 5}).status_code == 200
    assert world.call("small-agent", "POST", query, json={"limit": 5}).json()["limit"] == "records"
    clock.now += 1
    limit(world, tenant, bytes=1000, burst_s=1)
    big = {**BODY, "content": "x" * 5000}
    assert world.call("small-agent", "PUT", record("big"), json=big).status_code == 201
    refused = put(world).json()
    assert refused["limit"] == "bytes"
    assert 4 <= refused["retry_after"] <= 7


def test_unlimited_again(world: World, tenant: str, clock: Clock) -> None:
    limit(world, tenant, requests=1, burst_s=1)
    assert [put(world).status_code for _ in range(3)] == [201, 429, 429]
    limit(world, tenant, requests=0)
    assert {put(world).status_code for _ in range(20)} == {201}


# ── who is not held up ────────────────────────────────────────────────────────────────────────────
def test_officers_administrators_probes_and_others_go_on(world: World, tenant: str, clock: Clock) -> None:
    assert put(world).status_code == 201
    limit(world, tenant, requests=1, bytes=1, records=1, concurrent=1, burst_s=1)
    assert put(world).status_code == 201
    assert {put(world).status_code for _ in range(50)} == {429}
    found = world.ok("small-dpo", "POST", "/v1/subjects:lookup", json={"ref": "customer:1"})
    shred = world.ok("small-dpo", "POST", f"/v1/subjects/{found['items'][0]['id']}:shred")
    assert "certificate" in world.until(
        "small-dpo", f"/v1/shreds/{shred['shred']}", lambda one: "certificate" in one
    )
    assert world.ok("small-admin", "GET", "/v1/principals")["items"]
    assert world.call(None, "GET", "/health/live").status_code == 200
    assert world.call(None, "GET", "/health/ready").status_code == 200
    assert world.call(None, "GET", "/metrics").status_code == 200
    assert world.put("another-tenants", 1).status_code == 201
    assert put(world).status_code == 429


def test_made_up_keys_do_not_use_up_a_tenants_allowance(world: World, tenant: str, clock: Clock) -> None:
    limit(world, tenant, requests=5, burst_s=1)
    world.keys["forged"] = new_api_key(tenant)[0]
    guesses = Counter(world.call("forged", "GET", record("k")).status_code for _ in range(300))
    assert set(guesses) == {401, 429}
    assert guesses[401] <= 200, "ten seconds' worth of attempts"
    assert world.call("forged", "GET", record("k")).json()["limit"] == "strangers"
    assert [put(world).status_code for _ in range(6)] == [201] * 5 + [429]
    # Without a purpose it is refused before anybody looks at the key: that proves no key either.
    clock.now += 1
    bare = {"Authorization": f"Bearer {world.keys['forged']}"}
    assert world.client.get(record("k"), headers=bare).status_code == 400
    clock.now += 60
    assert [put(world).status_code for _ in range(6)] == [201] * 5 + [429]


def test_a_forged_key_is_never_taken_for_a_good_one(world: World, tenant: str, clock: Clock) -> None:
    """It would be charged to the tenant from then on."""
    limit(world, tenant, requests=1, burst_s=1)
    bare = {"Authorization": f"Bearer {new_api_key(tenant)[0]}"}
    statuses = {world.client.get(record("k"), headers=bare).status_code for _ in range(50)}
    assert statuses == {400}
    assert put(world).status_code == 201
    clock.now += 60


def test_behind_a_trusted_proxy_each_address_is_its_own(
    world: World, tenant: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.client.app.turnstile
    forged = {"Authorization": f"Bearer {new_api_key(tenant)[0]}", "Tenure-Purpose": "x"}

    def guess(address: str) -> int:
        headers = {**forged, "X-Forwarded-For": f"198.51.100.7, {address}, 10.0.0.9"}
        return world.client.get(record("k"), headers=headers).status_code

    monkeypatch.setattr(gate, "_proxies", turnstile.networks("10.0.0.0/8, 127.0.0.1"))
    monkeypatch.setattr(turnstile, "_among", lambda at, _: at == "testclient" or at.startswith("10."))
    assert {guess("192.0.2.1") for _ in range(250)} == {401, 429}
    assert guess("192.0.2.1") == 429
    assert guess("192.0.2.2") == 401
    assert {guess(f"2001:db8:0:1::{n:x}") for n in range(250)} == {401, 429}, "one site is one address"
    assert guess("2001:db8:0:2::1") == 401


def test_a_proxy_that_cannot_be_read_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        turnstile.networks("10.0.0.0/8, proxy.example")
    assert caught.value.field == "TENURE_TRUSTED_PROXIES"
    assert turnstile.networks("") == ()


def test_a_credential_takes_its_tenants_burst(world: World, tenant: str, clock: Clock) -> None:
    limit(world, tenant, requests=9, burst_s=3)
    agent = world.ids["small-agent"]
    made = world.ok("small-admin", "POST", f"/v1/principals/{agent}/credentials")
    world.keys["small-second"] = made["api_key"]
    path = f"/v1/principals/{agent}/credentials/{made['id']}/limits"
    world.ok("small-admin", "PUT", path, json={"requests": 2})
    assert put(world, who="small-second").status_code == 201
    assert Counter(put(world, who="small-second").status_code for _ in range(20)) == {201: 6, 429: 14}


# ── credentials ───────────────────────────────────────────────────────────────────────────────────
def test_an_administrator_narrows_a_key_and_cannot_widen_it(world: World, tenant: str, clock: Clock) -> None:
    limit(world, tenant, requests=4, burst_s=1)
    agent = world.ids["small-agent"]
    made = world.ok("small-admin", "POST", f"/v1/principals/{agent}/credentials")
    world.keys["small-second"] = made["api_key"]
    path = f"/v1/principals/{agent}/credentials/{made['id']}/limits"
    said = world.ok("small-admin", "PUT", path, json={"requests": 1})
    assert said["declared"]["requests"] == 1
    assert said["limits"]["requests"] == 1
    assert put(world, who="small-second").status_code == 201, "known from now on"
    assert [put(world, who="small-second").status_code for _ in range(3)] == [201, 429, 429]
    assert [put(world).status_code for _ in range(4)] == [201, 201, 201, 429]
    clock.now += 1
    said = world.ok("small-admin", "PUT", path, json={"requests": 1000})
    assert said["limits"]["requests"] == 4
    assert world.ok("small-admin", "GET", path) == said
    put(world, who="small-second")
    clock.now += 1
    assert Counter(put(world, who="small-second").status_code for _ in range(20))[201] == 4
    refused = world.call("small-admin", "PUT", path, json={"stored_bytes": 1})
    assert (refused.status_code, refused.json()["field"]) == (422, "stored_bytes")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"requests": -1}, "requests"),
        ({"requests": 1.5}, "requests"),
        ({"requests": "many"}, "requests"),
        ({"bytes": 10**16}, "bytes"),
        ({"burst_s": 0}, "burst_s"),
        ({"burst_s": 61}, "burst_s"),
        ({"quests": 1}, "quests"),
        ([], "body"),
    ],
)
def test_bad_limits_change_nothing(world: World, tenant: str, body: object, field: str) -> None:
    before = world.ok("operator", "GET", f"/v1/tenants/{tenant}/limits")
    refused = world.call("operator", "PUT", f"/v1/tenants/{tenant}/limits", json=body)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert refused.json()["rule"]
    assert world.ok("operator", "GET", f"/v1/tenants/{tenant}/limits") == before


def test_the_change_is_in_both_logs(world: World, tenant: str) -> None:
    limit(world, tenant, requests=7)
    world.keys["small-auditor"] = world.keys["small-admin"]
    page = world.until("small-admin", "/v1/ledger/entries?kind=tenant.limits", lambda page: page["items"])
    assert page["items"][-1]["entry"]["data"] == {"requests": 7}
    mine = "/v1/ledger/entries?kind=tenant.limits"
    found = world.until("operator", mine, lambda page: str(tenant) in str(page["items"]))
    assert found["items"][-1]["entry"]["data"] == {"requests": 7, "tenant": tenant}


# ── who can see it ────────────────────────────────────────────────────────────────────────────────
def test_refusals_are_counted_without_a_tenant_and_named_to_the_operator(
    world: World, tenant: str, clock: Clock
) -> None:
    key = ("tenure_requests_refused_total", (("limit", "requests"),))
    before = scraped(world)[key]
    limit(world, tenant, requests=1, burst_s=1)
    assert Counter(put(world).status_code for _ in range(5)) == {201: 1, 429: 4}
    after = scraped(world)
    assert after[key] == before + 4
    assert tenant not in world.call(None, "GET", "/metrics").text
    assert after["tenure_processes", ()] == 1


def test_the_operator_sees_who_was_refused(world: World, tenant: str) -> None:
    limit(world, tenant, requests=1, burst_s=1)
    while put(world).status_code != 429:
        pass
    found = world.ok("operator", "GET", "/v1/limits/refusals")["items"]
    [one] = [one for one in found if one["tenant"] == tenant]
    assert (one["limit"], one["count"]) == ("requests", 1)
    assert world.call("small-admin", "GET", "/v1/limits/refusals").status_code == 403


# ── quotas ────────────────────────────────────────────────────────────────────────────────────────
def test_a_full_store_refuses_writes_and_nothing_else(world: World, tenant: str) -> None:
    limit(world, tenant, stored_versions=3)
    assert [put(world, f"k{n}").status_code for n in range(3)] == [201] * 3
    refused = put(world, "k3")
    problem = refused.json()
    assert refused.status_code == 507
    assert problem["type"] == "urn:tenure:problem:quota-exceeded"
    assert problem["limit"] == "stored_versions"
    assert "retry-after" not in refused.headers, "waiting does not help"
    assert world.ok("small-admin", "GET", "/v1/limits")["stored"]["versions"] == 3
    assert world.call("small-agent", "GET", record("k0")).status_code == 200
    assert world.call("small-agent", "DELETE", record("k1")).status_code == 200
    found = world.ok("small-dpo", "POST", "/v1/subjects:lookup", json={"ref": "customer:1"})
    shred = world.ok("small-dpo", "POST", f"/v1/subjects/{found['items'][0]['id']}:shred")["shred"]
    world.until("small-dpo", f"/v1/shreds/{shred}", lambda one: "certificate" in one)
    assert world.ok("small-admin", "GET", "/v1/limits")["stored"] == {"versions": 0, "bytes": 0}
    assert put(world, "k3").status_code == 201


def test_bytes_are_a_quota_too(world: World, tenant: str) -> None:
    assert put(world, "first").status_code == 201
    size = world.ok("small-admin", "GET", "/v1/limits")["stored"]["bytes"]
    assert size > 0
    limit(world, tenant, stored_bytes=size + 1000)
    big = {**BODY, "content": "x" * 2000}
    refused = world.call("small-agent", "PUT", record("big"), json=big)
    assert (refused.status_code, refused.json()["limit"]) == (507, "stored_bytes")
    assert put(world, "second").status_code == 201
    assert put(world, "first").status_code in (201, 507)


# ── fairness, and clients ─────────────────────────────────────────────────────────────────────────
def test_a_tenant_at_twenty_times_its_limit_does_not_hold_up_another(world: World, tenant: str) -> None:
    """While one hammers, the other is answered every time, and the first one's operations never pile up."""
    limit(world, tenant, requests=10, concurrent=4, burst_s=1)
    tenure = world.client.app.state.tenure
    waiting: list[int] = []

    async def both() -> tuple[Counter[int], list[int]]:
        transport = httpx.ASGITransport(world.client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cell") as client:

            async def ask(key: str) -> int:
                headers = {"Authorization": f"Bearer {key}", "Tenure-Purpose": "customer-support"}
                answer = await client.put(record("busy"), headers=headers, json=BODY)
                waiting.append(tenure.batcher.waiting)
                return answer.status_code

            hammering = [asyncio.create_task(ask(world.keys["small-agent"])) for _ in range(200)]
            calm = [await ask(world.keys["agent"]) for _ in range(20)]
            return Counter(await asyncio.gather(*hammering)), calm

    portal = world.client.blocking_portal
    hammered, calm = portal.call(both) if hasattr(portal, "call") else asyncio.run(both())
    assert calm == [201] * 20
    assert hammered[429] > 100
    assert set(hammered) == {201, 429}
    assert max(waiting) <= 4 + 1 + 3, "those, the calm one, and what the service does for itself"


def test_the_client_comes_back_when_it_was_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("tenure.client.http.asyncio.sleep", sleep)
    problem = {"type": "urn:tenure:problem:rate-limited", "detail": "x", "limit": "bytes", "retry_after": 7}

    def run(refusals: int, **more: int) -> object:
        asked: list[httpx.Request] = []

        def serve(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            if len(asked) <= refusals:
                media = {"Content-Type": "application/problem+json"}
                return httpx.Response(429, json={**problem, **more}, headers=media)
            return httpx.Response(200, json={"asked": len(asked)})

        async def call() -> object:
            async with Connection("k", "http://x", transport=httpx.MockTransport(serve)) as connection:
                return await connection.call("POST", "/v1/decisions", {"purpose": "p"})

        return asyncio.run(call())

    assert run(3) == {"asked": 4}
    assert len(slept) == 3
    assert all(seconds >= 7 for seconds in slept), "never before it was told to"
    assert len({round(seconds, 6) for seconds in slept}) == 3, "and not all at one moment"
    with pytest.raises(RateLimited) as gave_up:
        run(99)
    assert (gave_up.value.limit, gave_up.value.retry_after) == ("bytes", 7)
    slept.clear()
    with pytest.raises(RateLimited):
        run(99, retry_after=3600)
    assert slept == [], "an hour is not waited for"
