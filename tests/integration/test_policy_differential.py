"""Four opinions on the same questions: our engine with its caches, plain Casbin, the SQL that lists compile
to on a real database, and the rules of use written down naively. They never differ.

Each policy is asked about many records: everything in a list of each scope, which is one request for each
record there, and single requests of other actions, some of them with a field that is not what it should be.
"""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from support.cell import Cell
from support.policies import (
    ACTIONS,
    MODEL,
    TENANT,
    Plain,
    Question,
    Specs,
    World,
    a_world,
    askers,
    grants,
    naive,
    odd,
    some_grants,
)
from tenure import ids, resources
from tenure.access import Ask, Caller
from tenure.crew import Desk, Found
from tenure.listing import Query, split
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.model.principal import Credential, Principal, PrincipalKind
from tenure.model.rulebook import Rulebook
from tenure.policy.bundle import bundle, load_bundle
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Request
from tenure.store import records, tables
from tenure.store.database import Database
from tenure.store.records import Filter
from tenure.store.session import Epochs, Tx
from tenure.store.statements import Insert
from tenure.tenancy import Policy, Tenancy

LEAST = 20_000
POLICIES = {"sqlite": 110, "postgresql": 10}
FRESH_EACH = 20
"""One question in so many gets a plain enforcer that was never asked before."""


def configured(world: World, specs: Specs) -> Configuration:
    return Configuration.empty().with_manifests(parse_manifests([*world.manifests(), *grants(specs)]))


def engine_of(configuration: Configuration, tenant: str = TENANT) -> Engine:
    return Engine(
        configuration, tenant=tenant, model_text=MODEL, builtin_rules_text=resources.builtin_rules()
    )


def ours(engine: Engine, asked: Question) -> bool:
    return engine.decide(Request(engine.tenant, *asked[:5], ids.moment(asked.now))).allowed


# ── the records that lists are of ─────────────────────────────────────────────────────────────────
_LABELS = Insert(tables.label_sets)


def keep_records(tx: Tx, worlds: list[World]) -> None:
    """One record for each label set in each scope. Nothing opens them: only clear columns are asked about."""
    for world in worlds:
        for scope in world.scopes:
            for labels in world.labels:
                record, joined = ids.new_id(), ",".join(labels)
                facts = {"scope": scope, "labels": joined, "state": "live"}
                tx.put(_LABELS, {"scope": scope, "labels": joined})
                tx.put(
                    records.INSERT_RECORD,
                    {**facts, "id": record, "key_index": record, "latest": 1, "updated_at": 1},
                )
                tx.put(
                    records.INSERT_VERSION,
                    {
                        **facts,
                        "record_id": record,
                        "version": 1,
                        "id": ids.new_id(),
                        "created_at": 1,
                        "principal_id": ids.new_id(),
                        "entry": f"{'0' * 16}-0",
                    },
                )


def listed(tx: Tx, policy: Policy, asked: Question, wanted: Query) -> tuple[set[tuple[str, ...]], int]:
    """The label sets of the records that a list fetches, and how many it counts as withheld."""
    tenancy = Tenancy(tx.tenant_id, Epochs(1, 1, 1), policy, keys=None)  # type: ignore[arg-type]
    principal = Principal(tx.tenant_id, ids.new_id(), "somebody", PrincipalKind.AGENT, asked.roles)
    ask = Ask(Credential(tx.tenant_id, "0"), asked.purpose)
    caller = Caller(Desk(tx, tenancy, Found(), asked.now), ask, principal)
    shown, hidden = split(caller, asked.scope, wanted)
    assert caller.sees_any("list", asked.scope) == bool(caller.visible("list", asked.scope))
    assert caller.sees_any("list", asked.scope) or not shown
    found = records.page(tx, Filter(asked.scope), shown, now=1, after=None, limit=1000) if shown else []
    assert len(found) == len({row.labels for row in found}), "a record is listed once"
    return {tuple(row.labels.split(",")) for row in found}, records.count(
        tx, Filter(asked.scope), hidden, now=1
    )


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────
def lists(pick: random.Random, world: World) -> Iterator[Question]:
    """Lists, each a request about every record of a scope: `categories` are left open."""
    for roles, purpose, now in askers(pick, world, 2):
        for scope in world.scopes:
            yield Question(roles, scope, (), purpose, "list", now)


def singles(pick: random.Random, world: World) -> Iterator[Question]:
    """Requests of every action, a few of them odd."""
    for roles, purpose, now in askers(pick, world, 12):
        categories = pick.choice(world.labels)
        asked = Question(roles, pick.choice(world.scopes), categories, purpose, pick.choice(ACTIONS), now)
        yield odd(pick, asked) if pick.random() < 0.15 else asked


@pytest.mark.timeout(900)  # less than a minute of computing; a machine may be busy
def test_engine_casbin_sql_and_the_rules_of_use_agree(
    place: Cell, database_kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pick = random.Random(5)
    worlds = [a_world(pick, letter) for letter in "abc"]
    database = Database(place.settings.database)
    database.write(place.one.id, lambda tx: keep_records(tx, worlds))
    counted: Counter[str] = Counter()
    with database.reading(place.one.id) as tx:
        for number in range(POLICIES[database_kind]):
            world = worlds[number % len(worlds)]
            compare(pick, tx, world, some_grants(pick, world), counted)
    database.close()
    with capsys.disabled():
        told = ", ".join(f"{count:,} {what}" for what, count in counted.items())
        print(f"\n{database_kind}: {told}")  # noqa: T201 - how much was compared is half of the result
    least = LEAST if database_kind == "sqlite" else LEAST // 12
    assert counted["requests"] >= least
    assert counted["by the SQL of lists"] >= least * 3 // 4
    assert counted["by a plain enforcer of their own"] >= least // 20
    assert counted["allowed"] > counted["requests"] // 10, "a comparison of denials alone says little"


def compare(pick: random.Random, tx: Tx, world: World, specs: Specs, counted: Counter[str]) -> None:
    """One policy, all four opinions."""
    configuration = configured(world, specs)
    packed = bundle(configuration, MODEL, resources.builtin_rules())
    engine = engine_of(configuration)
    # Lists are asked of an engine of their own, so that neither answers from what the other cached.
    stored = load_bundle(packed.data, packed.digest).engine(tx.tenant_id)
    policy = Policy(configuration, stored, packed.digest, packed.data, Rulebook(configuration))
    plain = Plain(world, specs)
    asked: list[Question] = []
    for question in lists(pick, world):
        enforcer = plain.enforcer(question.roles)
        expected = set()
        for labels in world.labels:
            each = question._replace(categories=labels)
            asked.append(each)
            fresh = len(asked) % FRESH_EACH == 0
            alone = plain.enforcer(question.roles) if fresh else enforcer
            counted["by a plain enforcer of their own"] += fresh
            if agreed(world, specs, engine, plain, alone, each, counted):
                expected.add(labels)
        fetched, withheld = listed(tx, policy, question, Query())
        assert (fetched, withheld) == (expected, len(world.labels) - len(expected)), (question, specs)
        counted["by the SQL of lists"] += len(world.labels)
        fetched, _ = listed(tx, policy, question, Query(include_content=True))
        assert fetched == {
            labels
            for labels in expected
            if naive(world, specs, question._replace(categories=labels, action="read"))
        }
    for each in singles(pick, world):
        asked.append(each)
        agreed(world, specs, engine, plain, plain.enforcer(each.roles), each, counted)
        counted["by a plain enforcer of their own"] += 1
    # Again, from the cache, in another order, and by the engine of the bundle as it is stored.
    answers = {each: ours(engine, each) for each in asked}
    pick.shuffle(asked)
    assert [ours(engine, each) for each in asked] == [answers[each] for each in asked]
    assert engine._verdict.cache_info().hits >= len(set(asked)) // 2
    reloaded = load_bundle(packed.data).engine(TENANT)
    assert [ours(reloaded, each) for each in asked[:40]] == [answers[each] for each in asked[:40]]
    counted["policies"] += 1


def agreed(
    world: World,
    specs: Specs,
    engine: Engine,
    plain: Plain,
    enforcer: object,
    asked: Question,
    counted: Counter[str],
) -> bool:
    """What engine, plain Casbin and the rules say; fails where they differ."""
    opinions = {
        "engine": ours(engine, asked),
        "casbin": plain.allows(enforcer, asked),
        "rules": naive(world, specs, asked),
    }
    assert len(set(opinions.values())) == 1, (opinions, asked, specs)
    counted["requests"] += 1
    counted["allowed"] += opinions["rules"]
    return opinions["rules"]
