"""Packs in an object store, files and a bucket alike: stored means read back, nothing is overwritten."""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.moody import Moody
from support.rgw import Bucket
from support.wire import Wire, wire_to
from tenure.cold.objects import Objects
from tenure.cold.open import open_objects
from tenure.cold.pack import Front, Member, Packed, decode, encode, find
from tenure.cold.packs import PackRef, name_of, put_pack, read_member, read_pack, read_places, tags_of
from tenure.errors import Shredded, Tampered, Unavailable
from tenure.ids import new_id
from tenure.keys.ggm import PuncturedState
from tenure.keys.seal import Binding, Sealed, open_key, seal

FIELD = "TENURE_OBJECTS_URL"


@pytest.fixture(params=["files", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "files":
        return open_objects("", tmp_path / "objects", FIELD)
    bucket: Bucket = request.getfixturevalue("bucket")
    return open_objects(bucket.url("some/where"), tmp_path, FIELD, bucket.server.endpoint)


@pytest.fixture
def moody(objects: Objects) -> Moody:
    return Moody(objects)


def packed(members: int = 5, *, front: Front | None = None) -> Packed:
    made = [Member(new_id(), n, {"head": os.urandom(40), "content": os.urandom(400)}) for n in range(members)]
    return encode(front or Front(new_id(), new_id(), "a90-x365"), made)


def stored(objects: Objects) -> list[str]:
    return [name for name in objects.names("") if name.startswith("packs/")]


# ── as it should be ────────────────────────────────────────────────────────────────────────────────
def test_what_was_put_is_read_member_by_member(objects: Objects) -> None:
    pack = packed()
    ref = put_pack(objects, pack)
    assert ref == PackRef(pack.front, len(pack.data), 5, pack.sha256)
    assert stored(objects) == [f"packs/{pack.front.tenant}/{pack.front.pack}"]
    members = read_pack(objects, ref)
    assert [one[:2] for one in members] == [place[:2] for place in pack.places]
    for member, place in zip(members, pack.places, strict=True):
        assert read_member(objects, pack.front, place) == member
    assert read_places(objects, ref) == pack.places


def test_a_member_costs_one_request_and_two_without_its_place(moody: Moody) -> None:
    pack = packed()
    ref = put_pack(moody, pack)
    moody.calls.clear()
    read_member(moody, pack.front, pack.places[3])
    assert moody.calls == {"get_range": 1}
    place = find(read_places(moody, ref), *pack.places[4][:2])
    assert place is not None
    assert read_member(moody, pack.front, place).record == pack.places[4].record
    assert moody.calls == {"get_range": 3}


def test_putting_it_again_does_no_harm(moody: Moody) -> None:
    pack = packed()
    first = put_pack(moody, pack)
    assert moody.calls == {"keep": 1, "get": 1}
    assert put_pack(moody, pack) == first
    assert put_pack(moody, encode(pack.front, reversed(read_pack(moody, first)))) == first
    assert stored(moody) == [name_of(pack.front)]


def test_several_who_put_the_same_pack_all_have_it(objects: Objects) -> None:
    pack = packed()
    with ThreadPoolExecutor(4) as pool:
        refs = list(pool.map(lambda _: put_pack(objects, pack), range(8)))
    assert set(refs) == {PackRef.of(pack)}
    assert read_pack(objects, refs[0])


@pytest.mark.s3
def test_a_bucket_is_told_class_tenant_and_nothing_else(bucket: Bucket) -> None:
    objects = open_objects(bucket.url("p"), Path(), FIELD, bucket.server.endpoint)
    pack = packed()
    put_pack(objects, pack)
    key = f"p/{name_of(pack.front)}"
    found = bucket.client.get_object_tagging(Bucket=bucket.name, Key=key)["TagSet"]
    tags = {one["Key"]: one["Value"] for one in found}
    assert tags == tags_of(pack.front) == {"tenure-class": "a90-x365", "tenure-tenant": pack.front.tenant}
    head = bucket.client.head_object(Bucket=bucket.name, Key=key)
    assert (head["Metadata"], head["ContentType"]) == ({}, "application/octet-stream")
    assert bucket.get(key) == pack.data


# ── what fails ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("method", ["keep", "get"])
@pytest.mark.parametrize("mood", ["before", "after"])
def test_a_failure_is_said_and_the_next_attempt_finds_what_is_there(
    moody: Moody, objects: Objects, method: Any, mood: Any
) -> None:
    pack = packed()
    moody.mood[method] = mood
    with pytest.raises(Unavailable) as failed:
        put_pack(moody, pack)
    assert failed.value.remedy
    assert stored(objects) == ([] if (method, mood) == ("keep", "before") else [name_of(pack.front)])
    ref = put_pack(moody, pack)
    assert read_pack(objects, ref)
    assert stored(objects) == [name_of(pack.front)]


@pytest.mark.parametrize("mood", ["truncated", "other"])
def test_a_store_that_kept_other_bytes_is_found_out(moody: Moody, objects: Objects, mood: Any) -> None:
    pack = packed()
    moody.mood["keep"] = mood
    for _ in range(3):
        with pytest.raises(Tampered) as failed:
            put_pack(moody, pack)
        assert failed.value.rule == "pack-digest"
    assert objects.get(name_of(pack.front)) != pack.data, "it is left as it is"
    again = encode(
        Front(pack.front.tenant, new_id(), pack.front.retention_class), decode(pack.front, pack.data)
    )
    assert read_pack(objects, put_pack(moody, again))


@pytest.mark.parametrize("mood", ["truncated", "other"])
def test_a_read_back_that_does_not_hold_is_no_success(moody: Moody, mood: Any) -> None:
    pack = packed()
    moody.mood["get"] = mood
    with pytest.raises(Tampered):
        put_pack(moody, pack)
    assert put_pack(moody, pack)


@pytest.mark.parametrize("method", ["keep", "get"])
def test_a_store_that_took_it_and_has_it_not_is_no_success(moody: Moody, method: Any) -> None:
    pack = packed()
    moody.mood[method] = "nothing"
    with pytest.raises(Unavailable, match="does not count as stored"):
        put_pack(moody, pack)
    assert read_pack(moody, put_pack(moody, pack))


@pytest.mark.parametrize("method", ["keep", "get"])
def test_nothing_is_called_done_while_the_store_is_slow(moody: Moody, method: Any) -> None:
    pack = packed()
    moody.mood[method] = "slow"
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(put_pack, moody, pack)
        assert moody.waiting.wait(60)
        assert not putting.done()
        moody.gate.set()
        assert putting.result(60) == PackRef.of(pack)


def test_another_pack_of_the_same_name_is_not_overwritten(objects: Objects) -> None:
    pack = packed()
    ref = put_pack(objects, pack)
    with pytest.raises(Tampered) as refused:
        put_pack(objects, packed(3, front=pack.front))
    assert refused.value.rule == "pack-digest"
    assert read_pack(objects, ref)


# ── what is read later ─────────────────────────────────────────────────────────────────────────────
def reads(objects: Objects, pack: Packed) -> Iterator[Any]:
    """Every way to read."""
    ref = PackRef.of(pack)
    yield lambda: read_member(objects, pack.front, pack.places[2])
    yield lambda: read_places(objects, ref)
    yield lambda: read_pack(objects, ref)


@pytest.mark.parametrize("mood", ["before", "after"])
def test_a_store_that_fails_is_unavailable(moody: Moody, mood: Any) -> None:
    pack = packed()
    put_pack(moody, pack)
    for read in reads(moody, pack):
        moody.mood = {"get": mood, "get_range": mood}
        with pytest.raises(Unavailable):
            read()
        moody.mood.clear()
        assert read()


@pytest.mark.parametrize("mood", ["truncated", "other"])
def test_an_answer_that_is_not_what_was_packed_is_refused(moody: Moody, mood: Any) -> None:
    pack = packed()
    put_pack(moody, pack)
    for read in reads(moody, pack):
        moody.mood = {"get": mood, "get_range": mood}
        with pytest.raises(Tampered):
            read()
        moody.mood.clear()
        assert read()


@pytest.mark.parametrize("change", ["gone", "truncated", "flipped", "another pack", "of another tenant"])
def test_an_object_that_was_changed_is_refused(objects: Objects, change: str) -> None:
    pack = packed()
    put_pack(objects, pack)
    name = name_of(pack.front)
    place = pack.places[2]
    flipped = bytearray(pack.data)
    flipped[place.offset + 30] ^= 1
    if change == "gone":
        objects.delete(name)
    else:
        objects.put(
            name,
            {
                "truncated": pack.data[: place.offset + 10],
                "flipped": bytes(flipped),
                "another pack": packed().data,
                "of another tenant": encode(
                    Front(str(uuid.UUID(int=9)), pack.front.pack, pack.front.retention_class),
                    decode(pack.front, pack.data),
                ).data,
            }[change],
        )
    member, places, whole = reads(objects, pack)
    with pytest.raises(Tampered) as refused:
        whole()
    assert refused.value.rule == ("pack-missing" if change == "gone" else "pack-digest")
    assert refused.value.remedy
    if change == "of another tenant":
        # The very bytes that were packed: the place's digest holds, and the seal binds them to their tenant.
        assert member()
    else:
        with pytest.raises(Tampered):
            member()
    if change == "flipped":
        assert places() == pack.places
        assert read_member(objects, pack.front, pack.places[1]), "its neighbours are as they were"
    else:
        with pytest.raises(Tampered):
            places()


def test_errors_name_nobody_and_no_place(objects: Objects) -> None:
    pack = packed()
    put_pack(objects, pack)
    objects.put(name_of(pack.front), pack.data[:-50])
    for read in reads(objects, pack):
        try:
            read()
        except Tampered as refused:
            said = f"{refused} {refused.detail} {refused.remedy}"
            assert pack.front.tenant not in said
            assert pack.places[2].record not in said


# ── a real server behind a bad wire ────────────────────────────────────────────────────────────────
@pytest.fixture
def wire(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """In front of the bucket's server; nothing is waited for long."""
    monkeypatch.setattr("tenure.cold.s3client._READ_S", 1)
    monkeypatch.setattr("tenure.cold.s3client._ATTEMPTS", 2)
    with wire_to(bucket.server.endpoint) as between:
        yield between


@pytest.mark.s3
@pytest.mark.parametrize("fault", ["lose", "silence", "flip"])
def test_an_answer_that_never_comes_is_no_success(bucket: Bucket, wire: Wire, fault: Any) -> None:
    objects = open_objects(bucket.url(), Path(), FIELD, wire.endpoint)
    assert put_pack(objects, packed()), "the wire is good, and what the store knows was asked"
    pack = packed(50)
    wire.fault = fault
    with pytest.raises(Unavailable):
        put_pack(objects, pack)
    assert wire.met
    wire.fault = None
    there = objects.get(name_of(pack.front)) is not None
    assert there == (fault == "lose"), "a lost answer is one to a pack that was stored"
    ref = put_pack(objects, pack)
    assert read_pack(objects, ref)
    assert bucket.get(name_of(pack.front)) == pack.data


@pytest.mark.s3
def test_one_lost_answer_is_made_up_for(bucket: Bucket, wire: Wire) -> None:
    objects = open_objects(bucket.url(), Path(), FIELD, wire.endpoint)
    put_pack(objects, packed())
    pack = packed(50)
    wire.fault, wire.once = "lose", True
    assert put_pack(objects, pack) == PackRef.of(pack)
    assert wire.met == 1
    assert bucket.get(name_of(pack.front)) == pack.data


# ── what it is for ─────────────────────────────────────────────────────────────────────────────────
def test_one_person_is_forgotten_and_no_byte_of_the_pack_changes(objects: Objects) -> None:
    """Two people's versions in one pack; one leaf is punctured: hers open no more, his as before."""
    tenant, scope = new_id(), "support.conversations"
    state = PuncturedState.fresh(os.urandom(32))
    leaves = {new_id(): 5000, new_id(): 5001}
    headers, members = {}, []
    for record, leaf in leaves.items():
        sealed, opened = seal(
            Binding(tenant, scope, record, 1),
            [{leaf: state.derive(leaf)}],
            {"head": b"{}", "content": f"of {leaf}".encode()},
        )
        opened.wipe()
        headers[record] = sealed.header
        members.append(Member(record, 1, sealed.parts))
    pack = encode(Front(tenant, new_id(), "x30"), members)
    ref = put_pack(objects, pack)
    before = objects.get(name_of(pack.front))

    def content(record: str, state: PuncturedState) -> bytes:
        place = find(read_places(objects, ref), record, 1)
        assert place is not None
        member = read_member(objects, pack.front, place)
        sealed = Sealed(headers[record], dict(member.parts))
        opened = open_key(Binding(tenant, scope, record, 1), sealed.header, state.derive)
        return opened.open("content", sealed.parts["content"])

    hers, his = leaves
    assert (content(hers, state), content(his, state)) == (b"of 5000", b"of 5001")
    after = state.puncture([5000])
    with pytest.raises(Shredded):
        content(hers, after)
    assert content(his, after) == b"of 5001"
    assert objects.get(name_of(pack.front)) == before
