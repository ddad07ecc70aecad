"""Requests for every call of the API, put together from its own OpenAPI document.

A **slot** is a place in a request that takes a name of something: a path parameter, a query parameter, a
header, a member of the body. Which name belongs there is said once, below, by the word in the document. A
call that is new needs an entry here only if it brings a new word; until then building its requests fails
and says what is missing.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]
Names = Mapping[str, str]
"""What to put where: see `twins.Twin.own`."""

PATH = {
    "breakglass/id": "elevation",
    "certificates/id": "certificate",
    "decisions/id": "sealed decision",
    "holds/id": "hold",
    "access-lists/digest": "list",
    "entries/id": "entry",
    "issuers/id": "issuer",
    "manifests/name": "manifest",
    "policies/digest": "policy",
    "notices/id": "dead notice",
    "principals/id": "principal",
    "credentials/credential_id": "credential",
    "scopes/scope": "scope",
    "records/key": "key",
    "requests/id": "request",
    "retrievals/id": "retrieval",
    "shreds/id": "shred",
    "subjects/id": "subject",
    "tenants/id": "tenant",
}
"""Noun and parameter → what it names. For what names nothing that belongs to anybody, a value: `SAMPLES`."""
APART = {
    "sealDecision": "decision",
    "refuseElevation": "elevation to refuse",
    "endElevation": "active elevation",
    "reviewElevation": "ended elevation",
    "identifyRequest": "request to identify",
    "scopeRequest": "request to scope",
    "approveRequest": "request to approve",
    "refuseRequest": "request to refuse",
    "withdrawRequest": "request to withdraw",
    "resumeRequest": "request to resume",
    "pauseRequest": "request to pause",
    "extendRequest": "request to extend",
    "concludeRequest": "request to conclude",
    "liftRequest": "request to lift",
    "linkRequest": "request to link",
}
"""Calls whose path names another kind of thing than its words say."""
QUERY = {
    "request": "rights request",
    "principal": "principal",
    "decision": "sealed decision",
    "entry": "entry",
    "record": "record",
}
HEADERS = {
    "Tenure-Decision": "decision",
    "Idempotency-Key": "once",
    "Tenure-On-Behalf-Of": "principal",
}
MEMBERS = {
    "derived_from": "version",
    "key": "key",
    "keys": "key",
    "policy": "policy",
    "prefix": "key",
    "ref": "reference",
    "role": "emergency role",
    "root": "root",
    "scope": "scope",
    "subject": "reference",
    "subjects": "reference",
    "tenant": "tenant",
    "name": "principal name",
    "roles": "manifest",
}
"""Of bodies."""
SAMPLES: dict[str, Any] = {
    # of paths
    "manifests/kind": "role",
    "checkpoints/size": "1000000",
    "tile/tile": "0/000.p/1",
    "jobs/name": "rederive",
    # of queries: optional ones are left out unless they are here
    "old": "1",
    "new": "1",
    # of bodies
    "agent": "bot",
    "categories": ["contact"],
    "content": {"n": 1},
    "disabled": False,
    "event": "customer.churned",
    "files": 1,
    "generation": 2,
    "ground": "a case",
    "index_sha256": "0" * 64,
    "kind": "service",
    "ledger": "keep",
    "minutes": 5,
    "model": "m-1",
    "outcome": "ok",
    "purpose": "customer-support",
    "reason": "a case",
    "roles": ["support-agent"],
    "size": 1,
    "token": "tnp_of-nobody",
    "values": ["Ada Lovelace"],
    "accept": False,
}
VOCABULARY = {
    *(
        "action",
        "at_once",
        "as_of",
        "by",
        "cell",
        "cursor",
        "days",
        "dry_run",
        "prune",
        "what_if_days",
        "end",
        "explain",
        "first",
        "from",
        "kind",
        "limit",
        "new",
        "now",
    ),
    *("old", "outcome", "purpose", "rule", "scan", "since", "state", "to", "until", "version"),
    *("type", "overdue"),
}
"""Query parameters that name nothing of anybody's."""
OF_ITS_OWN = {
    "at",
    "input_sha256",
    "output_sha256",
    "output",
    "segments",
    "metadata",
    "path",
    "expires_at",
    "since",
    "until",
    "as_of",
    "explain",
    "version",
    "include",
    "limit",
    "cursor",
    "note",
    "requests",
    "bytes",
    "records",
    "burst_s",
    "concurrent",
    "stored_versions",
    "stored_bytes",
    "seen",
}
"""Members of bodies that name nothing either, and may be left out."""
_RETENTION = {
    "apiVersion": "tenure/v1",
    "kind": "Retention",
    "metadata": {"name": "short"},
    "spec": {"scopes": ["**"], "categories": "*", "deleteAfter": "1d"},
}
_BOUND = {
    "scope": ("scope",),
    "thread": ("thread",),
    "categories": ["contact"],
    "subjects": [("reference",)],
    "namespace": "aside",
}
WRITTEN: dict[str, Any] = {
    # The document says only that the body is JSON or YAML.
    "applyManifests": {
        "apiVersion": "tenure/v1",
        "kind": "Role",
        "metadata": {"name": ("manifest",)},
        "spec": {"description": "a role"},
    },
    "diffManifests": {
        "apiVersion": "tenure/v1",
        "kind": "Role",
        "metadata": {"name": ("manifest",)},
        "spec": {"description": "a role"},
    },
    # What a Retention names is checked as of an apply, which has these slots.
    "forecastProposed": {"manifests": [_RETENTION]},
    "previewRetention": {"manifests": [_RETENTION]},
    "createCredential": {"reach": {"scopes": [("scope",)]}},
    "explainPolicy": {
        "principal": ("principal",),
        "scope": ("scope",),
        "categories": ["contact"],
        "purpose": "customer-support",
        "action": "read",
    },
    "addIssuer": {
        "name": ("issuer name",),
        "issuer": "https://issuer.example",
        "audience": ("audience",),
        "subjects": {"somebody": ("principal",)},
    },
    "placeHold": {"by": "subject", "target": ("subject",), "ground": "a case"},
    "createTenant": {"name": ("tenant name",)},
    "putSnapshot": {
        **_BOUND,
        "snapshot": {"id": "one", "channels": {"talk": {"version": 1, "pieces": [{"base64": "AA=="}]}}},
    },
    "putWrites": {
        **_BOUND,
        "snapshot": "one",
        "task": "first",
        "writes": [{"idx": 0, "channel": "talk", "base64": "AA=="}],
    },
    "getSnapshot": {"scope": ("scope",), "thread": ("thread",)},
    "querySnapshots": {"scope": ("scope",), "thread": ("thread",)},
    "deleteThread": {"scope": ("scope",), "thread": ("thread to delete",)},
    "copyThread": {"scope": ("scope",), "source": ("thread to delete",), "target": "a copy"},
    "pruneThread": {"scope": ("scope",), "thread": ("thread",)},
    "deleteRun": {"scope": ("scope",), "run": ("another run",)},
    "openRequest": {"type": "access", "reference": ("reference",)},
    "findRequests": {"reference": ("reference",)},
    "identifyRequest": {"method": "login"},
    "refuseRequest": {"ground": "12.5-excessive"},
    "pauseRequest": {"reason": "identity"},
    "extendRequest": {"reason": "complexity"},
    "noteRequest": {"text": "a note"},
    "concludeRequest": {"outcome": "upheld"},
}
"""Bodies that are not the sum of their members. A tuple in them is a slot."""
VARIANTS: dict[str, dict[str, Any]] = {
    "createCredential": {"roles": {"reach": {"roles": [("manifest",)]}}},
    "explainPolicy": {
        "entry": {"entry": ("entry",)},
        "decision": {"decision": ("sealed decision",)},
        "name": {**WRITTEN["explainPolicy"], "principal": ("principal name",)},
        "roles": {
            "roles": [("manifest",)],
            "scope": ("scope",),
            "categories": ["contact"],
            "purpose": "customer-support",
            "action": "read",
        },
    },
    "addIssuer": {
        "replaces": {**WRITTEN["addIssuer"], "replaces": ("spare issuer",)},
        "roles": {
            **WRITTEN["addIssuer"],
            "role_claim": ["groups"],
            "roles": {"staff": [("manifest",)]},
            "provision": {"kind": "agent", "roles": [("manifest",)]},
        },
    },
}
"""Other bodies of a call, which ask for another thing: `<operation>:<variant>` is a call of its own here."""
ALWAYS = {"applyManifests": {"dry_run": "true"}, "rollbackManifests": {"dry_run": "true"}}
"""Queries without which a call would change what the next one is asked about."""


@dataclass(frozen=True)
class Slot:
    """A place for a name. `where`: path, query, header or body."""

    where: str
    at: tuple[Any, ...]
    what: str


@dataclass(frozen=True)
class Call:
    """A call of the API and its slots; `body` has the plain members filled in."""

    operation: str
    method: str
    path: str
    slots: tuple[Slot, ...]
    body: Any = None
    query: tuple[tuple[str, str], ...] = ()
    plain: Mapping[str, str] = field(default_factory=dict)
    variant: str = ""

    def request(self, names: Mapping[Slot, str]) -> tuple[str, str, dict[str, Any]]:
        """(method, path, the rest) with these names in its slots; others stay empty."""
        path, query, headers, body = self.path, dict(self.query), {}, _copy(self.body)
        for name, value in self.plain.items():
            path = path.replace(f"{{{name}}}", value)
        for slot, name in names.items():
            if slot.where == "path":
                path = path.replace(f"{{{slot.at[0]}}}", quote(name, safe=""))
            elif slot.where == "query":
                query[slot.at[0]] = name
            elif slot.where == "header":
                headers[slot.at[0]] = name
            else:
                body = _put(body, slot.at, name)
        more: dict[str, Any] = {"headers": headers, "params": query}
        if body is not None:
            more["json"] = body
        return self.method, path, more

    def needed(self) -> tuple[Slot, ...]:
        """The slots without which there is no request."""
        return tuple(slot for slot in self.slots if slot.where == "path" or slot.at[-1] == "!")


def calls(document: Json) -> list[Call]:
    """Every call of a document, in its order. AssertionError names a word that nothing is said of here."""
    return [
        _call(document, path, method, operation, variant)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for variant in ("", *VARIANTS.get(operation["operationId"], ()))
    ]


def _call(document: Json, path: str, method: str, operation: Json, variant: str = "") -> Call:
    name = operation["operationId"]
    slots, plain = [], {}
    for given in operation.get("parameters", ()):
        word, where = given["name"], given["in"]
        if where == "path":
            noun = f"{_noun(path, word)}/{word}"
            if noun in SAMPLES:
                plain[word] = SAMPLES[noun]
            else:
                what = APART.get(name) or _said(PATH, noun, f"PATH (or SAMPLES), for {name}")
                slots.append(Slot("path", (word,), what))
        elif where == "query" and word in QUERY:
            slots.append(Slot("query", (word,), QUERY[word]))
        elif where == "query":
            assert word in VOCABULARY, _missing(word, f"QUERY or VOCABULARY, for {name}")
        elif word in HEADERS:
            slots.append(Slot("header", (word,), HEADERS[word]))
    query = dict(ALWAYS.get(name, {}))
    for given in operation.get("parameters", ()):
        if given["in"] == "query" and given["required"] and given["name"] not in QUERY:
            query[given["name"]] = _said(SAMPLES, given["name"], f"SAMPLES, for {name}")
    if variant:
        body, inside = _written(VARIANTS[name][variant], ())
        name = f"{name}:{variant}"
    else:
        body, inside = _body(document, name, operation)
    return Call(name, method.upper(), path, (*slots, *inside), body, tuple(query.items()), plain, variant)


def _noun(path: str, word: str) -> str:
    """The last plain part of a path before a parameter."""
    parts = path.partition(f"{{{word}}}")[0].strip("/").split("/")
    return next(part for part in reversed(parts) if "{" not in part)


def _body(document: Json, name: str, operation: Json) -> tuple[Any, list[Slot]]:
    if name in WRITTEN:
        return _written(WRITTEN[name], ())
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if not schema.get("properties"):
        assert not content, _missing(name, "WRITTEN, since the document does not say what its body is")
        return None, []
    body: Json = {}
    slots: list[Slot] = []
    required = schema.get("required", ())
    for word, member in schema["properties"].items():
        if word in MEMBERS:
            at: tuple[Any, ...] = (word, 0) if _is_list(member) else (word,)
            needed = word in required and word not in SAMPLES
            slots.append(Slot("body", (*at, "!") if needed else at, MEMBERS[word]))
        if word in SAMPLES and (word in required or word not in MEMBERS):
            body[word] = SAMPLES[word]
        elif word not in MEMBERS:
            assert word in OF_ITS_OWN, _missing(word, f"MEMBERS, SAMPLES or OF_ITS_OWN, for {name}")
    return body, slots


def _written(value: Any, at: tuple[Any, ...]) -> tuple[Any, list[Slot]]:
    if isinstance(value, tuple):
        return None, [Slot("body", (*at, "!"), value[0])]
    if isinstance(value, dict):
        parts = {word: _written(part, (*at, word)) for word, part in value.items()}
        return {word: part[0] for word, part in parts.items()}, list(
            itertools.chain.from_iterable(part[1] for part in parts.values())
        )
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return [], [Slot("body", (*at, 0, "!"), value[0][0])]
    return value, []


def _is_list(member: Json) -> bool:
    return member.get("type") == "array" or any(one.get("type") == "array" for one in member.get("anyOf", ()))


def _put(body: Any, at: tuple[Any, ...], name: str) -> Any:
    word, rest = at[0], tuple(one for one in at[1:] if one != "!")
    if not rest:
        return {**(body or {}), word: name}
    if rest == (0,):
        return {**(body or {}), word: [name]}
    return {**body, word: _put(body[word], rest, name)}


def _copy(body: Any) -> Any:
    return dict(body) if isinstance(body, dict) else body


def _said(where: Mapping[str, Any], word: str, place: str) -> Any:
    assert word in where, _missing(word, place)
    return where[word]


def _missing(word: str, place: str) -> str:
    return f"say in tests/support/calls.py what {word!r} names: {place}"
