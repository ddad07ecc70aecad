"""A bucket's own rules move and delete packs, on a real S3 server; others' rules are there afterwards.

A day of the server is `DAY_S` seconds.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from support.cell import Cell, Tenant
from support.rgw import DAY_S, Bucket, S3Server, started
from tenure.bootstrap import Tenure, planned
from tenure.cold.bucketrules import BucketRules
from tenure.cold.classes import RetentionClass
from tenure.cold.lifecycle import Configuration, Place, drifted, merge, rules_for, words
from tenure.cold.storage import StorageClasses
from tenure.errors import Conflict, Denied, Invalid, Unavailable
from tenure.governance.packclasses import declared_classes

pytestmark = pytest.mark.anyio
s3 = pytest.mark.s3

PREFIX = "cell/objects/"
THEIRS: list[dict[str, Any]] = [
    {
        "ID": "two-tags",
        "Status": "Enabled",
        "Filter": {
            "And": {
                "Prefix": "theirs/",
                "Tags": [{"Key": "keep", "Value": "no"}, {"Key": "team", "Value": "a&b"}],
            }
        },
        "Transitions": [{"Days": 2, "StorageClass": "GLACIER"}],
    },
    {"ID": "older", "Status": "Enabled", "Prefix": "theirs/old/", "Expiration": {"Days": 2}},
    {"Status": "Disabled", "Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 1}},
]
PATIENCE_S = 200.0


def retention(name: str, **spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "tenure/v1",
            "kind": "Retention",
            "metadata": {"name": name},
            "spec": {"scopes": ["support.**"], "categories": "*", **spec},
        }
    )


async def declare(tenure: Tenure, tenant: Tenant, name: str, **spec: Any) -> None:
    await tenure.manifests.apply(tenant["admin"], retention(name, **spec), dry_run=False)


@pytest.fixture(scope="module")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server | str]:
    """One whose rules nobody else has used."""
    yield from started(tmp_path_factory.mktemp("s3"))


@pytest.fixture
def on_s3(embedded: Cell, bucket: Bucket) -> Iterator[Cell]:
    """A prepared cell whose objects go to the bucket. The server is others' too: the rules go at the end."""
    places = {"objects_url": bucket.url(PREFIX), "s3_endpoint": bucket.server.endpoint}
    classes = {"cold_class": "COLD", "archive_class": "FROZEN"}
    embedded.settings = embedded.settings.model_copy(update=places | classes)
    yield embedded
    bucket.client.delete_bucket_lifecycle(Bucket=bucket.name)


def rules_of(bucket: Bucket) -> BucketRules:
    return BucketRules(bucket.name, bucket.server.endpoint)


def theirs_now(bucket: Bucket) -> dict[str, str]:
    """Rule by rule, the bytes that the server answers of those that are not ours; asked by another client."""
    answers: list[bytes] = []
    events = bucket.client.meta.events
    event, keep = "before-parse.s3.GetBucketLifecycleConfiguration", "keep"
    events.register(event, lambda response_dict, **_: answers.append(response_dict["body"]), unique_id=keep)
    bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)
    events.unregister(event, unique_id=keep)
    found = re.findall(r"<Rule>.*?</Rule>", answers[-1].decode(), re.DOTALL)
    named = {re.findall("<ID>(.*?)</ID>", one)[0]: one for one in found}
    return {name: one for name, one in named.items() if not name.startswith("tenure-")}


def put_theirs(bucket: Bucket) -> dict[str, str]:
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": THEIRS}
    )
    return theirs_now(bucket)


def where(bucket: Bucket) -> dict[str, str]:
    """Object → storage class."""
    found = bucket.client.list_objects_v2(Bucket=bucket.name)
    return {one["Key"]: one.get("StorageClass", "STANDARD") for one in found.get("Contents", ())}


def acts(cell: Cell) -> list[dict[str, Any]]:
    """What the cell's log says of its bucket's rules, oldest first."""
    bodies = [json.loads(bytes(row[0])) for row in cell.rows("SELECT body FROM entries")]
    return sorted((one for one in bodies if one["kind"] == "lifecycle.change"), key=lambda one: one["at"])


# ── the rules at work ────────────────────────────────────────────────────────────────────────────────
@s3
async def test_packs_move_and_go_each_on_its_day_by_the_buckets_own_rules(
    on_s3: Cell, bucket: Bucket
) -> None:
    before = put_theirs(bucket)
    async with on_s3.opened() as tenure:
        await declare(tenure, on_s3.one, "archived", coldFor="2d", archiveFor="90d")
        await declare(tenure, on_s3.one, "stages", coldFor="3d", archiveFor="5d", deleteAfter="8d")
        await declare(tenure, on_s3.two, "short", hotFor="1d", deleteAfter="5d")
        done = await tenure.lifecycle.apply(on_s3.operator)
    assert (done["applied"], done["confirmed"], done["classes"]) == (True, True, ["a2", "a3-x11", "x7"])

    begun = time.monotonic()
    tagged = {
        f"{PREFIX}packs/t/stages": "tenure-class=a3-x11",
        f"{PREFIX}packs/t/archived": "tenure-class=a2&tenure-tenant=t",
        f"{PREFIX}packs/t/short": "tenure-class=x7",
        f"{PREFIX}packs/t/untagged": "",
        f"{PREFIX}packs/t/strange": "tenure-class=x1",  # a class that nobody declares has no rule
        f"{PREFIX}ledger/t/1/checkpoint": "tenure-class=x7",  # the tag alone is not enough
        "theirs/old/one": "",
        "theirs/one": "keep=no&team=a%26b",
        "theirs/half": "keep=no",
    }
    for name, tags in tagged.items():
        bucket.client.put_object(Bucket=bucket.name, Key=name, Body=name.encode(), Tagging=tags)
    seen: dict[str, dict[str, float]] = {name: {} for name in tagged}
    at_the_end = {
        f"{PREFIX}packs/t/archived": "FROZEN",
        f"{PREFIX}packs/t/untagged": "STANDARD",
        f"{PREFIX}packs/t/strange": "STANDARD",
        f"{PREFIX}ledger/t/1/checkpoint": "STANDARD",
        "theirs/one": "GLACIER",
        "theirs/half": "STANDARD",
    }

    def settled() -> bool:
        now, at = where(bucket), time.monotonic() - begun
        for name in tagged:
            seen[name].setdefault(now.get(name, "gone"), at)
        return {name: one for name, one in now.items() if name in tagged} == at_the_end

    await until(settled)
    days = {
        "stages": {"STANDARD": 0, "COLD": 1, "FROZEN": 3, "gone": 8},
        "archived": {"STANDARD": 0, "COLD": 1, "FROZEN": 2},
        "short": {"STANDARD": 0, "COLD": 1, "gone": 4},
    }
    for name, states in days.items():
        found = seen[f"{PREFIX}packs/t/{name}"]
        assert set(found) <= set(states), name
        assert list(found) == [state for state in states if state in found], name
        # Not before its day; the server counts whole seconds.
        assert all(at >= states[state] * DAY_S - 1 for state, at in found.items()), (name, found)
    assert bucket.get(f"{PREFIX}packs/t/archived") == f"{PREFIX}packs/t/archived".encode()
    assert theirs_now(bucket) == before


@s3
async def test_in_a_bucket_with_versions_what_is_over_is_gone_too(on_s3: Cell, bucket: Bucket) -> None:
    client, name = bucket.client, f"{PREFIX}packs/t/p"
    client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    async with on_s3.opened() as tenure:
        await declare(tenure, on_s3.one, "short", deleteAfter="1d")
        await tenure.lifecycle.apply(on_s3.operator)
    client.put_object(Bucket=bucket.name, Key=name, Body=b"x", Tagging="tenure-class=x4")
    client.put_object(Bucket=bucket.name, Key="theirs/p", Body=b"x")
    client.delete_object(Bucket=bucket.name, Key="theirs/p")
    for key in (name, "theirs/upload"):
        client.create_multipart_upload(Bucket=bucket.name, Key=key)

    def settled() -> bool:
        kept = client.list_object_versions(Bucket=bucket.name)
        keys = {one["Key"] for what in ("Versions", "DeleteMarkers") for one in kept.get(what, ())}
        uploads = {one["Key"] for one in client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", ())}
        return not any(key.startswith(f"{PREFIX}packs/") for key in keys | uploads)

    await until(settled)
    kept = client.list_object_versions(Bucket=bucket.name)
    assert [one["Key"] for one in kept["Versions"] if not one["Key"].startswith(PREFIX)] == ["theirs/p"]
    assert [one["Key"] for one in client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]] == [
        "theirs/upload"
    ]


async def until(settled: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(settled):
        assert time.monotonic() < end
        await asyncio.sleep(0.3)


# ── plan, apply, drift ───────────────────────────────────────────────────────────────────────────────
@s3
async def test_a_plan_changes_nothing_an_apply_does_it_once_and_drift_is_mended(
    on_s3: Cell, bucket: Bucket
) -> None:
    before = put_theirs(bucket)
    async with on_s3.opened() as tenure:
        await declare(tenure, on_s3.one, "all", coldFor="30d", archiveFor="60d", deleteAfter="90d")
        plan = await tenure.lifecycle.plan(on_s3.operator)
        assert plan["drift"]
        assert (plan["bucket"], plan["prefix"]) == (bucket.name, f"{PREFIX}packs/")
        kinds = {one["id"]: one["change"] for one in plan["rules"]}
        assert sorted(kinds.values()) == ["added", "added", "foreign", "foreign", "foreign"]
        assert rules_of(bucket).read().digest == plan["seen"]
        assert acts(on_s3) == []

        done = await tenure.lifecycle.apply(on_s3.operator, plan["seen"])
        assert (done["applied"], done["confirmed"]) == (True, True)
        assert done["rules"] == plan["rules"]
        begun, applied = acts(on_s3)
        assert (begun["outcome"], applied["outcome"]) == ("begun", "applied")
        digest = begun["data"]["rules"]
        assert re.fullmatch("[0-9a-f]{64}", digest)
        assert begun["data"] == applied["data"] == {
            "rules": digest, "added": 2, "changed": 0, "removed": 0, "foreign": 3
        }  # fmt: skip
        assert theirs_now(bucket) == before
        again = await tenure.lifecycle.apply(on_s3.operator)
        assert (again["drift"], again["applied"], len(acts(on_s3))) == (False, False, 2)

        now = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
        mine = next(one for one in now if one["ID"].endswith("-a30-x99"))
        mine["Status"] = "Disabled"
        left = [one for one in now if not one["ID"].endswith("-leftovers") and one["ID"] != "two-tags"]
        bucket.client.put_bucket_lifecycle_configuration(
            Bucket=bucket.name, LifecycleConfiguration={"Rules": left}
        )
        plan = await tenure.lifecycle.plan(on_s3.operator)
        assert plan["drift"]
        assert sorted(one["change"] for one in plan["rules"]) == ["added", "changed", "foreign", "foreign"]
        await tenure.lifecycle.apply(on_s3.operator, plan["seen"])
        assert not (await tenure.lifecycle.plan(on_s3.operator))["drift"]
        assert theirs_now(bucket) == {name: one for name, one in before.items() if name != "two-tags"}


@s3
async def test_drift_is_repaired_by_the_service_itself(on_s3: Cell, bucket: Bucket) -> None:
    before = put_theirs(bucket)
    async with on_s3.opened(lifecycle_interval_s=3600) as tenure:
        assert "lifecycle" in planned(tenure.settings)
        assert await tenure.lifecycle.reconcile() == {"drift": 1, "applied": 1}
        await declare(tenure, on_s3.one, "all", deleteAfter="90d")
        assert await tenure.lifecycle.reconcile() == {"drift": 1, "applied": 1}
        assert await tenure.lifecycle.reconcile() == {"drift": 0, "applied": 0}
        rules = rules_of(bucket)
        rules.write(Configuration(tuple(one for one in rules.read().rules if "x99" not in one["ID"])))
        assert (await tenure.lifecycle.plan(on_s3.operator))["drift"]
        await tenure.lifecycle.reconcile()
        assert not (await tenure.lifecycle.plan(on_s3.operator))["drift"]
    assert theirs_now(bucket) == before
    said = acts(on_s3)
    assert [one["outcome"] for one in said] == ["begun", "applied"] * 3
    assert {one.get("principal") for one in said} == {None}, "nobody asked for it"
    assert "lifecycle" not in planned(on_s3.settings), "by itself only where that was asked for"


@s3
async def test_what_is_no_longer_declared_loses_its_rule(on_s3: Cell, bucket: Bucket) -> None:
    async with on_s3.opened() as tenure:
        await declare(tenure, on_s3.one, "all", deleteAfter="90d")
        await tenure.lifecycle.apply(on_s3.operator)
        await declare(tenure, on_s3.one, "all", deleteAfter="91d")
        done = await tenure.lifecycle.apply(on_s3.operator)
        assert {one["id"].rpartition("-")[2]: one["change"] for one in done["rules"]} == {
            "x99": "removed", "x100": "added", "leftovers": "unchanged"
        }  # fmt: skip
        assert {one["ID"].rpartition("-")[2] for one in rules_of(bucket).read().rules} == {
            "x100",
            "leftovers",
        }


@s3
@pytest.mark.parametrize("when", ["before", "amid"])
async def test_who_was_there_meanwhile_is_not_overwritten(
    on_s3: Cell, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    async with on_s3.opened() as tenure:
        plan = await tenure.lifecycle.plan(on_s3.operator)
        if when == "before":
            before = put_theirs(bucket)
        else:
            real, calls = BucketRules.read, []

            def read(self: BucketRules) -> Configuration:
                calls.append(real(self))
                if len(calls) == 1:
                    put_theirs(bucket)
                return calls[-1]

            monkeypatch.setattr(BucketRules, "read", read)
        with pytest.raises(Conflict) as refused:
            await tenure.lifecycle.apply(on_s3.operator, plan["seen"])
        assert refused.value.field == "seen"
        assert refused.value.remedy
        if when == "before":
            assert theirs_now(bucket) == before
        assert len(rules_of(bucket).read().rules) == len(THEIRS), "and none of ours"
        assert [one["outcome"] for one in acts(on_s3)] == ([] if when == "before" else ["begun", "failed"])


@s3
async def test_a_rule_of_others_that_reaches_the_cells_objects_is_named(on_s3: Cell, bucket: Bucket) -> None:
    everything = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": "cell/"},
        "Expiration": {"Days": 900},
    }
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.name, LifecycleConfiguration={"Rules": [everything]}
    )
    async with on_s3.opened() as tenure:
        notes = (await tenure.lifecycle.plan(on_s3.operator))["notes"]
    assert ["tidy" in note and PREFIX in note for note in notes] == [True]


@s3
async def test_nobody_but_the_operator_sees_or_changes_rules(on_s3: Cell, bucket: Bucket) -> None:
    async with on_s3.opened() as tenure:
        for who in ("admin", "dpo", "auditor", "agent"):
            for verb in (tenure.lifecycle.plan, tenure.lifecycle.apply):
                with pytest.raises(Denied):
                    await verb(on_s3.one[who])
    assert rules_of(bucket).read() == Configuration()


# ── what a bucket may answer ─────────────────────────────────────────────────────────────────────────
@s3
@pytest.mark.parametrize("permission", ["s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"])
async def test_a_missing_permission_is_named_and_nothing_else_stops(
    on_s3: Cell, bucket: Bucket, permission: str
) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": permission,
        "Resource": f"arn:aws:s3:::{bucket.name}",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    async with on_s3.opened() as tenure:
        with pytest.raises(Unavailable) as refused:
            await tenure.lifecycle.apply(on_s3.operator)
        assert permission in str(refused.value.remedy)
        await on_s3.put("k", 1, "customer:1")
        assert await on_s3.value("k") == 1
    bucket.client.delete_bucket_policy(Bucket=bucket.name)
    assert rules_of(bucket).read() == Configuration()
    put = permission.startswith("s3:Put")
    assert [one["outcome"] for one in acts(on_s3)] == (["begun", "failed"] if put else [])


@s3
def test_no_bucket_and_no_server_say_so(bucket: Bucket) -> None:
    with pytest.raises(Unavailable, match="no such bucket"):
        BucketRules("there-is-none", bucket.server.endpoint).read()
    with pytest.raises(Unavailable, match="cannot be reached"):
        BucketRules(bucket.name, "http://127.0.0.1:9").read()


@s3
def test_a_refused_rule_says_what_to_compare(bucket: Bucket) -> None:
    both = {"Days": 1, "Date": "2031-01-01T00:00:00Z"}
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": both}
    with pytest.raises(Conflict) as refused:
        rules_of(bucket).write(Configuration((rule,)))
    assert "TENURE_COLD_CLASS" in str(refused.value.remedy)


def answering(rules: BucketRules, change: Callable[[dict[str, Any]], None]) -> None:
    """Have the server's answers changed on their way: what newer servers say that this one does not."""

    def changed(response_dict: dict[str, Any], **_: Any) -> None:
        change(response_dict)

    rules._client.meta.events.register_first(
        "before-parse.s3.GetBucketLifecycleConfiguration", changed, unique_id="changed"
    )


@s3
@pytest.mark.parametrize(
    ("part", "named"),
    [
        (b"<Novelty><Days>1</Days></Novelty></Rule>", "Novelty"),
        (b"<Expiration><Days>3</Days></Expiration><Expiration/></Rule>", "several Expiration"),
        (
            b"<NoncurrentVersionExpiration><Novelty>9</Novelty></NoncurrentVersionExpiration></Rule>",
            "Novelty",
        ),
    ],
)
def test_parts_that_the_sdk_would_lose_are_refused(bucket: Bucket, part: bytes, named: str) -> None:
    put_theirs(bucket)
    rules = rules_of(bucket)

    def change(answer: dict[str, Any]) -> None:
        answer["body"] = answer["body"].replace(b"</Rule>", part, 1)

    answering(rules, change)
    with pytest.raises(Conflict) as refused:
        rules.read()
    assert named in refused.value.detail
    assert "boto3" in str(refused.value.remedy)


@s3
def test_the_smallest_object_that_is_moved_stays_what_it_was(bucket: Bucket) -> None:
    put_theirs(bucket)
    rules, sent = rules_of(bucket), []

    def change(answer: dict[str, Any]) -> None:
        answer["headers"]["x-amz-transition-default-minimum-object-size"] = "varies_by_storage_class"

    answering(rules, change)
    rules._client.meta.events.register(
        "before-call.s3.PutBucketLifecycleConfiguration", lambda params, **_: sent.append(params["headers"])
    )
    place = Place(PREFIX)
    rules.write(merge(rules.read(), place, rules_for(place, [], StorageClasses())))
    assert sent[0]["x-amz-transition-default-minimum-object-size"] == "varies_by_storage_class"


@s3
@pytest.mark.parametrize(
    "storage", [StorageClasses("STANDARD_IA", "GLACIER"), StorageClasses("COLD", "FROZEN")]
)
def test_what_is_put_comes_back_without_drift(bucket: Bucket, storage: StorageClasses) -> None:
    place = Place("")
    classes = [RetentionClass(), RetentionClass(90), RetentionClass(None, 365), RetentionClass(90, 365)]
    wanted = rules_for(place, classes, storage)
    rules = rules_of(bucket)
    rules.write(merge(Configuration(), place, wanted))
    have = rules.read()
    assert not drifted(have, place, wanted)
    assert sorted(map(words, have.rules)) == sorted(map(words, wanted))
    assert merge(have, place, wanted) == have


# ── what the tenants ask for ─────────────────────────────────────────────────────────────────────────
async def test_classes_are_those_of_every_tenants_manifests(cell: Cell) -> None:
    read = asyncio.to_thread
    assert await read(declared_classes, cell.tenure._database) == frozenset()
    await declare(
        cell.tenure, cell.one, "a", hotFor="30d", coldFor="60d", archiveFor="60d", deleteAfter="400d"
    )
    await declare(cell.tenure, cell.one, "b", deleteAfter="7d")
    await declare(cell.tenure, cell.two, "same", deleteAfter="7d")
    await declare(cell.tenure, cell.two, "other", deleteAfter="8d", clock="access")
    found = await read(declared_classes, cell.tenure._database)
    assert {one.name for one in found} == {"a60-x379", "x10", "keep"}


async def test_a_folder_needs_no_rules(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        await declare(tenure, embedded.one, "a", deleteAfter="7d")
        plan = await tenure.lifecycle.plan(embedded.operator)
        assert (plan["place"], plan["drift"], plan["rules"]) == ("folder", False, [])
        assert "needs no rules" in plan["notes"][0]
        done = await tenure.lifecycle.apply(embedded.operator)
        assert not done["applied"]
    assert acts(embedded) == []


async def test_a_storage_class_that_cannot_be_keeps_the_cell_closed(embedded: Cell) -> None:
    opened: Callable[[], Awaitable[Any]] = embedded.opened(cold_class="GLACIER").__aenter__
    with pytest.raises(Invalid) as refused:
        await opened()
    assert refused.value.field == "TENURE_COLD_CLASS"
