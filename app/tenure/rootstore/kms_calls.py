"""The calls to AWS KMS that the root store makes, one method each. No decisions.

Retries of throttled and lost calls are botocore's (`rootstore.open` configures them). What is waited for here
is KMS's eventual consistency: a key that was just made may be unknown for a moment, and a state may lag.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tenure.errors import Tampered
from tenure.rootstore.kms_errors import Missing, Taken, mapped
from tenure.rootstore.kms_notes import Mode

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_kms.type_defs import TagTypeDef

ENABLED: Final = "Enabled"
PENDING_IMPORT: Final = "PendingImport"
PENDING_DELETION: Final = "PendingDeletion"
_PATIENCE: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds between looks at something that AWS may be slow to show."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A key as KMS describes it. Instants in microseconds."""

    id: str
    arn: str
    state: str
    imported: bool
    created_at: int
    deletion_at: int | None
    tags: Mapping[str, str]


class KmsCalls:
    """One KMS client. Every method is one request, or one kind of request repeated."""

    def __init__(self, client: "KMSClient", *, pause: Callable[[float], None] = time.sleep) -> None:
        """`pause` waits so many seconds."""
        self._client = client
        self._pause = pause

    # ── making ───────────────────────────────────────────────────────────────────────────────────
    def create_key(self, mode: Mode, tags: Mapping[str, str]) -> str:
        """A new key's id. An imported one is an empty shell until `import_material`."""
        with mapped():
            made = self._client.create_key(
                Origin="EXTERNAL" if mode == "imported" else "AWS_KMS",
                KeyUsage="ENCRYPT_DECRYPT",
                KeySpec="SYMMETRIC_DEFAULT",
                Description="Root key of a Tenure cell. Its life is Tenure's to end: docs/rootstores.md",
                Tags=_tag_list(tags),
            )
        return made["KeyMetadata"]["KeyId"]

    def claim(self, alias: str, key_id: str) -> None:
        """Give a new key its alias, once and to one key: Taken when it is somewhere already."""

        def ask() -> None:
            with mapped():
                self._client.create_alias(AliasName=alias, TargetKeyId=key_id)

        self._patiently(ask)

    def import_material(self, key_id: str, material: bytearray) -> None:
        """Give a key its 32 bytes, wrapped for this one import (RSA-OAEP with SHA-256, RFC 8017 §7.1).

        KMS takes other material for a key only if it never had any: when another import came first, that
        one stands and this one changes nothing.
        """

        def ask() -> None:
            with mapped():
                given = self._client.get_parameters_for_import(
                    KeyId=key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_4096"
                )
            public = load_der_public_key(given["PublicKey"])
            if not isinstance(public, RSAPublicKey):
                raise Tampered("AWS KMS gave no RSA key to wrap the root key for; nothing was imported.")
            # The library takes immutable bytes only: this copy lives until it is collected.
            wrapped = public.encrypt(bytes(material), OAEP(MGF1(SHA256()), SHA256(), None))
            with mapped():
                self._client.import_key_material(
                    KeyId=key_id,
                    ImportToken=given["ImportToken"],
                    EncryptedKeyMaterial=wrapped,
                    ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
                )

        try:
            self._patiently(ask)
        except Taken:
            return

    # ── using ────────────────────────────────────────────────────────────────────────────────────
    def encrypt(self, key: str, data: bytes, context: Mapping[str, str]) -> bytes:
        """Seal under a key, by id or alias, bound to a context."""
        with mapped():
            done = self._client.encrypt(KeyId=key, Plaintext=data, EncryptionContext=context)
        return done["CiphertextBlob"]

    def decrypt(self, key: str, sealed: bytes, context: Mapping[str, str]) -> bytes:
        """Undo `encrypt`. KMS itself refuses what another key sealed, and a key that is not enabled."""
        with mapped():
            done = self._client.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionContext=context)
        return done["Plaintext"]

    # ── looking ──────────────────────────────────────────────────────────────────────────────────
    def aliases(self, prefix: str) -> dict[str, str]:
        """Alias → key id, of all that begin with `prefix`."""
        found: dict[str, str] = {}
        with mapped():
            for page in self._client.get_paginator("list_aliases").paginate():
                for one in page["Aliases"]:
                    if one["AliasName"].startswith(prefix) and "TargetKeyId" in one:
                        found[one["AliasName"]] = one["TargetKeyId"]
        return found

    def key(self, key: str) -> KmsKey | None:
        """A key by id or alias; None when KMS has none."""
        try:
            with mapped():
                named = self._client.describe_key(KeyId=key)["KeyMetadata"]
                tags: dict[str, str] = {}
                pages = self._client.get_paginator("list_resource_tags")
                for page in pages.paginate(KeyId=named["KeyId"]):
                    tags |= {one["TagKey"]: one["TagValue"] for one in page["Tags"]}
        except Missing:
            return None
        deletion = named.get("DeletionDate")
        return KmsKey(
            id=named["KeyId"],
            arn=named["Arn"],
            state=named["KeyState"],
            imported=named.get("Origin") == "EXTERNAL",
            created_at=_micros(named["CreationDate"].timestamp()),
            deletion_at=_micros(deletion.timestamp()) if deletion else None,
            tags=tags,
        )

    def state(self, key_id: str) -> str | None:
        """A key's state; None when KMS has no such key."""
        try:
            with mapped():
                return self._client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]
        except Missing:
            return None

    def until(self, key_id: str, *states: str) -> bool:
        """Wait for a key to be in one of these states; False when it is not there in time."""
        for seconds in (*_PATIENCE, 0.0):
            if self.state(key_id) in states:
                return True
            self._pause(seconds)
        return False

    # ── ending ───────────────────────────────────────────────────────────────────────────────────
    def tag(self, key_id: str, tags: Mapping[str, str]) -> None:
        """Add tags to a key, or change them."""

        def ask() -> None:
            with mapped():
                self._client.tag_resource(KeyId=key_id, Tags=_tag_list(tags))

        self._patiently(ask)

    def untag(self, key_id: str, names: list[str]) -> None:
        """Take tags away from a key."""
        with mapped():
            self._client.untag_resource(KeyId=key_id, TagKeys=names)

    def delete_material(self, key_id: str) -> str:
        """Have KMS delete imported material; AWS's request id. No harm when there is none."""
        with mapped():
            return self._client.delete_imported_key_material(KeyId=key_id)["ResponseMetadata"]["RequestId"]

    def schedule_deletion(self, key_id: str, days: int) -> str:
        """Have KMS delete a key after so many days; AWS's request id."""
        with mapped():
            done = self._client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=days)
        return done["ResponseMetadata"]["RequestId"]

    def drop_alias(self, alias: str) -> None:
        """Give an alias up."""
        try:
            with mapped():
                self._client.delete_alias(AliasName=alias)
        except Missing:
            return

    def _patiently(self, ask: Callable[[], T]) -> T:
        for seconds in _PATIENCE:
            try:
                return ask()
            except Missing:
                self._pause(seconds)
        return ask()


def _tag_list(tags: Mapping[str, str]) -> "list[TagTypeDef]":
    return [{"TagKey": name, "TagValue": value} for name, value in tags.items()]


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
