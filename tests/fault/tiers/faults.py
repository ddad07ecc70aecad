"""What is wrong with the store, or with the clock, while the job runs in the process that dies."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, EndpointConnectionError

from support.wire import Wire
from tenure.cold.objects import NO_TAGS, Objects, Standing
from tenure.cold.s3 import S3Objects
from tenure.cold.s3client import failure_of

DAY_US: Final = 86_400_000_000
_SLOW_S: Final = 0.15
Work = Callable[[bytes], Any]
"""One call of the real store, given the bytes that are to be put (empty for other calls)."""


class Fault(NamedTuple):
    """`wrong` does a call as the faulty store does it.

    `ends`: whether the run fails by it; then the next run, over a store that is well, is the one that gets
    further. `calls`: which calls go wrong. `skew_us`: how far the process's clock is from the database's.
    """

    name: str
    wrong: Callable[["Faulty", Work, bytes], Any] | None
    ends: bool = False
    calls: tuple[str, ...] = ("PUT", "GET", "DELETE")
    skew_us: int = 0


class Faulty:
    """A real store whose calls a witness sees, and some of which go wrong while `fault` is set."""

    def __init__(self, base: Objects, witness: Callable[[str, str], None], wire: Wire | None = None) -> None:
        self._base = base
        self._witness = witness
        self.wire = wire
        self.fault: Fault | None = None
        self.met = 0
        self.during: Callable[[], None] = lambda: None
        """Called before the first call that goes wrong."""

    @property
    def client(self) -> Any:
        """Of a bucket."""
        assert isinstance(self._base, S3Objects)
        return self._base._client

    @property
    def bucket(self) -> str:
        """Its name."""
        assert isinstance(self._base, S3Objects)
        return self._base._bucket

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> bool:
        return bool(self._call("PUT", lambda given: self._base.keep(name, given, tags=tags), data))

    def get(self, name: str) -> bytes | None:
        found: bytes | None = self._call("GET", lambda _: self._base.get(name))
        return found

    def delete(self, name: str) -> None:
        self._call("DELETE", lambda _: self._base.delete(name))

    def put(self, name: str, data: bytes) -> None:
        self._base.put(name, data)

    def retag(self, name: str, tags: Mapping[str, str]) -> None:
        self._base.retag(name, tags)

    def restore(self, name: str) -> None:
        self._base.restore(name)

    def state(self, name: str) -> Standing | None:
        return self._base.state(name)

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        return self._base.get_range(name, start, length)

    def names(self, prefix: str) -> Iterator[str]:
        return self._base.names(prefix)

    def _call(self, what: str, work: Work, data: bytes = b"") -> Any:
        self._witness(what, "before")
        try:
            fault = self.fault
            if fault is None or fault.wrong is None or what not in fault.calls:
                return work(data)
            self.met += 1
            if self.met == 1:
                self.during()
            return fault.wrong(self, work, data)
        finally:
            self._witness(what, "after")


# ── a store of files, which answers as a bucket that is so would ───────────────────────────────────
def _unreachable(_store: Faulty, _work: Work, _data: bytes) -> Any:
    raise failure_of("objects cannot be used", EndpointConnectionError(endpoint_url="-"))


def _slow(_store: Faulty, work: Work, data: bytes) -> Any:
    time.sleep(_SLOW_S)
    done = work(data)
    time.sleep(_SLOW_S)
    return done


def _says(code: str) -> Callable[[Faulty, Work, bytes], Any]:
    def wrong(_store: Faulty, _work: Work, _data: bytes) -> Any:
        raise failure_of("objects cannot be used", ClientError({"Error": {"Code": code}}, "PutObject"))

    return wrong


def _lost(_store: Faulty, work: Work, data: bytes) -> Any:
    work(data)
    raise failure_of("objects cannot be used", EndpointConnectionError(endpoint_url="-"))


def _other(_store: Faulty, work: Work, data: bytes) -> Any:
    middle = len(data) // 2
    return work(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


FILES: Final = {
    one.name: one
    for one in (
        Fault("none", None),
        Fault("down", _unreachable, ends=True),
        Fault("slow", _slow),
        Fault("503 SlowDown", _says("SlowDown"), ends=True, calls=("PUT",)),
        Fault("answer lost", _lost, ends=True, calls=("PUT",)),
        Fault("other bytes", _other, ends=True, calls=("PUT",)),
        Fault("forbidden", _says("AccessDenied"), ends=True, calls=("PUT",)),
        Fault("clock 30 days ahead", None, skew_us=30 * DAY_US),
        Fault("clock 30 days behind", None, skew_us=-30 * DAY_US),
    )
}


# ── a real bucket: what goes wrong does so on the wire, or is the server's own answer ──────────────
@contextmanager
def _sending(store: Faulty, hook: Callable[..., Any]) -> Iterator[None]:
    """With something in the client's place right before it sends a request."""
    events = store.client.meta.events
    events.register("before-send.s3", hook)
    try:
        yield
    finally:
        events.unregister("before-send.s3", hook)


def _refused_connection(store: Faulty, work: Work, data: bytes) -> Any:
    def hook(request: Any, **_: Any) -> None:
        request.url = "http://127.0.0.1:1/"  # nobody listens there

    with _sending(store, hook):
        return work(data)


def _slow_down(store: Faulty, work: Work, data: bytes) -> Any:
    said = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

    class Raw:
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield said

    def hook(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 503, {"content-type": "application/xml"}, Raw())

    with _sending(store, hook):
        return work(data)


def _on_the_wire(fault: Any, *, once: bool = False) -> Callable[[Faulty, Work, bytes], Any]:
    def wrong(store: Faulty, work: Work, data: bytes) -> Any:
        assert store.wire is not None
        met = store.wire.met
        store.wire.fault, store.wire.once = fault, once
        try:
            return work(data)
        finally:
            store.wire.fault = None
            assert store.wire.met > met, "nothing went wrong on the wire"

    return wrong


def _no_permission(store: Faulty, work: Work, data: bytes) -> Any:
    """The bucket's policy denies it; the rest of the bucket is as it was."""
    bucket = store.bucket
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]}
    statement = deny | {"Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    store.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    try:
        return work(data)
    finally:
        store.client.delete_bucket_policy(Bucket=bucket)


BUCKET: Final = {
    one.name: one
    for one in (
        Fault("none", None),
        Fault("down", _refused_connection, ends=True),
        Fault("slow", _slow),
        Fault("503 SlowDown", _slow_down, ends=True, calls=("PUT",)),
        Fault("answer lost", _on_the_wire("lose"), ends=True, calls=("PUT",)),
        Fault("answer lost once", _on_the_wire("lose", once=True), calls=("PUT",)),
        Fault("other bytes", _on_the_wire("flip"), ends=True, calls=("PUT",)),
        Fault("forbidden", _no_permission, ends=True, calls=("PUT",)),
    )
}
