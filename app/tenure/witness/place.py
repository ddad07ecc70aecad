"""A witness's directory: its key, the logs that it knows, and of each the last head that it cosigned.

key                       name and base64 of the Ed25519 seed, a line each; 0600
logs/<sha256 of origin>/
  vkeys                   the log's keys, one a line; with it the log is known
  checkpoint              the last cosigned checkpoint with both signatures; empty before the first
  lock                    held from reading `checkpoint` until the new one is on disk

The directory must never go back: a witness that was restored from a backup would cosign a fork. A known log
without its `checkpoint` is an error, not a log that begins.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tenure import durable
from tenure.errors import Conflict, Invalid, Malformed, Tampered, Unverified
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.checkpoint import open_checkpoint
from tenure.ledger.cosignature import Cosigner, gather
from tenure.ledger.note import ED25519, Verifier, note_body
from tenure.ledger.witness import START, Head, authenticate, decide, parse_request

_SEED_SIZE = 32
_PRIVATE = 0o700


class Place:
    """One witness. Safe for several threads and processes: each log has a lock file."""

    def __init__(self, directory: Path) -> None:
        """Open a directory that `create` made. Raises `Invalid` when there is no key in it."""
        self._logs = directory / "logs"
        try:
            name, seed = (directory / "key").read_text("utf-8").splitlines()
            self._cosigner = Cosigner(name, from_base64(seed))
        except (OSError, ValueError, Malformed):
            raise Invalid(
                "There is no witness in this directory: its key cannot be read. Nothing was done."
                " Make one with: tenure witness init",
                field="dir",
                rule="witness-key",
            ) from None

    @classmethod
    def create(cls, directory: Path, name: str) -> "Place":
        """Make a key. Raises `Malformed` for a name that cannot name a key, `Conflict` when there is one."""
        seed = secrets.token_bytes(_SEED_SIZE)
        Cosigner(name, seed)
        directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        with _locked(directory / "lock"):
            if (directory / "key").exists():
                raise Conflict(
                    "This directory has a witness's key already. It was left as it is. Use another one.",
                    field="dir",
                    rule="witness-key",
                )
            durable.write(directory / "key", f"{name}\n{to_base64(seed)}\n".encode())
        durable.sync(directory.parent)
        return cls(directory)

    @property
    def vkey(self) -> str:
        """What logs and verifiers are given."""
        return self._cosigner.vkey

    def trust(self, vkey: str) -> str:
        """Know a log by its key, whose name is the log's origin; returns the origin. Repeating is harmless.

        Raises `Malformed` when it is not a log's key.
        """
        key = Verifier.parse(vkey)
        if key.algorithm != ED25519:
            raise Malformed(
                "That is a witness's key, not a log's. It was not registered. Give the key that the log"
                " publishes as `vkey`.",
                field="vkey",
                rule="log-key",
            )
        folder = self._folder(key.name)
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            known = self._keys(key.name)
            # First that there is no head yet, then the keys: a crash in between leaves an unknown log.
            if not known and not (folder / "checkpoint").exists():
                durable.write(folder / "checkpoint", b"")
            lines = dict.fromkeys([*(one.vkey for one in known), key.vkey])
            durable.write(folder / "vkeys", "".join(f"{line}\n" for line in lines).encode())
        durable.sync(self._logs)
        durable.sync(self._logs.parent)
        return key.name

    def add_checkpoint(self, raw: bytes) -> str:
        """Cosign (C2SP tlog-witness): the signature line, when the new head is on disk.

        Raises `Refused`; `Tampered` or OSError when the kept head cannot be relied on or written.
        """
        request = parse_request(raw)
        origin = request.checkpoint.origin
        logs = {origin: self._keys(origin)}
        authenticate(request, logs)
        folder = self._folder(origin)
        with _locked(folder / "lock"):
            decide(request, self._head(origin, logs[origin]))
            line = self._cosigner.cosign(note_body(request.note), int(time.time()))
            # Only signatures that were verified: strangers' lines are not ours to serve.
            signed = open_checkpoint(request.note, logs[origin])
            own = "".join(one.line for one in signed.signatures)
            kept = f"{note_body(request.note)}\n{own}{line}"
            durable.write(folder / "checkpoint", kept.encode())
        return line

    def checkpoint(self, origin_hash: str) -> bytes | None:
        """The last cosigned checkpoint of a log by the hex SHA-256 of its origin, or None."""
        try:
            return (self._logs / origin_hash / "checkpoint").read_bytes() or None
        except FileNotFoundError:
            return None

    def _head(self, origin: str, keys: list[Verifier]) -> Head:
        """What was cosigned last. Anything but our own words about this log fails closed."""
        try:
            text = (self._folder(origin) / "checkpoint").read_bytes().decode()
            if not text:
                return START
            kept = open_checkpoint(text, [*keys, self._cosigner.verifier])
            gather(text, "".join(one.line for one in kept.cosignatures), [self._cosigner.verifier])
        except (FileNotFoundError, UnicodeDecodeError, Unverified):
            raise Tampered(
                "What this witness cosigned last of a log is missing or was changed. Nothing was cosigned."
                " Find out why; give the log a new origin, or the witness a new key.",
                rule="witness-state",
            ) from None
        if kept.checkpoint.origin != origin:
            raise Tampered(
                "A log's folder has the head of another. Nothing was cosigned.", rule="witness-state"
            )
        return Head(kept.checkpoint.size, kept.checkpoint.root)

    def _keys(self, origin: str) -> list[Verifier]:
        try:
            lines = (self._folder(origin) / "vkeys").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Verifier.parse(line) for line in lines]

    def _folder(self, origin: str) -> Path:
        return self._logs / sha256(origin.encode()).hexdigest()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time. Each holder opens the file itself, so threads exclude one another, too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
