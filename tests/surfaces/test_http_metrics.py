"""`GET /metrics`: what Prometheus scrapes. It counts what happened and names no tenant and nobody in one."""

from prometheus_client.parser import text_string_to_metric_families

from conftest import World
from support.lived import EMERGENCY
from tenure.inspection.findings import Finding


def scraped(world: World) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels, read as Prometheus reads them."""
    answer = world.call(None, "GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_it_counts_what_was_done(world: World) -> None:
    before = scraped(world)
    world.put("counted", 1)
    world.call("agent", "GET", "/v1/scopes/support.conversations/records/never-there")
    world.published("auditor")
    after = scraped(world)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    assert grown("tenure_operations_total", outcome="ok") >= 1
    assert grown("tenure_operations_total", outcome="not-found") == 1
    assert grown("tenure_entries_appended_total") >= 2
    assert grown("tenure_batch_size_count") >= 1
    assert after["tenure_database_up", ()] == 1
    assert after["tenure_entries_placed_total", ()] > 0
    assert after["tenure_checkpoints_published_total", ()] > 0


def test_nothing_waits_for_long(world: World) -> None:
    """What runs beside requests waits for transactions, too: at any one moment something may."""
    assert any(scraped(world)["tenure_operations_waiting", ()] == 0 for _ in range(200))


def test_buckets_add_up(world: World) -> None:
    world.put("one-more", 1)
    found = scraped(world)
    buckets = [value for (name, _), value in found.items() if name == "tenure_batch_size_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found["tenure_batch_size_count", ()]


def test_an_alarm_is_a_series_until_it_is_resolved(world: World) -> None:
    patrol = world.client.app.state.tenure.patrol
    finding = Finding("entry", "t", "entries", "w/1", "at", "is not what it must be")
    patrol._open["t", "entries"] = {finding}
    try:
        found = scraped(world)
    finally:
        patrol._open.clear()
    labels = (("check", "entry"), ("table", "entries"))
    assert found["tenure_inspection_findings", labels] == 1
    assert found["tenure_inspection_alarms", ()] == 1
    assert scraped(world)["tenure_inspection_alarms", ()] == 0


def test_what_is_stored_is_what_the_operator_is_told(world: World) -> None:
    world.put("stored", 1)
    world.ok("operator", "POST", "/v1/jobs/storage:run")
    found = scraped(world)
    told = world.ok("operator", "GET", "/v1/storage")["tiers"]
    assert {one["tier"] for one in told} == {"hot", "cold", "archive"}
    for one in told:
        assert found["tenure_stored_bytes", (("tier", one["tier"]),)] == one["bytes"]


def test_it_names_nobody(world: World) -> None:
    text = world.call(None, "GET", "/metrics").text
    for name in ("acme", "other", "customer", *world.ids.values()):
        assert name not in text


def test_notices_that_nobody_took_are_counted(world: World) -> None:
    assert scraped(world)["tenure_notices_dead", ()] == 0
    world.dead_notice()
    found = scraped(world)
    assert found["tenure_notices_dead", ()] == 1
    assert found["tenure_notices_waiting", ()] == 0
    assert ("tenure_notices_oldest_time_seconds", ()) not in found


def test_reviews_that_are_owed_are_counted(world: World) -> None:
    world.ok("admin", "POST", "/v1/manifests:apply", content=EMERGENCY)
    person = {"name": "second", "kind": "person", "roles": ["support-lead"]}
    world.keys["second"] = world.ok("admin", "POST", "/v1/principals", json=person)["api_key"]
    asked = {"role": "rescuer", "minutes": 5, "reason": "a fire"}
    elevation = world.ok("admin", "POST", "/v1/breakglass", json=asked)["id"]
    assert scraped(world)["tenure_breakglass_reviews_waiting", ()] == 0
    world.ok("second", "POST", f"/v1/breakglass/{elevation}:approve")
    found = scraped(world)
    assert found["tenure_breakglass_reviews_waiting", ()] == 1
    assert found["tenure_breakglass_reviews_overdue", ()] == 0
    world.ok("admin", "POST", f"/v1/breakglass/{elevation}:end")
    world.ok("second", "POST", f"/v1/breakglass/{elevation}:review", json={"outcome": "justified"})
    assert scraped(world)["tenure_breakglass_reviews_waiting", ()] == 0
