"""Object stores, files and a bucket alike: names, whole objects, and nothing that was kept is overwritten."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.rgw import Bucket
from tenure.cold.objects import Objects
from tenure.cold.open import BucketPlace, open_objects, place_of
from tenure.cold.s3 import S3Objects
from tenure.errors import Invalid, TenureError, Unavailable

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
    ):
        with pytest.raises(Invalid):
            call(name)  # type: ignore[operator]


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
