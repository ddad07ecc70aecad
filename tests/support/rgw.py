"""A real S3 server for one test session: Ceph's RGW with one monitor and one store in memory, on loopback.

Debian: ceph-mon, ceph-osd, radosgw. Runs as root only. Ports are free ones, state is a folder that goes with
it; three processes, which end with the block. A "day" of lifecycle rules is DAY_S seconds, and beside
STANDARD there are the storage classes CLASSES, plain pools here: what lies there is read without a restore.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
DAY_S = 3
CLASSES = ("STANDARD_IA", "GLACIER", "COLD", "FROZEN")
_PATIENCE_S = 120.0
_AS_ROOT = ("--setuser", "root", "--setgroup", "root")


@dataclass(frozen=True)
class S3Server:
    """Where it is, and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str

    def client(self) -> Any:
        """A client of its own, beside the code under test."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )

    def bucket(self, *, locks: bool = False) -> "Bucket":
        """A new bucket; with Object Lock, and so with versions, if it `locks`."""
        name = f"test-{secrets.token_hex(6)}"
        client = self.client()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
        return Bucket(self, name, client)


@dataclass(frozen=True)
class Bucket:
    """A bucket, and a client for it that is not the code under test."""

    server: S3Server
    name: str
    client: Any

    def url(self, prefix: str = "") -> str:
        """As a setting."""
        return f"s3://{self.name}/{prefix}".rstrip("/")

    def keys(self) -> list[str]:
        """Names of everything in it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def get(self, key: str) -> bytes:
        """An object."""
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def put(self, key: str, data: bytes) -> None:
        """Over whatever is there."""
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def open_to_all(self) -> str:
        """Let everybody read; the bucket's URL."""
        everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
        statement = everybody | {"Resource": f"arn:aws:s3:::{self.name}/*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.client.put_bucket_policy(Bucket=self.name, Policy=json.dumps(policy))
        return f"{self.server.endpoint}/{self.name}"


def missing() -> str:
    """Why it cannot run here; empty when it can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"Ceph RGW is not installed (Debian: ceph-mon ceph-osd radosgw): no {absent[0]}"
    return "" if os.geteuid() == 0 else "Ceph RGW needs to run as root here"


def started(folder: Path) -> Iterator[S3Server | str]:
    """A server for as long as a fixture lasts, or why there is none.

    Rules of lifecycle are looked at every few seconds, until some tests with them are done: what comes later
    on the same server may wait for ever. Files of tests that wait for rules have a server of their own.
    """
    why = missing()
    if why:
        yield why
        return
    with s3_server(folder / "rgw") as running:
        yield running


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A running server with one user and no buckets."""
    with ExitStack() as stack:
        yield _Cluster(folder, stack).start()


class _Cluster:
    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._port, self._first, self._second = _free_ports(3)
        for name in ("mon", "osd", "rgw", "run"):
            (folder / name).mkdir(parents=True)
        self._env = {**os.environ, "CEPH_CONF": str(folder / "ceph.conf")}

    def start(self) -> S3Server:
        """Monitor, store, gateway: each waits for the one before."""
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        server = S3Server(f"http://127.0.0.1:{self._port}", secrets.token_hex(8), secrets.token_hex(20))
        (self._folder / "ceph.conf").write_text(self._configuration(fsid))
        keys = str(self._folder / "keyring")
        self._run(
            "ceph-authtool", "--create-keyring", keys, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"
        )
        admin = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        self._run("ceph-authtool", keys, "--gen-key", "-n", "client.admin", *admin)
        addresses = f"[v2:127.0.0.1:{self._first},v1:127.0.0.1:{self._second}]"
        monmap = str(self._folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, monmap)
        self._run("ceph-mon", *_AS_ROOT, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keys)
        self._begin("ceph-mon", "-i", "a")
        self._until(lambda: self._says("ceph", "-s") is not None, "the monitor")
        self._run("ceph", "osd", "new", osd)
        self._key("osd.0", "osd", "mon", "allow profile osd", "osd", "allow *")
        self._key("client.rgw", "rgw", "mon", "allow rw", "osd", "allow rwx")
        self._run("ceph-osd", *_AS_ROOT, "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._begin("ceph-osd", "-i", "0")
        self._until(lambda: "1 up" in (self._says("ceph", "osd", "stat") or ""), "the store")
        user = ("--uid=test", "--display-name=test")
        given = (f"--access-key={server.access_key}", f"--secret={server.secret_key}")
        self._run("radosgw-admin", "-n", "client.rgw", "user", "create", *user, *given)
        for name in CLASSES:
            self._storage_class(name)
        self._begin("radosgw", "-n", "client.rgw")
        self._until(self._answers, "the gateway")
        return server

    def _configuration(self, fsid: str) -> str:
        folder = self._folder
        return f"""
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{self._first},v1:127.0.0.1:{self._second}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth allow insecure global id reclaim = false
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/$name.log
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 2
osd pool default pgp num = 2
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
mon max pg per osd = 2000
mon data avail crit = 1
mon data avail warn = 1
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
keyring = {folder}/osd/keyring
[client.rgw]
keyring = {folder}/rgw/keyring
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{self._port} tcp_nodelay=1
rgw dns name = localhost
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw lc debug interval = {DAY_S}
rgw lifecycle work time = 00:00-23:59
rgw lc lock max time = 10
"""

    def _key(self, name: str, folder: str, *caps: str) -> None:
        made = self._says("ceph", "auth", "get-or-create", name, *caps)
        assert made, f"no key for {name}"
        (self._folder / folder / "keyring").write_text(made)

    def _storage_class(self, name: str) -> None:
        """A pool of its own, known to zone group and zone (Ceph documentation, "Pool Placement")."""
        admin = ("radosgw-admin", "-n", "client.rgw")
        placement = ("--placement-id", "default-placement", "--storage-class", name)
        self._run(*admin, "zonegroup", "placement", "add", "--rgw-zonegroup", "default", *placement)
        pool = ("--data-pool", f"default.rgw.{name.lower()}.data")
        self._run(*admin, "zone", "placement", "add", "--rgw-zone", "default", *placement, *pool)

    def _begin(self, program: str, *arguments: str) -> None:
        log = self._stack.enter_context((self._folder / f"{program}.out").open("wb"))
        process = subprocess.Popen(
            [program, *_AS_ROOT, "-f", *arguments],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._stack.callback(_end, process)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, env=self._env, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
        assert done.returncode == 0, f"{command[0]}: {done.stderr[-500:]}"

    def _says(self, *command: str) -> str | None:
        program, *rest = command
        try:
            done = subprocess.run(
                [program, "--connect-timeout", "5", *rest],
                env=self._env,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _until(self, there: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not there():
            assert time.monotonic() < end, f"{what} did not come up: see {self._folder}"
            time.sleep(0.3)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
