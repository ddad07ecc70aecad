"""Another tenant's ids, keys and references are answered as what does not exist, in every call.

The calls come from the OpenAPI document (`support.calls`), so a new one is tried without being named here.
For each place of each call: a caller of `bravo` sends what is `alpha`'s own, and then a name as well formed
that is nobody's. The two answers are the same, the database was asked the same, and nothing of `alpha` was
touched or named to it.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from litestar.testing import TestClient
from sqlalchemy import Engine, NullPool, create_engine, select

from support import calls
from support.calls import Call, Slot
from support.statements import Line, kinds, recording, tenants_named, unbound
from support.twins import CALLERS, UNLIMITED, Family, Twin, nobody
from tenure.bootstrap import Tenure
from tenure.http.app import create_app
from tenure.http.openapi import document
from tenure.ids import CELL
from tenure.settings import Settings
from tenure.store import tables

DOCUMENT = json.loads(document())
CALLS = {call.operation: call for call in calls.calls(DOCUMENT)}
_BY_METHOD = ("GET", "POST", "PATCH", "PUT", "DELETE")
ORDER = sorted(CALLS, key=lambda name: _BY_METHOD.index(CALLS[name].method))
"""First what only reads, so that it does not meet what the others made under the names that were sent."""
LAST = ("revokeCredential", "shredSubject", "rotateLedgerKey", "rotateRootKey", "shredTenant")
"""What takes away what others need."""
FIRST_ONLY = ("shredSubject",)
"""What changes something the first time only, so that only the next request meets a change."""
NOT_HERE = {
    "migrateRootKey": 409,  # there is no second root store
    "fetchPackage": 404,  # an officer gives its link; that is in test_http_packages
    "signEvidence": 422,  # not the newest head; that is in test_http_not_allowed
}

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_MADE = (
    (re.compile(r"tnr_[A-Za-z0-9_-]+"), "<key>"),
    (re.compile(r"\b[0-9a-f]{16}-\d+\b"), "<entry>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (_TIME, "<time>"),
)


class Scene(NamedTuple):
    family: Family
    lines: list[Line]
    nobody: Twin
    warm: Twin


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, laid: Callable[[Path], str]) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("twins")
    settings = Settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        shred_interval_s=80_000,
        rederive_interval_s=80_000,
        notice_interval_s=80_000,
        inspect_interval_s=0,
        cell_jobs=False,  # what happens by itself would be taken for what a request does
        tier_interval_s=0,
        lanes=1,
        **UNLIMITED,
    )
    operator = laid(folder)
    with recording() as lines:
        tenure = Tenure(settings)
        with TestClient(create_app(tenure), raise_server_exceptions=False) as client:
            family = Family(client, tenure, operator)
            for name in ("alpha", "bravo", "carol"):
                family.born(name)
            family.quiet()
            alpha = family.twins["alpha"]
            yield Scene(family, lines, nobody(alpha, "nobod"), nobody(alpha, "nemo1"))


# ── the two answers ───────────────────────────────────────────────────────────────────────────────
class Told(NamedTuple):
    """What a caller can tell of an answer, and what the database was asked for it."""

    status: int
    headers: dict[str, str]
    body: str
    asked: list[str]


def sent(scene: Scene, key: str, call: Call, names: dict[Slot, str]) -> tuple[httpx.Response, list[Line]]:
    method, path, more = call.request(names)
    before = len(scene.lines)
    answer = scene.family.call(key, method, path, **more)
    return answer, scene.lines[before:]


def told(scene: Scene, key: str, call: Call, names: dict[Slot, str]) -> tuple[Told, list[Line], str]:
    answer, lines = sent(scene, key, call, names)
    body = answer.text
    for slot, name in names.items():
        body = body.replace(name, f"<{slot.what}>")
    for made, mark in _MADE:
        body = made.sub(mark, body)
    headers = {
        name: value for name, value in answer.headers.items() if name not in ("content-length", "date")
    }
    if answer.is_success and scene.family.twins["bravo"].own["key"] in names.values():
        # Its own record has one version more with each write.
        body, etag = re.sub(r'"version":\d+', '"version":<n>', body), headers.pop("etag", None)
        headers |= {} if etag is None else {"etag": "<n>"}
    return Told(answer.status_code, headers, body, kinds(lines)), lines, answer.text


def rows_of(scene: Scene, tenant_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that the database holds of a tenant."""
    with looks(scene.family.tenure.settings.data_dir).connect() as connection:
        return {
            table.name: sorted(
                map(tuple, connection.execute(select(table).where(table.c.tenant_id == tenant_id))), key=repr
            )
            for table in tables.metadata.sorted_tables
        }


@cache
def looks(folder: Path) -> Engine:
    """One for all looks, which knows its statements; nothing is held open between them."""
    return create_engine(f"sqlite:///{folder / 'tenure.db'}", poolclass=NullPool)


def ways(call: Call) -> Iterator[tuple[Slot, ...]]:
    """Which slots are given a stranger's name: each alone, and all that must be filled together."""
    for slot in call.slots:
        yield (slot,)
    if len(call.needed()) > 1:
        yield call.needed()


@pytest.mark.parametrize("operation", [name for name in ORDER if not CALLS[name].slots])
def test_a_call_that_names_nothing_shows_nothing_of_another(scene: Scene, operation: str) -> None:
    call, alpha = CALLS[operation], scene.family.twins["alpha"]
    before = rows_of(scene, alpha.id)
    for caller in CALLERS:
        answer, lines = sent(scene, scene.family.twins["bravo"].keys[caller], call, {})
        assert answer.status_code < 500, (operation, caller)
        assert not [one for one in alpha.secrets() if one in answer.text], (operation, caller)
        assert alpha.id not in {one for line in lines for one in tenants_named(line.sql)}
    assert rows_of(scene, alpha.id) == before


@pytest.mark.parametrize("operation", [name for name in ORDER if CALLS[name].slots])
def test_what_is_anothers_is_answered_as_what_is_nobodys(scene: Scene, operation: str) -> None:
    call, family = CALLS[operation], scene.family
    alpha, bravo = family.twins["alpha"], family.twins["bravo"]
    before = rows_of(scene, alpha.id)
    for strange in ways(call):
        for caller in CALLERS:
            at_home = {slot: bravo.own[slot.what] for slot in call.needed() if slot not in strange}

            def ask(
                whose: Twin,
                key: str = bravo.keys[caller],
                strange: tuple[Slot, ...] = strange,
                at_home: dict[Slot, str] = at_home,
            ) -> tuple[Told, list[Line], str]:
                return told(scene, key, call, at_home | {slot: whose.own[slot.what] for slot in strange})

            ask(scene.warm)  # whatever only the first such request has to look up
            if operation in FIRST_ONLY:
                ask(scene.warm)  # and what is looked up again because that one changed it
            theirs, lines, text = ask(alpha)
            missing, _, _ = ask(scene.nobody)
            where = f"{operation} by bravo's {caller} with alpha's {[slot.what for slot in strange]}"
            assert theirs.status < 500, where
            assert theirs == missing, where
            assert not {one for line in lines for one in tenants_named(line.sql)} & {alpha.id}, where
            for slot in strange:
                text = text.replace(alpha.own[slot.what], "what was sent")
            assert not [one for one in alpha.secrets() if one in text], where
    assert rows_of(scene, alpha.id) == before


# ── cursors are names, too ────────────────────────────────────────────────────────────────────────
def takes_cursor(call: Call) -> bool:
    operation = DOCUMENT["paths"][call.path][call.method.lower()]
    in_query = any(one["name"] == "cursor" for one in operation.get("parameters", ()))
    return in_query or call.operation == "queryRecords"


def page(scene: Scene, who: Twin, caller: str, call: Call, **more: str | int) -> httpx.Response:
    method, path, rest = call.request({slot: who.own[slot.what] for slot in call.needed()})
    path = path.replace(who.own["scope"], "support.conversations")
    given = {"limit": 1, **more}
    if method == "POST":
        rest["json"] = {**rest["json"], **given}
    else:
        rest["params"] = {**rest["params"], **given}
    return scene.family.call(who.keys[caller], method, path, **rest)


@pytest.mark.parametrize("operation", [name for name in ORDER if takes_cursor(CALLS[name])])
def test_anothers_cursor_turns_no_page_of_the_others(scene: Scene, operation: str) -> None:
    call, alpha, bravo = CALLS[operation], scene.family.twins["alpha"], scene.family.twins["bravo"]
    for caller in CALLERS:
        first = page(scene, alpha, caller, call)
        if first.status_code != 200 or not (cursor := first.json().get("next")):
            continue
        before = len(scene.lines)
        answer = page(scene, bravo, caller, call, cursor=cursor)
        assert answer.status_code < 500
        assert not [one for one in alpha.secrets() if one in answer.text]
        assert alpha.id not in {one for line in scene.lines[before:] for one in tenants_named(line.sql)}


# ── the same requests succeed at home, or all of the above would be empty ─────────────────────────
def own_names(scene: Scene, call: Call) -> dict[Slot, str]:
    carol = scene.family.twins["carol"]
    fresh = {"tenant name": "new-of-carol", "issuer name": f"new-{call.variant or 'one'}"}
    if call.operation == "createPrincipal":
        fresh["principal name"] = "new-of-carol"
    fresh["audience"] = f"{carol.own['audience']}/{call.operation}"
    return {slot: fresh.get(slot.what, carol.own[slot.what]) for slot in call.needed()}


@pytest.mark.parametrize(
    "operation", sorted(ORDER, key=lambda name: (name in LAST and LAST.index(name)) or -1)
)
def test_at_home_the_call_is_let_in(scene: Scene, operation: str) -> None:
    call, carol = CALLS[operation], scene.family.twins["carol"]
    keys = [*(carol.keys[caller] for caller in CALLERS), scene.family.operator]
    answers = [sent(scene, key, call, own_names(scene, call))[0] for key in keys]
    expected = {NOT_HERE.get(operation, 2)}
    assert expected & {
        one for answer in answers for one in (answer.status_code, answer.status_code // 100)
    }, [answer.text for answer in answers]


def test_at_home_one_may_act_for_ones_own(scene: Scene) -> None:
    """Or `Tenure-On-Behalf-Of` would be refused whoever it names."""
    alpha, bravo = scene.family.twins["alpha"], scene.family.twins["bravo"]
    asked = {"json": {"entry": bravo.own["entry"]}}
    for whose, status in ((bravo, 200), (alpha, 422)):
        behalf = {"Tenure-On-Behalf-Of": whose.own["principal"]}
        key = bravo.keys["admin"]
        answer = scene.family.call(key, "POST", "/v1/policy:explain", headers=behalf, **asked)
        assert answer.status_code == status, answer.text


# ── every query carries its tenant ────────────────────────────────────────────────────────────────
def test_every_statement_so_far_was_bound_to_a_tenant(scene: Scene) -> None:
    """All that the tests above made this cell run: set-up, every call, logs, erasures."""
    family = scene.family
    family.publish(*(twin.id for twin in family.twins.values()))
    ran = {line.sql for line in scene.lines}
    loose = {(table, sql[:300]) for sql in ran for table in unbound(sql)}
    assert not loose
    named = {one for sql in ran for one in tenants_named(sql)}
    assert named >= {CELL, *(twin.id for twin in family.twins.values())}


@pytest.mark.parametrize(
    ("sql", "loose"),
    [
        ("SELECT id FROM versions WHERE id = '%s'", {"versions"}),
        ("SELECT id FROM versions WHERE tenant_id = '%s'", set()),
        ("SELECT id FROM versions WHERE tenant_id = '%s' OR state = 'live'", {"versions"}),
        ("SELECT id FROM versions WHERE NOT tenant_id = '%s'", {"versions"}),
        (
            "SELECT 1 FROM versions v JOIN records r ON r.id = v.record_id WHERE v.tenant_id = '%s'",
            {"records"},
        ),
        (
            "SELECT 1 FROM versions v JOIN records r ON r.tenant_id = v.tenant_id WHERE v.tenant_id = '%s'",
            set(),
        ),
        ("SELECT 1 FROM versions WHERE tenant_id = '%s' AND id IN (SELECT id FROM records)", {"records"}),
        ("UPDATE versions SET state = 'x'", {"versions"}),
        ("DELETE FROM versions WHERE tenant_id = '%s' AND id = 'x'", set()),
        ("INSERT INTO label_sets (scope, labels) VALUES ('a', 'b')", {"label_sets (insert)"}),
        (
            "INSERT INTO label_sets (tenant_id, scope, labels) VALUES (NULL, 'a', 'b')",
            {"label_sets (insert)"},
        ),
        ("INSERT INTO label_sets (tenant_id, scope, labels) VALUES ('%s', 'a', 'b')", set()),
        ("SELECT count(*) FROM versions", {"versions"}),
        ("PRAGMA wal_checkpoint(TRUNCATE)", set()),
    ],
)
def test_a_statement_without_its_tenant_would_be_seen(sql: str, loose: set[str]) -> None:
    assert unbound(sql.replace("%s", CELL)) == loose


@pytest.mark.parametrize(
    ("path", "operation", "word"),
    [
        ("/v1/widgets/{id}", {"parameters": [{"name": "id", "in": "path"}]}, "widgets/id"),
        ("/v1/widgets", {"parameters": [{"name": "owner", "in": "query", "required": False}]}, "owner"),
        (
            "/v1/widgets",
            {"requestBody": {"content": {"application/json": {"schema": {"properties": {"gadget": {}}}}}}},
            "gadget",
        ),
    ],
)
def test_a_new_word_is_asked_for(path: str, operation: dict[str, Any], word: str) -> None:
    """A call that nobody listed is tried, or the tests say what they do not know about it."""
    with pytest.raises(AssertionError, match=f"say in tests/support/calls.py what '{word}' names"):
        calls.calls({"paths": {path: {"post": {"operationId": "makeWidget", **operation}}}})
