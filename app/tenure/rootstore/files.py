"""Root keys as files: the default store, in a directory of its own outside the data and its backups.

    root-000000000007.key         one version's key, mode 0600
    root-000000000006.destroyed   what is known of a destroyed version; no key

Destroying is one unlink. Overwriting the file first would be theatre: SSDs and copy-on-write file systems
write elsewhere and keep the old blocks, so the guarantee below does not claim it.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenure import durable, ids
from tenure.errors import Invalid, KeyFailure, RootLost, Tampered, TooLarge
from tenure.keys.encoding import lp
from tenure.keys.rootstore import MAX_SEALED_BYTES, Capabilities, Destruction, RootVersion, RootVersions
from tenure.keys.secret import Secret, fresh_key, joined, wipe

PROVIDER: Final = "files"
GUARANTEE: Final = (
    "Best effort: the key file was unlinked and its directory synced. This does not hold against forensic "
    "recovery on SSD or copy-on-write storage, nor against a copy of this directory: keep it out of backups."
)
_MAGIC: Final = b"TNRK\x01"
_KEY: Final = 32
_NONCE: Final = 12
_NAME: Final = re.compile(r"root-([0-9]{12})\.(key|destroyed)")
_TEMPORARY: Final = ".new-"
_PRIVATE: Final = 0o700


class _KeyFile(NamedTuple):
    created_at: int
    op_id: str
    key: Secret


class FilesRootStore:
    """A root store over a directory on one machine. Threads and processes may share it (POSIX locks)."""

    def __init__(self, directory: Path) -> None:
        """Create the directory, or take away others' access to it. KeyFailure when that is not possible."""
        self._directory = directory
        try:
            directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            if directory.stat().st_mode & 0o077:
                directory.chmod(_PRIVATE)
        except OSError as failure:
            raise _failed("The root key directory cannot be made private") from failure

    def capabilities(self) -> Capabilities:
        """Provider `files`, and the guarantee."""
        return Capabilities(PROVIDER, GUARANTEE)

    def create(self, op_id: str, *, above: int = 0) -> int:
        """A new version, durable before this returns. The same one for the same `op_id`, destroyed or not."""
        if not op_id:
            raise Invalid("A root version needs the id of its operation; none was created.", rule="op-id")
        with self._exclusive():
            known = self.list()
            for old in known:
                if old.op_id == op_id:
                    return old.version
            version = max(above, *(old.version for old in known), 0) + 1
            head = _MAGIC + version.to_bytes(8) + ids.now().to_bytes(8) + lp(op_id.encode())
            durable.write(self._key_path(version), joined((head, fresh_key())), prefix=_TEMPORARY)
        return version

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        """AES-256-GCM under the version's key, random nonce in front."""
        if len(data) > MAX_SEALED_BYTES:
            raise TooLarge(
                f"A root key seals at most {MAX_SEALED_BYTES} bytes; nothing was sealed.", rule="root-seal"
            )
        key = self._live_key(version)
        nonce = os.urandom(_NONCE)
        sealed = nonce + AESGCM(key).encrypt(nonce, data, _aad(version, aad))
        wipe(key)
        return sealed

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        """Undo `seal`. The key file is read each time, so that a destroyed key is in no cache."""
        key = self._live_key(version)
        try:
            return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _aad(version, aad))
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            raise Tampered(
                "What the root key sealed was changed, or belongs elsewhere. Nothing was opened.",
                rule="root-seal",
            ) from None
        finally:
            wipe(key)

    def destroy(self, version: int, op_id: str) -> Destruction:
        """Unlink the version's key. Later calls give the first call's destruction, if it was complete.

        A key file that was put back after its destruction serves nobody, and goes with the next call, which
        then gives the later time.

        1. The record of destruction is written as begun: from here on the key serves nobody.
        2. The key file goes. A crash before this leaves the version `pending`: call again.
        3. The record says when. A crash before this lets the next call put its own, later time.
        """
        with self._exclusive():
            record = self._record(version)
            if record is None:
                found = self._key_file(version)
                if found is None:
                    raise _lost()
                wipe(found.key)
                record = {
                    "format": "tenure/root-destroyed/v1",
                    "version": version,
                    "created_at": found.created_at,
                    "created_by": found.op_id,
                    "destroyed_by": op_id,
                    "destroyed_at": None,
                }
                self._write_record(version, record)
            if record["destroyed_at"] is None or self._key_path(version).exists():
                self._key_path(version).unlink(missing_ok=True)
                durable.sync(self._directory)
                record = {**record, "destroyed_at": ids.now()}
                self._write_record(version, record)
        at = record["destroyed_at"]
        evidence = {
            "provider": PROVIDER,
            "action": "unlink, fsync of the directory",
            "root_version": str(version),
            "operation": record["destroyed_by"],
        }
        return Destruction("destroyed", at, at, evidence)

    def list(self) -> RootVersions:
        """Every version, oldest first. `pending` is one whose destruction began and has not finished."""
        names = [_NAME.fullmatch(path.name) for path in self._directory.iterdir()]
        return [self._describe(version) for version in sorted({int(name[1]) for name in names if name})]

    def _describe(self, version: int) -> RootVersion:
        found = self._key_file(version)
        record = self._record(version)  # read last: it is there before the key goes
        if found is not None:
            wipe(found.key)
        if record is not None:
            gone = found is None and record["destroyed_at"] is not None
            state: Literal["pending", "destroyed"] = "destroyed" if gone else "pending"
            return RootVersion(version, state, record["created_at"], record["created_by"], PROVIDER)
        if found is None:
            raise _lost()
        return RootVersion(version, "live", found.created_at, found.op_id, PROVIDER)

    def _live_key(self, version: int) -> Secret:
        found = self._key_file(version)
        if found is None:
            raise _lost()
        if self._record(version) is not None:
            wipe(found.key)
            raise _lost()
        return found.key

    def _key_file(self, version: int) -> _KeyFile | None:
        try:
            with self._key_path(version).open("rb", buffering=0) as file:
                raw = Secret(os.fstat(file.fileno()).st_size)
                read = file.readinto(raw)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise _failed("A root key file cannot be read") from failure
        head, op_end = len(_MAGIC) + 16, len(raw) - _KEY
        op_id = raw[head:op_end]
        # The number inside is compared with the one in the name: a file that was renamed does not open.
        front = _MAGIC + version.to_bytes(8)
        if (
            read != len(raw)
            or len(raw) < head + 4 + _KEY
            or not raw.startswith(front)
            or raw[head : head + 4] != (len(op_id) - 4).to_bytes(4)
        ):
            raise _damaged()
        key = Secret(memoryview(raw)[op_end:])
        return _KeyFile(int.from_bytes(raw[head - 8 : head]), op_id[4:].decode(), key)

    def _record(self, version: int) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._record_path(version).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            raise _damaged() from None
        return record

    def _write_record(self, version: int, record: dict[str, Any]) -> None:
        data = json.dumps(record, sort_keys=True).encode()
        durable.write(self._record_path(version), data, prefix=_TEMPORARY)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One writer at a time, in any thread of any process. Removes what a crashed writer left."""
        try:
            # A file object, closed at the end: closing it is what gives the lock back.
            with (self._directory / ".lock").open("a+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for left in self._directory.glob(f"{_TEMPORARY}*"):
                    left.unlink()
                yield
        except OSError as failure:
            raise _failed("The root key directory cannot be written") from failure

    def _key_path(self, version: int) -> Path:
        return self._directory / f"root-{version:012d}.key"

    def _record_path(self, version: int) -> Path:
        return self._directory / f"root-{version:012d}.destroyed"


def _aad(version: int, aad: bytes) -> bytes:
    return lp(b"tenure/v1/root-seal", version.to_bytes(8), aad)


def _lost() -> RootLost:
    return RootLost(
        "The root store has no live key of that version: it was destroyed, or this is the wrong directory. "
        "Nothing was opened or changed."
    )


def _damaged() -> Tampered:
    return Tampered(
        "A file of the root store is damaged. Nothing was opened or changed; restore it.", rule="root-key"
    )


def _failed(what: str) -> KeyFailure:
    return KeyFailure(
        f"{what}. The operation was not completed; check owner, mode and free space, then repeat it.",
        rule="root-dir",
    )
