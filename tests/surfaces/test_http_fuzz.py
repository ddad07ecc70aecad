"""Generated requests to a running server, by callers of every kind: nothing fails inside, nothing answers
otherwise than the document says.

Every other request is led inside: wherever it has a place for a name, it is given one that exists
(`support.calls`), so that it meets more than "not found". What erases is pointed at things of its own. The
seed is fixed; one that fails is printed as a command to repeat it.
"""

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from litestar.testing import TestClient
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support import calls
from support.calls import Call
from support.serving import served
from support.twins import PURPOSE, SCOPE, UNLIMITED, Family, Twin
from tenure.bootstrap import Tenure
from tenure.http.app import create_app
from tenure.http.openapi import document
from tenure.settings import Settings

ROLES = ("agent", "admin", "dpo", "auditor", "operator")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LEFT_OUT = {
    positive.__name__: why
    for positive, why in {
        negative_data_rejection: "403 and 404 come before a body is looked at, and a lax header is no fault",
    }.items()
} | {
    "positive_data_acceptance": "what fits may still name nothing, or break a rule that no schema says",
    "ignored_auth": "test_http_not_allowed has every call without a credential, a wrong and a revoked one",
    "missing_required_header": "test_http_bad_input has it",
    "unsupported_method": "test_http_problems has it",
    "allow_header_conformance": "the same",
    "object_level_authorization": "test_isolation_http has it, for every name in every place",
    "use_after_free": "for chains of calls; here each request stands alone",
    "ensure_resource_availability": "for chains of calls; here each request stands alone",
}
"""Checks of schemathesis that are not run, and why."""


def strict() -> dict[str, Any]:
    """The document without its `default` answers, which would make every status a documented one."""
    given: dict[str, Any] = copy.deepcopy(json.loads(document()))
    for item in given["paths"].values():
        for operation in item.values():
            operation["responses"].pop("default", None)
    return given


DOCUMENT = strict()
CALLS = {call.operation: call for call in calls.calls(DOCUMENT) if not call.variant}
schema, corners = schemathesis.openapi.from_dict(DOCUMENT), schemathesis.openapi.from_dict(DOCUMENT)
for one in (schema, corners):
    one.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
schema.config.phases.coverage.enabled = False
corners.config.phases.coverage.unexpected_methods = set()
BY_NOUN = {
    "rootstore": "operator",
    "jobs": "operator",
    "lifecycle": "operator",
    "tenants": "operator",
    "ledger": "auditor",
    "evidence": "auditor",
    "policies": "auditor",
    "subjects": "dpo",
    "shreds": "dpo",
    "rederivations": "dpo",
    "certificates": "dpo",
    "notices": "dpo",
    "requests": "dpo",
    "register": "dpo",
    "breakglass": "dpo",
    "limits": "operator",
    "holds": "dpo",
    "events": "agent",
    "retrievals": "agent",
    "record": "agent",
    "threads": "agent",
    "decision": "agent",
}
"""Who gets past policy, by a part of the path; the administrator elsewhere."""


class Running(NamedTuple):
    """A served cell."""

    url: str
    twin: Twin
    keys: dict[str, str]
    sent: Counter[tuple[str, str]]
    corners: Counter[str]
    welcome: dict[str, set[str]]
    """Operation → who got a 2xx."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, laid: Callable[[Path], str]) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("fuzzed")
    places = Settings(
        data_dir=folder / "data", root_dir=folder / "root", shred_interval_s=80_000, **UNLIMITED
    )
    operator = laid(folder)
    with TestClient(create_app(tenure := Tenure(places)), raise_server_exceptions=False) as client:
        family = Family(client, tenure, operator)
        twin = family.born("alpha")
        leaving = family.ok(operator, "POST", "/v1/tenants", json={"name": "leaving"})["id"]
        body = {"content": 1, "subjects": ["customer:doomed"], "categories": ["contact"]}
        family.ok(twin.keys["agent"], "PUT", f"/v1/scopes/{SCOPE}/records/doomed", json=body)
        found = family.ok(twin.keys["dpo"], "POST", "/v1/subjects:lookup", json={"ref": "customer:doomed"})
        doomed = found["items"][0]["id"]
    twin.own |= {"leaving": leaving, "doomed": doomed, "doomed key": "doomed"}
    settings_ = {"data_dir": places.data_dir, "root_dir": places.root_dir, "database_url": ""}
    with served({**settings_, **UNLIMITED, "shred_interval_s": 1}, folder / "log") as (_, http):
        yield Running(str(http.base_url), twin, {**twin.keys, "operator": operator}, Counter(), Counter(), {})


APART = {
    ("shredTenant", "tenant"): "leaving",
    ("shredSubject", "subject"): "doomed",
    ("deleteRecord", "key"): "doomed key",
}
"""What is erased is nothing that others need."""


def lead_inside(running: Running, case: schemathesis.Case, call: Call, n: int) -> None:
    own = {**running.twin.own, "principal name": f"new-{n}", "issuer name": f"new-{n}"}
    own["audience"] = f"{own['audience']}/{n}"

    def name(what: str) -> str:
        return own[APART.get((call.operation, what), what)]

    for slot in call.slots:
        word = slot.at[0]
        if slot.where == "path":
            case.path_parameters[word] = SCOPE if word == "scope" else name(slot.what)
        elif slot.where == "query" and word in case.query:
            case.query[word] = name(slot.what)
        elif slot.where == "header" and word in case.headers:
            case.headers[word] = name(slot.what)
    case.path_parameters.update(call.plain)
    _, _, whole = call.request(
        {slot: name(slot.what) for slot in call.slots if slot.where == "body" and slot.at[0] != "roles"}
    )
    body = whole.get("json")
    if body is None:
        return
    body = {**body, **({"scope": SCOPE} if "scope" in body else {})}
    if n % 4 == 1 or call.operation in calls.WRITTEN:
        case.body, case.media_type = body, "application/json"
        for condition in ("If-Match", "If-None-Match", "Tenure-Decision"):
            case.headers.pop(condition, None)
    elif isinstance(case.body, dict):
        case.body.update({word: value for word, value in body.items() if case.body.get(word)})


def answered(running: Running, case: schemathesis.Case, role: str) -> None:
    """Send a case as somebody, and hold the answer against the document."""
    try:
        _answered(running, case, role)
    except Exception as failure:
        failure.add_note(f"Asked by: {role}")
        raise


def _answered(running: Running, case: schemathesis.Case, role: str) -> None:
    operation = case.operation.definition.raw["operationId"]
    n = running.sent[operation, role] = running.sent[operation, role] + 1
    if n % 2:
        lead_inside(running, case, CALLS[operation], n)
    if case.headers.get("Tenure-Purpose"):
        case.headers["Tenure-Purpose"] = PURPOSE
    response = case.call(
        base_url=running.url, headers={"Authorization": f"Bearer {running.keys[role]}"}, timeout=30
    )
    if response.status_code // 100 == 2:
        running.welcome.setdefault(operation, set()).add(role)
    case.validate_response(response, checks=CHECKS)


CHANCE = random.Random(8)
"""Of its own: Hypothesis begins the common one anew with each example."""
GENTLE = settings(
    max_examples=3,  # one led inside and whole, one as it is, one led inside with what was drawn
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# With a parameter each call has a name of its own: workers run what has the name of another only once.
@pytest.mark.parametrize("roles", [ROLES], ids=["each role"])
@schema.parametrize()
@GENTLE
def test_every_answer_is_one_of_the_documents(
    running: Running, case: schemathesis.Case, roles: tuple[str, ...]
) -> None:
    """Each request is made by a caller of every kind: what takes time is to draw one."""
    for role in roles:
        answered(running, case.derive(), role)


@pytest.mark.parametrize("share", [1 / 3], ids=["a third"])
@corners.parametrize()
@settings(GENTLE, phases=[Phase.explicit])
def test_so_is_every_answer_at_the_corners(running: Running, case: schemathesis.Case, share: float) -> None:
    """Every parameter and member at its limits, missing and double, by somebody who gets past policy.

    They are always the same: a run takes the first of each call, and some of the others.
    """
    path = case.operation.path
    noun = next((noun for noun in BY_NOUN if noun in path), "")
    operation = case.operation.definition.raw["operationId"]
    running.corners[operation] += 1
    if running.corners[operation] == 1 or CHANCE.random() < share:
        answered(running, case, BY_NOUN.get(noun, "admin"))


NEVER_LET_IN = {
    "migrateRootKey": "there is no second root store",
    "fetchPackage": "it takes a link that an officer gave; test_http_packages has it",
    "signEvidence": "it takes the head of a log that grows meanwhile; test_evidence has it",
}


def test_the_requests_got_inside(running: Running) -> None:
    """Or all of it would be about refusals."""
    assert {operation for operation, _ in running.sent} == {*CALLS} == {*running.corners}
    refused = {*CALLS} - {*running.welcome}
    assert refused <= {*NEVER_LET_IN}
    assert {who for roles in running.welcome.values() for who in roles} == {*ROLES}


def test_what_is_not_checked_exists_and_is_not_checked() -> None:
    known = set(schemathesis.checks.CHECKS.get_all_names())
    assert {*LEFT_OUT} <= known
    assert {*LEFT_OUT} | {check.__name__ for check in CHECKS} >= known - {"max_response_time"}
