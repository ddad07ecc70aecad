"""A root store in memory that is strict: it fails the test when its caller breaks an invariant.

It can be told to fail with or without having done the work, and to lie about a destruction.
"""

import hmac
import os
from dataclasses import dataclass, field
from typing import Literal

from tenure.errors import RootLost, Tampered, Unavailable
from tenure.keys.rootstore import Capabilities, Destruction, RootVersion, RootVersions

Method = Literal["create", "seal", "unseal", "destroy"]


@dataclass
class _Version:
    key: bytes
    op_id: str
    created_at: int
    destruction: Destruction | None = None


@dataclass
class FakeRootStore:
    """Keeps a key for each version; a seal is a keyed stream and a MAC, enough for a test.

    `fail_next[method] = "before"` makes the next call of a method raise Unavailable with nothing done;
    `"after"` raises with the work done, as a lost answer does. With `lies` a destruction is claimed while the
    version still unseals: what a verifying caller must catch. With `pending` the provider needs `finish`.
    """

    lies: bool = False
    pending: bool = False
    fail_next: dict[Method, Literal["before", "after"]] = field(default_factory=dict)
    calls: list[tuple[str, int | str]] = field(default_factory=list)
    _versions: dict[int, _Version] = field(default_factory=dict)
    _clock: int = 0

    def capabilities(self) -> Capabilities:
        return Capabilities("fake", "None: this store is for tests.")

    def create(self, op_id: str, *, above: int = 0) -> int:
        assert op_id, "create without an operation id"
        self._enter("create", op_id)
        version = next((number for number, one in self._versions.items() if one.op_id == op_id), None)
        if version is None:
            version = max(above, *self._versions, 0) + 1
            self._versions[version] = _Version(os.urandom(32), op_id, self._tick())
        self._leave("create")
        return version

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        assert len(data) <= 64, "a root key seals at most 64 bytes"
        assert aad, "a seal without associated data can be moved anywhere"
        self._enter("seal", version)
        one = self._known(version)
        assert one.destruction is None, "sealing under a destroyed root: what it seals is lost"
        nonce = os.urandom(16)
        body = bytes(a ^ b for a, b in zip(data, self._stream(one, nonce, len(data)), strict=True))
        self._leave("seal")
        return nonce + body + self._tag(one, version, nonce + body, aad)

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        self._enter("unseal", version)
        one = self._versions.get(version)
        if one is None or (one.destruction is not None and not self.lies):
            raise RootLost("The fake root store has no live key of that version.")
        nonce, body, tag = sealed[:16], sealed[16:-32], sealed[-32:]
        if not hmac.compare_digest(tag, self._tag(one, version, nonce + body, aad)):
            raise Tampered("The fake root store did not seal that.")
        self._leave("unseal")
        return bytes(a ^ b for a, b in zip(body, self._stream(one, nonce, len(body)), strict=True))

    def destroy(self, version: int, op_id: str) -> Destruction:
        assert op_id, "destroy without an operation id"
        self._enter("destroy", version)
        one = self._known(version)
        if one.destruction is None:
            at = self._tick()
            state: Literal["pending", "destroyed"] = "pending" if self.pending else "destroyed"
            one.destruction = Destruction(
                state, at, at + 1_000 * self.pending, {"provider": "fake", "operation": op_id}
            )
            if not self.lies:
                one.key = b""
        self._leave("destroy")
        return one.destruction

    def finish(self, version: int) -> None:
        """The provider completes a pending destruction."""
        one = self._known(version)
        assert one.destruction is not None, "finishing a destruction that was never asked for"
        old = one.destruction
        one.destruction = Destruction("destroyed", old.unusable_at, old.irrecoverable_at, old.evidence)

    def list(self) -> RootVersions:
        return [
            RootVersion(
                number,
                one.destruction.state if one.destruction else "live",
                one.created_at,
                one.op_id,
                "fake",
            )
            for number, one in sorted(self._versions.items())
        ]

    def _known(self, version: int) -> _Version:
        assert version in self._versions, f"root version {version} was never created"
        return self._versions[version]

    def _enter(self, method: Method, what: int | str) -> None:
        self.calls.append((method, what))
        if self.fail_next.get(method) == "before":
            del self.fail_next[method]
            raise Unavailable("The fake root store failed before doing anything.")

    def _leave(self, method: Method) -> None:
        if self.fail_next.pop(method, None) == "after":
            raise Unavailable("The fake root store did the work and then failed.")

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    @staticmethod
    def _stream(one: _Version, nonce: bytes, length: int) -> bytes:
        block = b"".join(hmac.digest(one.key, nonce + bytes([n]), "sha256") for n in range(2))
        return block[:length]

    @staticmethod
    def _tag(one: _Version, version: int, body: bytes, aad: bytes) -> bytes:
        return hmac.digest(
            one.key, b"tag" + version.to_bytes(8) + len(aad).to_bytes(8) + aad + body, "sha256"
        )
