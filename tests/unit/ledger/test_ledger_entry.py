"""Entries: what they look like, what they cannot hold, and when their access list leaves them."""

import hashlib
import json
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Invalid, Unverified
from tenure.ledger.canonical import canonical
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import (
    Access,
    Action,
    EntryDraft,
    Kind,
    access_list,
    accesses_of,
    parse_access_list,
    parse_entry,
)
from unit.ledger.logs import AT, WRITER, a_draft, an_id

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/spec/entry.schema.json").read_text())
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)

TOKENS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/#+=-]{0,199}", fullmatch=True)
IDS = st.uuids().map(str)
ACCESSES = st.builds(
    Access,
    IDS,
    st.integers(0, 2**53 - 1),
    st.sampled_from(Action),
    st.none() | st.binary(min_size=32, max_size=32),
    st.none() | st.binary(min_size=16, max_size=16),
    st.none() | st.integers(0, 2**53 - 1),
)
DATA = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True),
    TOKENS | st.booleans() | st.integers(0, 2**53 - 1) | st.lists(TOKENS, max_size=3),
    max_size=4,
)
DRAFTS = st.builds(
    EntryDraft,
    kind=st.sampled_from(Kind),
    at=st.integers(0, 4_000_000_000_000_000),
    outcome=TOKENS,
    principal=st.none() | IDS,
    on_behalf_of=st.none() | IDS,
    decision=st.none() | IDS,
    policy=st.none() | st.binary().map(lambda raw: "sha256:" + hashlib.sha256(raw).hexdigest()),
    purpose=st.none() | TOKENS,
    rules=st.lists(TOKENS, max_size=4),
    accesses=st.lists(ACCESSES, max_size=70),
    data=DATA,
    nonce=st.binary(min_size=16, max_size=16),
)
NUMBERS = st.integers(0, 2**53 - 1)


@given(DRAFTS, NUMBERS)
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back_and_keeps_the_published_schema(draft, n):
    raw = draft.encode(WRITER, n)
    entry = parse_entry(raw)
    VALIDATOR.validate(entry)
    assert len(raw) < 4096
    assert (entry["kind"], entry["writer"], entry["n"]) == (draft.kind.value, WRITER, n)
    assert entry.get("principal") == draft.principal
    assert entry.get("on_behalf_of") == draft.on_behalf_of
    assert entry.get("data", {}) == draft.data
    assert None not in entry.values()
    separate = draft.separate_list()
    if separate is None:
        listed = entry.get("accesses", [])
    else:
        digest, listed_raw = separate
        assert (entry["accesses_sha256"], entry["accesses_count"]) == (digest, len(draft.accesses))
        assert "accesses" not in entry
        listed = parse_access_list(listed_raw, entry)
    assert accesses_of(listed) == list(draft.accesses)


@given(DRAFTS, NUMBERS, NUMBERS)
@settings(max_examples=50, deadline=None)
def test_writer_and_number_do_not_decide_where_the_list_goes(draft, one, other):
    members = [json.loads(draft.encode(writer, n)).keys() for writer, n in ((WRITER, one), ("f" * 16, other))]
    assert members[0] == members[1]


def test_a_typical_entry_byte_for_byte():
    access = Access(an_id(2), 3, Action.RETURNED, bytes(range(32)))
    draft = a_draft(2, decision=an_id(9), accesses=[access], nonce=bytes(range(16)))
    assert draft.encode(WRITER, 5).decode() == (
        '{"accesses":[{"action":"returned","commitment":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",'
        f'"record":"{an_id(2)}","version":3}}],"at":"2026-09-21T14:13:20.000002Z","decision":"{an_id(9)}",'
        '"kind":"access","n":5,"nonce":"AAECAwQFBgcICQoLDA0ODw==","outcome":"allowed",'
        f'"policy":"sha256:{"ab" * 32}","principal":"{an_id(0)}","purpose":"customer-support",'
        '"rules":["grant/support#1"],"v":1,"writer":"00112233445566ff"}'
    )


def test_an_empty_draft_has_no_optional_members_and_a_nonce_of_its_own():
    one, other = (EntryDraft(Kind.PURGE, AT, "done") for _ in range(2))
    entry = parse_entry(one.encode(WRITER, 0))
    assert sorted(entry) == ["at", "kind", "n", "nonce", "outcome", "v", "writer"]
    assert one.nonce != other.nonce
    assert len(one.nonce) == 16


def accesses(count):
    return [Access(an_id(n), 1, Action.RETURNED, bytes(32)) for n in range(count)]


@pytest.mark.parametrize(("count", "inline"), [(1, True), (20, True), (30, False), (64, False), (65, False)])
def test_long_access_lists_leave_the_entry(count, inline):
    draft = a_draft(accesses=accesses(count))
    entry = parse_entry(draft.encode(WRITER, 0))
    assert ("accesses" in entry) == inline == (draft.separate_list() is None)
    if not inline:
        raw, digest = access_list(draft.accesses)
        assert entry["accesses_sha256"] == digest == hashlib.sha256(raw).hexdigest()
        assert entry["accesses_count"] == count


def test_where_the_list_goes_at_the_very_limit():
    """A short number would let the list stay, a long one would not: both must decide alike."""
    seen = set()
    for length in range(1, 201):
        draft = a_draft(accesses=accesses(26), purpose="p" * length)
        short, long = (json.loads(draft.encode(WRITER, n)).keys() for n in (0, 2**53 - 1))
        assert short == long
        assert ("accesses" in short) == (draft.separate_list() is None)
        seen.add("accesses" in short)
    assert seen == {True, False}


def test_more_than_64_short_accesses_leave_the_entry_whatever_their_length():
    few, many = ([Access(an_id(n), 1, Action.LISTED) for n in range(k)] for k in (30, 65))
    assert a_draft(accesses=few).separate_list() is None
    assert a_draft(accesses=many).separate_list() is not None


def test_another_access_list_is_refused():
    draft = a_draft(accesses=accesses(65))
    entry = parse_entry(draft.encode(WRITER, 0))
    raw, _ = access_list(draft.accesses)
    spaced = json.dumps(json.loads(raw)).encode()
    other, _ = access_list(accesses(66))
    for wrong in (other, b"", raw[:-1], b"[]"):
        with pytest.raises(Unverified):
            parse_access_list(wrong, entry)
    for wrong in (spaced, b"[]", b"7"):
        named = {**entry, "accesses_sha256": hashlib.sha256(wrong).hexdigest()}
        with pytest.raises(Unverified):
            parse_access_list(wrong, named)
    with pytest.raises(Unverified):
        parse_access_list(raw, {**entry, "accesses_count": 64})
    with pytest.raises(Unverified):
        parse_access_list(raw, {})


def test_a_seal_names_the_entries_of_its_accesses():
    source = parse_entry(a_draft(3).encode(WRITER, 0))
    sealed = accesses_of(source["accesses"], entry_nonce=source["nonce"])
    entry = parse_entry(a_draft(4, kind=Kind.DECISION_SEAL, accesses=sealed).encode(WRITER, 1))
    assert entry["accesses"][0] == {**source["accesses"][0], "entry": source["nonce"]}


BAD_MEMBERS = [
    {"purpose": "for Jane Roe"},
    {"purpose": "jane@example.com"},
    {"purpose": ""},
    {"purpose": "x" * 201},
    {"purpose": "caf\N{LATIN SMALL LETTER E WITH ACUTE}"},
    {"outcome": "no such customer"},
    {"outcome": ""},
    {"principal": "agent-7"},
    {"principal": an_id(1).upper()},
    {"on_behalf_of": "jane"},
    {"on_behalf_of": an_id(1).upper()},
    {"decision": an_id(1) + "\n"},
    {"policy": "ab" * 32},
    {"rules": ("has space",)},
    {"rules": tuple("r" for _ in range(65))},
    {"nonce": bytes(15)},
    {"nonce": bytes(17)},
    {"data": {"note": "free text"}},
    {"data": {"Note": "x"}},
    {"data": {"note": None}},
    {"data": {"note": 1.5}},
    {"data": {"note": -1}},
    {"data": {"note": {"deeper": "x"}}},
    {"data": {"note": ["a", 1]}},
    {"data": {"note": "\ud800"}},
    {"accesses": (Access("customer-42", 1, Action.RETURNED),)},
    {"accesses": (Access(an_id(1), -1, Action.RETURNED),)},
    {"accesses": (Access(an_id(1), 2**53, Action.RETURNED),)},
    {"accesses": (Access(an_id(1), 1, Action.RETURNED, bytes(31)),)},
    {"accesses": (Access(an_id(1), 1, Action.RETURNED, entry=bytes(3)),)},
    {"accesses": (Access(an_id(1), 1, Action.RETURNED, segment=-1),)},
]


@pytest.mark.parametrize("changes", BAD_MEMBERS, ids=repr)
def test_what_does_not_belong_is_refused_without_being_repeated(changes):
    with pytest.raises(Invalid) as caught:
        a_draft(**changes).encode(WRITER, 0)
    (name,) = changes
    assert caught.value.field == name
    for secret in ("Jane", "jane", "customer-42", "free text", "no such"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("writer", "n"), [("xyz", 0), (WRITER + "0", 0), (WRITER.upper(), 0), (WRITER, -1), (WRITER, 2**53)]
)
def test_writer_and_number_have_their_forms(writer, n):
    with pytest.raises(Invalid):
        a_draft().encode(writer, n)


def test_what_cannot_be_brought_under_4_kb_is_refused():
    rules = tuple("r" * 199 + str(n % 10) for n in range(30))
    with pytest.raises(Invalid, match="over 4095"):
        a_draft(rules=rules).encode(WRITER, 0)


def refused(raw):
    with pytest.raises(Unverified) as caught:
        parse_entry(raw)
    return caught.value.check


def test_only_canonical_entries_of_the_closed_set_are_read():
    raw = a_draft().encode(WRITER, 0)
    entry = json.loads(raw)
    assert refused(raw + b"\n") == "entry-not-canonical"
    assert refused(json.dumps(entry).encode()) == "entry-not-canonical"
    assert refused(b"\xff") == "entry-not-canonical"
    assert refused(b"[]") == refused(b"7") == "entry-schema"
    assert refused(canonical({**entry, "email": "jane@example.com"})) == "entry-schema"
    assert refused(canonical({**entry, "data": {"x": "y" * 199, "z": ["t" * 199] * 30}})) == "entry-too-large"
    for name in ("v", "kind", "at", "writer", "n", "nonce", "outcome"):
        assert refused(canonical({k: v for k, v in entry.items() if k != name})) == "entry-schema"
    for name in entry:
        for wrong in (None, "", [], {}, -1, 1.5, True, "a b", 2**53 * 1.0):
            changed = {**entry, name: wrong}
            assert refused(canonical(changed)) == "entry-schema", name
            assert not VALIDATOR.is_valid(changed), name
    both = {**entry, "accesses_sha256": "a" * 64, "accesses_count": 1}
    half = {k: v for k, v in both.items() if k not in ("accesses", "accesses_count")}
    for changed in (both, half, {**half, "accesses_count": 0}):
        assert refused(canonical(changed)) == "entry-schema"
        assert not VALIDATOR.is_valid(changed)


def test_later_kinds_of_the_same_shape_are_read():
    entry = json.loads(a_draft().encode(WRITER, 0)) | {"kind": "export.start"}
    assert parse_entry(canonical(entry))["kind"] == "export.start"


# ── commitments ────────────────────────────────────────────────────────────────────────────────────
PART = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
IDENTITIES = st.tuples(PART, st.none() | PART, PART, st.integers(0, 2**53), st.binary(max_size=8))


def committed(salt, identity):
    tenant, decision, record, version, content = identity
    return commitment(salt, tenant=tenant, decision=decision, record=record, version=version, content=content)


@given(IDENTITIES, IDENTITIES)
@settings(deadline=None)
def test_a_commitment_binds_every_part(one, other):
    def normal(identity):
        return (*identity[:1], identity[1] or "", *identity[2:])

    assert (committed(bytes(32), one) == committed(bytes(32), other)) == (normal(one) == normal(other))


def test_equal_content_does_not_link():
    identity = (an_id(1), None, an_id(2), 1, b"{}")
    assert committed(bytes(32), identity) != committed(bytes(31) + b"\1", identity)
    # Moving a character across a boundary changes the commitment.
    moved = [("ab", "c", "d", 1, b""), ("a", "bc", "d", 1, b""), ("ab", "", "cd", 1, b"")]
    assert len({committed(bytes(32), identity) for identity in moved}) == 3
