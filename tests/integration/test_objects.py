"""Object stores, files and a bucket alike: names, whole objects, and nothing that was kept is overwritten."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from support.rgw import Bucket
from support.wire import Wire, wire_to
from tenure.cold.files import FileObjects
from tenure.cold.objects import Objects
from tenure.cold.open import BucketPlace, open_objects, place_of
from tenure.cold.overlay import Overlay
from tenure.cold.s3 import S3Objects
from tenure.cold.veil import Veil
from tenure.errors import Invalid, Tampered, TenureError, Unavailable, Unsupported

FIELD = "TENURE_OBJECTS_URL"


@pytest.fixture(params=["files", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "files":
        return open_objects("", tmp_path / "objects", FIELD)
    bucket: Bucket = request.getfixturevalue("bucket")
    return open_objects(bucket.url("some/where"), tmp_path, FIELD, bucket.server.endpoint)


def test_what_is_put_is_there_whole(objects: Objects) -> None:
    assert objects.get("a/b") is None
    objects.put("a/b", b"one")
    objects.put("a/b", b"two")
    objects.put("empty", b"")
    assert (objects.get("a/b"), objects.get("empty")) == (b"two", b"")
    objects.delete("a/b")
    objects.delete("a/b")
    assert objects.get("a/b") is None


def test_what_is_kept_is_never_overwritten(objects: Objects) -> None:
    assert objects.keep("kept", b"first")
    assert objects.keep("kept", b"first")
    assert not objects.keep("kept", b"second")
    assert objects.get("kept") == b"first"
    objects.put("kept", b"third")
    assert objects.keep("kept", b"third")


def test_what_a_put_that_died_had_begun_goes_with_its_object(tmp_path: Path) -> None:
    """`tests/fault/tiers` kills processes there."""
    objects = FileObjects(tmp_path)
    for name in ("p", "p-q", "alone"):
        objects.keep(name, b"x")
    (tmp_path / ".put-p-abcdefgh").hardlink_to(tmp_path / "p")
    for begun in (".put-gone-abcdefgh", ".put-p-q-abcdefgh", ".put-alone-abcdefgh"):
        (tmp_path / begun).write_bytes(b"x")
    for name in ("p", "gone"):
        objects.delete(name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".put-alone-abcdefgh",
        ".put-p-q-abcdefgh",
        "alone",
        "p-q",
    ]


def test_names_are_of_a_folder_and_sorted(objects: Objects) -> None:
    for name in ("b/2", "a/1", "b/x1/3", "bb/4", "b/1"):
        objects.put(name, b"x")
    assert list(objects.names("b")) == ["b/1", "b/2", "b/x1/3"]
    assert objects.keep("a/1", b"x")
    assert list(objects.names("")) == [
        "a/1", "b/1", "b/2", "b/x1/3", "bb/4"
    ]  # fmt: skip
    assert list(objects.names("c")) == []


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", ".a", "a/.b", "a b", "ä"])
def test_names_that_lead_elsewhere_are_refused(objects: Objects, name: str) -> None:
    for call in (
        objects.get,
        objects.delete,
        lambda one: objects.put(one, b""),
        lambda one: objects.keep(one, b""),
        lambda one: objects.get_range(one, 0, 1),
    ):
        with pytest.raises(Invalid):
            call(name)  # type: ignore[operator]


@pytest.mark.parametrize(("start", "length"), [(0, 1), (0, 1000), (1, 998), (999, 1), (500, 500)])
def test_a_range_is_exactly_what_was_asked_for(objects: Objects, start: int, length: int) -> None:
    data = bytes(n % 251 for n in range(1000))
    objects.put("a/b", data)
    assert objects.get_range("a/b", start, length) == data[start : start + length]
    assert objects.get_range("a/none", start, length) is None


@pytest.mark.parametrize(("start", "length"), [(0, 11), (9, 2), (10, 1), (1000, 1), (0, 1 << 40)])
def test_a_range_beyond_the_end_is_not_shortened(objects: Objects, start: int, length: int) -> None:
    objects.put("a", b"0123456789")
    with pytest.raises(Tampered) as refused:
        objects.get_range("a", start, length)
    assert refused.value.rule == "object-length"


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, 0), (5, -1)])
def test_what_is_no_range_is_refused(objects: Objects, start: int, length: int) -> None:
    objects.put("a", b"0123456789")
    with pytest.raises(Invalid):
        objects.get_range("a", start, length)


def test_ranges_are_seen_through_overlay_and_veil(objects: Objects, tmp_path: Path) -> None:
    objects.put("beneath", b"0123456789")
    objects.put("both", b"0123456789")
    overlay, veil = Overlay(objects, tmp_path / "overlay"), Veil(objects)
    overlay.put("both", b"abcdefghij")
    veil.show("both", b"abcdefghij")
    for seen in (overlay, veil):
        assert seen.get_range("beneath", 2, 3) == b"234"
        assert seen.get_range("both", 2, 3) == b"cde"
        assert seen.get_range("none", 2, 3) is None
        with pytest.raises(Tampered):
            seen.get_range("both", 8, 3)
    veil.show("beneath", None)
    assert veil.get_range("beneath", 2, 3) is None


def test_tags_do_no_harm_where_there_are_none(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    assert objects.keep("kept", b"first", tags={"tenure-class": "x"})
    assert list(objects.names("")) == ["kept"]


# ── a bucket ───────────────────────────────────────────────────────────────────────────────────────
def opened(bucket: Bucket, prefix: str = "") -> S3Objects:
    found = open_objects(bucket.url(prefix), Path(), FIELD, bucket.server.endpoint)
    assert isinstance(found, S3Objects)
    return found


@pytest.mark.s3
def test_long_lists_come_in_pages(bucket: Bucket) -> None:
    objects = opened(bucket)
    for n in range(7):
        objects.put(f"n/{n}", b"x")
    real = objects._client.list_objects_v2
    asked: list[dict[str, Any]] = []

    def paged(**given: Any) -> Any:
        asked.append(given)
        return real(MaxKeys=3, **given)

    objects._client.list_objects_v2 = paged
    assert list(objects.names("n")) == [f"n/{n}" for n in range(7)]
    assert len(asked) == 3


@pytest.mark.s3
def test_objects_are_served_as_tlog_tiles_asks(bucket: Bucket) -> None:
    objects = opened(bucket, "p")
    for name in (
        "checkpoint",
        "vkey",
        "checkpoints/0000000000000000007",
        "tile/0/000",
        "tile/entries/000.p/7",
    ):
        objects.keep(f"ledger/t/1/{name}", b"x")

    def head(name: str) -> tuple[str, str]:
        found = bucket.client.head_object(Bucket=bucket.name, Key=f"p/ledger/t/1/{name}")
        return found["ContentType"], found.get("CacheControl", "")

    assert head("checkpoint") == ("text/plain; charset=utf-8", "max-age=5")
    assert head("vkey")[0] == "text/plain; charset=utf-8"
    assert head("checkpoints/0000000000000000007")[0] == "text/plain; charset=utf-8"
    assert head("tile/0/000") == ("application/octet-stream", "max-age=31536000, immutable")
    assert head("tile/entries/000.p/7")[0] == "application/octet-stream"


def _ignoring(real: Callable[..., Any]) -> Callable[..., Any]:
    """A store that does not know the condition."""
    return lambda **given: real(**{name: value for name, value in given.items() if name != "IfNoneMatch"})


def _refusing(real: Callable[..., Any]) -> Callable[..., Any]:
    def put(**given: Any) -> Any:
        if "IfNoneMatch" in given:
            from botocore.exceptions import ClientError

            answer = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
            raise ClientError(answer, "PutObject")  # type: ignore[arg-type]
        return real(**given)

    return put


@pytest.mark.s3
@pytest.mark.parametrize("older", [_ignoring, _refusing])
def test_a_store_without_conditions_is_noticed(bucket: Bucket, older: Callable[..., Any]) -> None:
    objects = opened(bucket)
    objects._client.put_object = older(objects._client.put_object)
    assert objects.keep("kept", b"first")
    assert objects.keep("kept", b"first")
    assert not objects.keep("kept", b"second")
    assert objects.get("kept") == b"first"
    assert objects._conditional is False


@pytest.mark.s3
def test_the_condition_is_used_where_the_store_knows_it(bucket: Bucket) -> None:
    objects = opened(bucket)
    assert objects.keep("kept", b"first")
    assert objects._conditional is True


@pytest.mark.s3
def test_loopback_is_not_asked_through_a_proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    opened(bucket).put("a", b"x")


@pytest.mark.s3
@pytest.mark.parametrize("wrong", ["bucket", "secret", "credentials", "endpoint"])
def test_failures_say_what_to_do_and_no_secret(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    endpoint, url = bucket.server.endpoint, bucket.url()
    if wrong == "bucket":
        url = "s3://there-is-none"
    elif wrong == "secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret-123")
    elif wrong == "credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    else:
        endpoint = "http://127.0.0.1:9"
    objects = open_objects(url, tmp_path, FIELD, endpoint)
    for call in (lambda: objects.put("a", b"x"), lambda: list(objects.names(""))):
        with pytest.raises(Unavailable) as failed:
            call()
        said = f"{failed.value.detail} {failed.value.remedy}"
        assert failed.value.remedy
        assert "canary" not in said
        assert bucket.server.access_key not in said


@pytest.mark.s3
def test_a_new_object_has_its_tags_and_an_old_one_keeps_its_own(bucket: Bucket) -> None:
    objects = opened(bucket, "p")
    tags = {"tenure-class": "a90-x365", "tenure-tenant": "0192f0c1-5a00-7000-8000-000000000001"}
    assert objects.keep("kept", b"first", tags=tags)
    assert objects.keep("kept", b"first", tags={"tenure-class": "other"})
    objects.keep("plain", b"first")

    def tagged(name: str) -> dict[str, str]:
        found = bucket.client.get_object_tagging(Bucket=bucket.name, Key=f"p/{name}")["TagSet"]
        return {one["Key"]: one["Value"] for one in found}

    assert (tagged("kept"), tagged("plain")) == (tags, {})


@pytest.mark.s3
def test_a_store_without_tags_says_so_and_keeps_nothing(bucket: Bucket) -> None:
    objects = opened(bucket)
    real = objects._client.put_object

    def put(**given: Any) -> Any:
        if "Tagging" in given:
            from botocore.exceptions import ClientError

            answer = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}
            raise ClientError(answer, "PutObject")  # type: ignore[arg-type]
        return real(**given)

    objects._client.put_object = put
    with pytest.raises(Unsupported, match="tags"):
        objects.keep("kept", b"first", tags={"tenure-class": "x"})
    assert objects.get("kept") is None
    assert objects.keep("kept", b"first")


@pytest.mark.parametrize("endpoint", ["https://s3.example.test", "http://s3.example.test"])
def test_checksums_are_headers_over_tls_too(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """The store can compare both before it keeps anything: no checksum comes after the content."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    objects = open_objects("s3://bucket/p", Path(), FIELD, endpoint)
    assert isinstance(objects, S3Objects)
    sent = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda: iter(())))

    objects._client.meta.events.register("before-send.s3.PutObject", answer)
    objects.put("a", b"some bytes")
    (request,) = sent
    headers = {name.lower(): value for name, value in request.headers.items()}
    digest = hashlib.sha256(b"some bytes")
    assert headers["x-amz-checksum-sha256"] in (
        b64encode(digest.digest()),
        b64encode(digest.digest()).decode(),
    )
    assert headers["x-amz-content-sha256"] in (digest.hexdigest(), digest.hexdigest().encode())
    assert "x-amz-trailer" not in headers


# ── a bucket behind a bad wire ─────────────────────────────────────────────────────────────────────
@pytest.fixture
def wire(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """In front of the bucket's server; nothing is waited for long."""
    monkeypatch.setattr("tenure.cold.s3client._READ_S", 1)
    monkeypatch.setattr("tenure.cold.s3client._ATTEMPTS", 2)
    with wire_to(bucket.server.endpoint) as between:
        yield between


def behind(wire: Wire, bucket: Bucket) -> S3Objects:
    found = open_objects(bucket.url(), Path(), FIELD, wire.endpoint)
    assert isinstance(found, S3Objects)
    return found


CONTENT = hashlib.shake_256(b"content").digest(1 << 20)


@pytest.mark.s3
def test_an_answer_that_breaks_off_is_gone_on_with(bucket: Bucket, wire: Wire) -> None:
    objects = behind(wire, bucket)
    objects.put("a", CONTENT)
    wire.fault, wire.after = "cut", 700_000
    real, asked = objects._client.get_object, []

    def get(**given: Any) -> Any:
        asked.append(given)
        return real(**given)

    objects._client.get_object = get
    assert objects.get_range("a", 10, 1_000_000) == CONTENT[10:1_000_010]
    assert wire.met == 1
    first, second = asked
    assert "IfMatch" not in first
    assert second["IfMatch"]
    begin = int(second["Range"].removeprefix("bytes=").split("-")[0])
    assert begin > 10, "what came is not asked for again"


@pytest.mark.s3
def test_two_states_of_an_object_are_never_joined(bucket: Bucket, wire: Wire) -> None:
    objects = behind(wire, bucket)
    objects.put("a", CONTENT)
    wire.fault, wire.after = "cut", 700_000
    wire.then = lambda: bucket.put("a", CONTENT[::-1])
    with pytest.raises(Unavailable, match="PreconditionFailed"):
        objects.get_range("a", 0, 1_000_000)
    assert objects.get_range("a", 0, 1_000_000) == CONTENT[::-1][:1_000_000]


@pytest.mark.s3
def test_an_object_that_goes_while_it_is_read_is_gone(bucket: Bucket, wire: Wire) -> None:
    objects = behind(wire, bucket)
    objects.put("a", CONTENT)
    wire.fault, wire.after = "cut", 700_000
    wire.then = lambda: bucket.delete("a")
    assert objects.get_range("a", 0, 1_000_000) is None


@pytest.mark.s3
@pytest.mark.parametrize("fault", ["lose", "silence"])
def test_a_store_that_does_not_answer_is_unavailable(bucket: Bucket, wire: Wire, fault: Any) -> None:
    objects = behind(wire, bucket)
    objects.put("a", b"0123456789")
    wire.fault = fault
    for call in (lambda: objects.get_range("a", 0, 5), lambda: objects.put("a", b"x")):
        with pytest.raises(Unavailable) as failed:
            call()
        assert failed.value.remedy
    assert wire.met >= 2
    wire.fault = None
    assert objects.get_range("a", 0, 1) in (b"0", b"x")


@pytest.mark.s3
def test_what_changes_on_the_way_is_not_kept(bucket: Bucket, wire: Wire) -> None:
    objects = behind(wire, bucket)
    assert objects.keep("first", b"the wire is good")
    wire.fault = "flip"
    with pytest.raises(Unavailable):
        objects.keep("kept", CONTENT)
    assert wire.met == 1
    assert objects.get("kept") is None
    assert objects.keep("kept", CONTENT)
    assert objects.get("kept") == CONTENT


@pytest.mark.s3
def test_a_store_that_ignores_ranges_is_noticed(bucket: Bucket) -> None:
    objects = opened(bucket)
    objects.put("a", b"0123456789")
    real = objects._client.get_object
    objects._client.get_object = lambda **given: real(
        **{name: value for name, value in given.items() if name != "Range"}
    )
    with pytest.raises(Unsupported, match="part of an object"):
        objects.get_range("a", 0, 5)


@pytest.mark.s3
def test_a_store_that_answers_another_range_is_noticed(bucket: Bucket) -> None:
    objects = opened(bucket)
    objects.put("a", b"0123456789")
    real = objects._client.get_object
    objects._client.get_object = lambda **given: real(**given | {"Range": "bytes=1-5"})
    with pytest.raises(Unsupported):
        objects.get_range("a", 0, 5)


# ── URLs ───────────────────────────────────────────────────────────────────────────────────────────
def test_urls_name_places() -> None:
    default = Path("/default")
    assert place_of("", default, FIELD) == default
    assert place_of("file:///a/b", default, FIELD) == Path("/a/b")
    assert place_of("s3://bucket", default, FIELD) == BucketPlace("bucket", "")
    assert place_of("s3://bucket/a/b/", default, FIELD) == BucketPlace("bucket", "a/b/")


@pytest.mark.parametrize(
    "url",
    [
        "s3:/bucket", "s3://", "s3://B_ucket/x", "s3://bucket/a//b", "s3://bucket/../x", "s3://key:secret@bucket/x",
        "s3://bucket/x?y=z", "file://relative", "gs://bucket", "/plain/path",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(TenureError) as refused:
        open_objects(url, Path(), FIELD)
    assert refused.value.field == FIELD
    assert "secret" not in refused.value.detail


def test_places_in_buckets_overlap_by_their_prefix() -> None:
    whole, below, beside = BucketPlace("b", ""), BucketPlace("b", "a/"), BucketPlace("b", "aa/")
    assert whole.overlaps(below)
    assert below.overlaps(whole)
    assert not below.overlaps(beside)
    assert not below.overlaps(BucketPlace("c", "a/"))
