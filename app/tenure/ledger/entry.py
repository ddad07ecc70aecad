"""Entries: what the ledger says about one access or act. Canonical JSON, under 4 KB, nothing personal.

A draft is complete but for (writer, n): these are known only when its batch is written, so `encode` takes
them. The nonce is in the draft, because commitments are derived from it before that.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from tenure.errors import Invalid, Unverified
from tenure.ids import rfc3339
from tenure.ledger import quick, schema
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.canonical import MAX_INTEGER, canonical, encode_simple, parse_canonical

_ANY_WRITER = "0" * 16
_MOST_DIGITS = len(str(MAX_INTEGER))
# Upper bounds in bytes, so that small entries need no encoding to know that they fit.
_MOST_FIXED, _MOST_TOKEN, _MOST_ACCESS = 600, 203, 230


class Kind(StrEnum):
    """What happened. Verifiers accept later kinds of the same shape, so the set may grow."""

    LOG_OPEN = "log.open"
    """First entry of a log generation; data: origin, generation, and after a loss what was lost."""
    WRITER_END = "writer.end"
    """A writer's last entry: its counter stops here on purpose."""
    TENANT_CREATE = "tenant.create"
    TENANT_LIMITS = "tenant.limits"
    """What a tenant may take and store was declared; data: the numbers, and in the cell's log the tenant."""
    TENANT_CHECKPOINT = "tenant.checkpoint"
    """In the cell's log: the root over one round's salted checkpoints of tenants (`cellproof`)."""
    ACCESS = "access"
    WRITE = "write"
    DELETE = "delete"
    DECISION_OPEN = "decision.open"
    DECISION_SEAL = "decision.seal"
    POLICY_CHANGE = "policy.change"
    POLICY_REPLAY = "policy.replay"
    """A decision's accesses were judged under other rules; data: the decision and the bundle's digest."""
    PRINCIPAL_CHANGE = "principal.change"
    REQUEST_OPEN = "request.open"
    REQUEST_CHANGE = "request.change"
    REQUEST_CLOSE = "request.close"
    EVENT = "event"
    """Something happened to a person that retention may count from; data: scope, event, categories."""
    SUBJECT_LIMIT = "subject.limit"
    """A restriction or an objection of a person was set or lifted; data: its id, the request, the purpose."""
    RECTIFICATION = "rectification"
    """A version was corrected by a newer one; its accesses: it is `withheld` from now on, what was derived
    from it is stale (`listed`)."""
    HOLD_PLACE = "hold.place"
    HOLD_RELEASE = "hold.release"
    SHRED = "shred"
    PURGE = "purge"
    RETENTION_EVICT = "retention.evict"
    RETENTION_PREVIEW = "retention.preview"
    """It was looked at what other Retention manifests would do; data: the digest of the policy with them."""
    TIER_MOVE = "tier.move"
    TIER_RESTORED = "tier.restored"
    """What an archive was asked for can be read, or did not come; data: the retrieval, counts."""
    LIFECYCLE_CHANGE = "lifecycle.change"
    """In the cell's log: the bucket's lifecycle rules are changed; data: digest of ours, counts."""
    RESTORE = "restore"
    DRILL = "drill"
    """A backup was restored elsewhere and tried; data: digest of the report, counts."""
    EVIDENCE = "evidence"
    """The index of an evidence pack was signed; data: its id and digest, the head, the number of files."""
    ROOT_ROTATE = "root.rotate"
    KEY_ROTATE = "key.rotate"
    """The log's own key changes; data: the new key, and which one it follows (`keychain`)."""
    BREAKGLASS = "breakglass"
    NOTICE = "notice"
    """A recipient is told what became of somebody's data, or was not; data: opaque ids, the recipient."""
    PACKAGE = "package"
    """An access package was made, given out or ended; `gathered` lists what was put into it."""


class Action(StrEnum):
    """What one access did with one version."""

    RETURNED = "returned"
    WRITTEN = "written"
    DELETED = "deleted"
    DENIED = "denied"
    WITHHELD = "withheld"
    LISTED = "listed"


class Access(NamedTuple):
    """One version that an entry is about, or one segment of it. `record` is its opaque id.

    `segment` is the place, from 0, in a version that was written in segments. `commitment` (32 bytes) binds
    the content. `entry` (16 bytes) is the nonce of the entry in which the access happened: only the seal of
    a decision names it, so that its commitments can be opened.
    """

    record: str
    version: int
    action: Action
    commitment: bytes | None = None
    entry: bytes | None = None
    segment: int | None = None

    def members(self) -> dict[str, Any]:
        """The JSON form."""
        members: dict[str, Any] = {
            "record": self.record,
            "version": self.version,
            "action": self.action._value_,
        }
        if self.commitment is not None:
            members["commitment"] = to_base64(self.commitment)
        if self.entry is not None:
            members["entry"] = to_base64(self.entry)
        if self.segment is not None:
            members["segment"] = self.segment
        return members


@dataclass(slots=True)
class EntryDraft:
    """An entry but for its writer and number. `at` is in microseconds since the epoch.

    One is made for every access and never changed; making a frozen one takes thrice the time. `data` holds
    kind-specific opaque values: tokens, counts, flags, lists of tokens. `on_behalf_of` is the principal whom
    `principal` said to act for.
    """

    kind: Kind
    at: int
    outcome: str
    principal: str | None = None
    on_behalf_of: str | None = None
    decision: str | None = None
    policy: str | None = None
    purpose: str | None = None
    rules: Sequence[str] = ()
    accesses: Sequence[Access] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(schema.NONCE_BYTES))

    def encode(self, writer: str, n: int) -> bytes:
        """The entry's bytes. `writer` is 16 hex digits, `n` counts from 0 without gaps.

        Raises `Invalid` when a member is not of its form (nothing is repeated in the message) or when the
        entry cannot be brought under 4 KB.
        """
        return self.written(writer, n)[0]

    def written(self, writer: str, n: int) -> tuple[bytes, tuple[str, bytes] | None]:
        """The entry's bytes, and its `separate_list`. Raises as `encode`."""
        if not self._fits():
            return self._encode(writer, n)
        return quick.write(self, writer, n) or self._encode(writer, n)[0], None

    def _fits(self) -> bool:
        """Whether the accesses surely need no separate list, nor the entry more than 4 KB."""
        most = _MOST_FIXED + _MOST_TOKEN * (2 + len(self.rules)) + _MOST_ACCESS * len(self.accesses)
        if self.data:  # Python writes a dictionary of tokens, counts, flags and lists never shorter than JSON
            most += len(str(dict(self.data))) + len('"data":,')
        return most <= schema.MAX_ENTRY

    def separate_list(self) -> tuple[str, bytes] | None:
        """(SHA-256 in hex, bytes) of the access list when it does not fit into the entry, else None.

        Whoever records the entry stores the list too. Writer and number have no part in the choice.
        """
        if self._fits():
            return None
        return self._encode(_ANY_WRITER, MAX_INTEGER)[1]

    def _encode(self, writer: str, n: int) -> tuple[bytes, tuple[str, bytes] | None]:
        members = self._members(writer, n)
        separate = None
        if len(self.accesses) > schema.MAX_INLINE:
            separate = self._separate(members)
        raw = _checked(members)
        # Judged as if `n` were as long as numbers get, so that the choice is the draft's alone.
        if self.accesses and separate is None and len(raw) - len(str(n)) > schema.MAX_ENTRY - _MOST_DIGITS:
            separate = self._separate(members)
            raw = _checked(members)
        if len(raw) > schema.MAX_ENTRY:
            raise Invalid(
                f"The ledger entry would be {len(raw)} bytes, over {schema.MAX_ENTRY}."
                " Nothing was recorded or done. Do less in one operation.",
                rule="entry-too-large",
            )
        return raw, separate

    def _separate(self, members: dict[str, Any]) -> tuple[str, bytes]:
        raw, digest = access_list(self.accesses)
        del members["accesses"]
        members["accesses_sha256"] = digest
        members["accesses_count"] = len(self.accesses)
        return digest, raw

    def _members(self, writer: str, n: int) -> dict[str, Any]:
        """The JSON form. Optional members without a value are absent, never null."""
        members: dict[str, Any] = {
            "v": schema.VERSION,
            "kind": self.kind._value_,
            "at": rfc3339(self.at),
            "writer": writer,
            "n": n,
            "nonce": to_base64(self.nonce),
            "outcome": self.outcome,
        }
        if self.principal is not None:
            members["principal"] = self.principal
        if self.on_behalf_of is not None:
            members["on_behalf_of"] = self.on_behalf_of
        if self.decision is not None:
            members["decision"] = self.decision
        if self.policy is not None:
            members["policy"] = self.policy
        if self.purpose is not None:
            members["purpose"] = self.purpose
        if self.rules:
            members["rules"] = list(self.rules)
        if self.accesses:
            members["accesses"] = [access.members() for access in self.accesses]
        if self.data:
            members["data"] = dict(self.data)
        return members


def _checked(members: dict[str, Any]) -> bytes:
    wrong = schema.entry_misfit(members)
    if wrong is not None:
        raise Invalid(
            f"The ledger entry was refused: {wrong} is not of its form. Nothing was recorded or done."
            " Entries hold opaque ids, digests and declared names only.",
            field=wrong,
            rule="entry-schema",
        )
    return encode_simple(members)


def access_list(accesses: Sequence[Access]) -> tuple[bytes, str]:
    """A separate access list: canonical JSON array of the JSON forms, and its SHA-256 in hex."""
    raw = canonical([access.members() for access in accesses])
    return raw, sha256(raw).hexdigest()


def parse_access_list(raw: bytes, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read a separate access list. Raises `Unverified` ("access-list") unless it is the entry's own."""
    if sha256(raw).hexdigest() == entry.get("accesses_sha256"):
        try:
            value = parse_canonical(raw)
        except ValueError:
            value = None
        if schema.is_access_list(value) and len(value) == entry.get("accesses_count"):
            return list(value)
    raise Unverified("access-list", "The separate access list is not the one that the entry names.")


def accesses_of(members: Sequence[Mapping[str, Any]], *, entry_nonce: str | None = None) -> list[Access]:
    """Accesses from their JSON form; `entry_nonce` (base64) names the entry they were read from."""
    return [
        Access(
            record=access["record"],
            version=access["version"],
            action=Action(access["action"]),
            commitment=_optional_bytes(access.get("commitment")),
            entry=_optional_bytes(entry_nonce or access.get("entry")),
            segment=access.get("segment"),
        )
        for access in members
    ]


def parse_entry(raw: bytes) -> dict[str, Any]:
    """Read an entry strictly, as a verifier must.

    Raises `Unverified`: "entry-too-large", "entry-not-canonical" (not RFC 8785) or "entry-schema" (a
    member is missing, unknown or not of its form).
    """
    if len(raw) > schema.MAX_ENTRY:
        raise Unverified("entry-too-large", f"The entry is {len(raw)} bytes; {schema.MAX_ENTRY} are allowed.")
    try:
        value = parse_canonical(raw)
    except ValueError as failure:
        raise Unverified("entry-not-canonical", "The entry is not canonical JSON (RFC 8785).") from failure
    if type(value) is not dict:
        raise Unverified("entry-schema", "The entry is not a JSON object.")
    wrong = schema.entry_misfit(value)
    if wrong is not None:
        raise Unverified("entry-schema", f"In the entry {wrong} is missing or not of its form.")
    return value


def _optional_bytes(text: str | None) -> bytes | None:
    return None if text is None else from_base64(text)
