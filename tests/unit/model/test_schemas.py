"""The published JSON Schemas: current, and never stricter than the reader of manifests."""

import copy
import json
import os
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.cli.folder import manifest_files
from tenure.errors import Invalid
from tenure.model import schemas
from tenure.model.documents import read_documents
from tenure.model.manifests import SPECS, parse_manifests

POLICIES = Path(__file__).parents[3] / "policies"
ALL = schemas.schemas()
VALIDATORS = {name: jsonschema_rs.validator_for(schema) for name, schema in ALL.items()}
API = "tenure/v1"
GOOD = {
    "Vocabulary": {"categories": {"personal": {"contact": {}}}, "purposes": {"support": None}},
    "Scope": {
        "description": "d",
        "controller": "c",
        "lawfulBasis": {"support": "contract"},
        "categories": ["contact"],
        "subjects": "required",
        "jointErasure": "all",
        "ground": "g",
        "derived": {"onErasure": "rederive", "webhook": "https://a.example/x", "withinHours": 72},
    },
    "Role": {"description": "d"},
    "Controller": {
        "name": "Acme",
        "contact": "privacy@acme.example",
        "dataProtectionOfficer": "dpo@acme.example",
        "requests": {
            "timeZone": "Europe/Berlin",
            "holidays": "DE-BE",
            "weekends": "next-working-day",
            "coolingOff": "3d",
            "remindBefore": "7d",
            "packageTerm": "14d",
            "keepCases": "1095d",
        },
    },
    "Grant": {
        "description": None,
        "roles": ["agent"],
        "scopes": ["support.*", "**", "a.b"],
        "categories": "*",
        "purposes": ["support"],
        "actions": ["read"],
        "effect": "allow",
        "notBefore": "2027-01-31T00:00:00Z",
        "notAfter": "2028-01-31t00:00:00.5+01:00",
    },
    "Retention": {
        "scopes": ["**"],
        "categories": ["contact"],
        "clock": "event",
        "event": "customer-left",
        "hotFor": "4w",
        "deleteAfter": "3653d",
        "floor": "12h",
        "ground": "tax law",
    },
    "Recipient": {
        "description": "d",
        "webhook": "https://partner.example/notices",
        "scopes": ["support.**"],
        "categories": ["contact"],
    },
    "Agent": {
        "description": "d",
        "budgetTokens": 8000,
        "needs": [
            {
                "name": "talks",
                "scope": "support.talk",
                "categories": ["contact"],
                "purpose": "support",
                "window": "30d",
                "maxTokens": 100.0,
                "fallback": ["older-version", "summary"],
                "summaries": "support.notes",
                "next": ["tips"],
            },
            {"name": "tips", "scope": "a", "categories": "*", "purpose": "support", "required": True},
        ],
    },
}
NAMES = {"Controller": "default", "Vocabulary": "default", "Scope": "support.talk"}


def manifest(kind):
    name = NAMES.get(kind, "some-name")
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": copy.deepcopy(GOOD[kind])}


def accepts(value):
    """Whether the schema of its kind and the one of any kind take it; they must agree."""
    kind = value.get("kind") if isinstance(value, dict) else None
    whole = VALIDATORS[schemas.ANY_KIND].is_valid(value)
    if isinstance(kind, str) and kind in SPECS:
        assert VALIDATORS[kind.lower()].is_valid(value) == whole, value
    return whole


def is_read(value):
    try:
        parse_manifests([value])
    except Invalid:
        return False
    return True


def test_there_is_one_for_every_kind_and_each_is_a_schema():
    assert set(ALL) == {*(kind.lower() for kind in SPECS), "manifest"}
    for schema in ALL.values():
        assert schema["$schema"] == schemas.DIALECT
        jsonschema_rs.meta.validate(schema)


def test_the_committed_files_are_current():
    """`TENURE_REWRITE_GOLDEN=1` writes them."""
    folder = POLICIES / "schemas"
    if os.environ.get("TENURE_REWRITE_GOLDEN"):
        folder.mkdir(exist_ok=True)
        for name, schema in ALL.items():
            (folder / schemas.file_name(name)).write_text(schemas.text(schema))
    assert {path.name for path in folder.iterdir()} == {schemas.file_name(name) for name in ALL}
    for name, schema in ALL.items():
        assert (folder / schemas.file_name(name)).read_text() == schemas.text(schema)


@pytest.mark.parametrize("kind", SPECS)
def test_takes_what_is_read(kind):
    assert is_read(manifest(kind))
    assert accepts(manifest(kind))
    stored = parse_manifests([manifest(kind)])[0].canonical()
    assert accepts(stored)
    assert is_read(stored)


@pytest.mark.parametrize("path", manifest_files(POLICIES / "templates"), ids=lambda path: path.name)
def test_templates_pass_both(path):
    documents = [item.value for one in read_documents(path.read_bytes()) for item in one.items()]
    assert documents
    for one in documents:
        assert accepts(one)
        assert is_read(one)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Role", ("metadata", "name"), "Not a name"),
        ("Role", ("spec", "extra"), 1),
        ("Role", ("spec", "description"), 7),
        ("Scope", ("spec", "subjects"), "maybe"),
        ("Scope", ("spec", "categories"), []),
        ("Scope", ("spec", "derived", "withinHours"), 721),
        ("Grant", ("spec", "actions"), ["shred"]),
        ("Grant", ("spec", "scopes"), ["*"]),
        ("Grant", ("spec", "notAfter"), "tomorrow"),
        ("Retention", ("spec", "hotFor"), "1y"),
        ("Recipient", ("spec", "webhook"), "ftp://partner.example"),
        ("Agent", ("spec", "needs"), []),
        ("Vocabulary", ("spec", "categories", "personal", "X Y"), {}),
    ],
)
def test_sees_what_an_editor_should(kind, path, value):
    """A schema that takes everything would pass the property below."""
    wrong = manifest(kind)
    put(wrong, path, value)
    assert not accepts(wrong)
    assert not is_read(wrong)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(
        [
            *("*", "**", "a.*", "a..b", "tenure", "tenure.x", "read", "allow", "agent", "support", "a" * 64),
            *("1d", "0d", "999999d", "2027-01-31T00:00:00Z", "2027-13-31T00:00:00Z", "http://x/", "ftp://x"),
        ]
    ),
    st.lists(st.sampled_from(["a", "*", "read", "**", "b.c", "A"]), max_size=3),
    st.dictionaries(st.sampled_from(["a", "name", "B"]), st.one_of(st.none(), st.just({})), max_size=2),
)


def places(value, above=()):
    yield above
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield from places(part, (*above, step))


def put(value, path, new):
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


@st.composite
def mutants(draw):
    value = manifest(draw(st.sampled_from(list(SPECS))))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from([one for one in places(value) if one]))
        how = draw(st.sampled_from(["put", "drop", "add"]))
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        if how == "put":
            holder[path[-1]] = draw(ODD)
        elif how == "drop":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(["x", "name", "ground", "event", "floor", "next"]))] = draw(ODD)
        else:
            holder.append(draw(ODD))
    return value


@settings(max_examples=500, deadline=None)
@given(mutants())
def test_what_a_schema_refuses_the_reader_refuses(value):
    if not accepts(value):
        assert not is_read(value), json.dumps(value)
