"""AWS KMS as its documentation describes key states, behind a real boto3 client: requests are serialised and
checked by botocore as ever, and answered here instead of over the network.

It refuses what AWS refuses. (moto does not: its KMS decrypts with keys that are pending deletion, and it
knows no imported material.) Sources: "Key states of AWS KMS keys" and the API reference of each operation.
"""
# ruff: noqa: N802, N803 - operations and members have the names that AWS gives them

import base64
import datetime as dt
import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import boto3
from botocore.config import Config
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tenure.rootstore.kms import KmsRootStore
from tenure.rootstore.kms_calls import KmsCalls
from tenure.rootstore.kms_notes import Mode

REGION, ACCOUNT = "eu-central-1", "111122223333"
_TAG_VALUE = re.compile(r"[\w \-+=.:/@]{0,256}", re.ASCII)
_ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")


class KmsRefusalError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class KilledError(BaseException):
    """The process is gone, in the middle of a call."""


@dataclass
class Key:
    id: str
    origin: str
    tags: dict[str, str]
    created: dt.datetime
    material: bytes | None
    state: str
    first_material: bytes | None = None
    deletion: dt.datetime | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.id}"


@dataclass
class StrictKms:
    """One account and region. `kill_at` = (call number, before or after): the caller dies there, once.

    `lies`: destruction is claimed, and the old key goes on working. `slow`: how many times a new key is not
    found yet. `between` is called before every request, for a racer to act.
    """

    lies: bool = False
    slow: int = 0
    kill_at: tuple[int, Literal["before", "after"]] | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    between: Callable[[str], None] | None = None
    calls: list[str] = field(default_factory=list)
    keys: dict[str, Key] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)
    """Aliases that lists do not show yet: KMS is eventually consistent."""
    seen: list[bytes] = field(default_factory=list)
    """Every request body, for looking whether a secret was sent in the clear."""
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    _imports: dict[bytes, tuple[str, Any]] = field(default_factory=dict)
    _kept: dict[str, bytes] = field(default_factory=dict)
    _unseen: dict[str, int] = field(default_factory=dict)
    _client: Any = None

    def client(self) -> Any:
        """A boto3 client whose every request is answered here. One is enough: it remembers nothing."""
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> Any:
        made = boto3.client(
            "kms",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-call.kms", self._answer)
        return made

    def pass_days(self, days: float) -> None:
        """AWS deletes what is due, with its aliases and tags."""
        self.now += dt.timedelta(days=days)
        for key in list(self.keys.values()):
            if key.deletion is not None and key.deletion <= self.now:
                del self.keys[key.id]
                self.aliases = {name: target for name, target in self.aliases.items() if target != key.id}

    def cancel_deletion(self, key_id: str) -> None:
        """An administrator changes their mind (CancelKeyDeletion), and enables the key again."""
        key = self.keys[key_id]
        assert key.deletion is not None
        key.deletion, key.state = None, "Enabled" if key.material else "PendingImport"

    def material(self) -> list[bytes]:
        """Everything a root key ever was made of here."""
        return [key.first_material for key in self.keys.values() if key.first_material]

    # ── one request ──────────────────────────────────────────────────────────────────────────────
    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        name = model.name
        number = len(self.calls) + 1
        self.calls.append(name)
        self.seen.append(params["body"])
        if self.kill_at == (number, "before"):
            self.kill_at = None
            raise KilledError(name)
        if self.between is not None:
            racer, self.between = self.between, None
            racer(name)
        request = {"RequestId": str(uuid.uuid4()), "HTTPStatusCode": 200}
        status = 200
        try:
            answer = self._serve(name, json.loads(params["body"]))
        except KmsRefusalError as refusal:
            status, answer = 400, {"Error": {"Code": refusal.code, "Message": f"{ACCOUNT} was refused"}}
        if self.kill_at == (number, "after"):
            self.kill_at = None
            raise KilledError(name)
        return SimpleNamespace(status_code=status), {**answer, "ResponseMetadata": request}

    def _serve(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        if name in self.refuse:
            raise KmsRefusalError(self.refuse[name])
        answer: dict[str, Any] = getattr(self, "_" + name)(**given) or {}
        return answer

    def _find(self, name: str, *states: str) -> Key:
        key_id = self.aliases.get(name, name) if name.startswith("alias/") else name.rpartition("/")[2]
        key = self.keys.get(key_id)
        if key is None:
            raise KmsRefusalError("NotFoundException")
        if self._unseen.get(key.id, 0) > 0:
            self._unseen[key.id] -= 1
            raise KmsRefusalError("NotFoundException")
        if states and key.state not in states:
            raise KmsRefusalError(
                "DisabledException" if key.state == "Disabled" else "KMSInvalidStateException"
            )
        return key

    def _CreateKey(self, *, Origin: str, Tags: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        imported = Origin == "EXTERNAL"
        material = None if imported else os.urandom(32)
        key = Key(
            str(uuid.uuid4()),
            Origin,
            {},
            self.now,
            material,
            "PendingImport" if imported else "Enabled",
            material,
        )
        self._set_tags(key, Tags)
        self.keys[key.id] = key
        self._unseen[key.id] = self.slow
        return {"KeyMetadata": self._metadata(key)}

    def _CreateAlias(self, *, AliasName: str, TargetKeyId: str) -> None:
        assert _ALIAS.fullmatch(AliasName), AliasName
        key = self._find(TargetKeyId, "Enabled", "Disabled", "PendingImport")
        if AliasName in self.aliases:
            raise KmsRefusalError("AlreadyExistsException")
        self.aliases[AliasName] = key.id

    def _DeleteAlias(self, *, AliasName: str) -> None:
        if self.aliases.pop(AliasName, None) is None:
            raise KmsRefusalError("NotFoundException")

    def _ListAliases(self, *, Limit: int = 2, Marker: str = "", **_: Any) -> dict[str, Any]:
        shown = {"alias/aws/s3", *self.aliases} - self.unlisted
        names = sorted(name for name in shown if name > Marker)
        page = [{"AliasName": name} | self._target(name) for name in names[:Limit]]
        return {"Aliases": page, "Truncated": len(names) > Limit} | (
            {"NextMarker": names[Limit - 1]} if len(names) > Limit else {}
        )

    def _target(self, name: str) -> dict[str, str]:
        return {"TargetKeyId": self.aliases[name]} if name in self.aliases else {}

    def _DescribeKey(self, *, KeyId: str) -> dict[str, Any]:
        return {"KeyMetadata": self._metadata(self._find(KeyId))}

    def _ListResourceTags(self, *, KeyId: str, Limit: int = 3, Marker: str = "0", **_: Any) -> dict[str, Any]:
        tags = sorted(self._find(KeyId).tags.items())
        at = int(Marker)
        page = [{"TagKey": name, "TagValue": value} for name, value in tags[at : at + Limit]]
        more = {"NextMarker": str(at + Limit)} if at + Limit < len(tags) else {}
        return {"Tags": page, "Truncated": bool(more), **more}

    def _TagResource(self, *, KeyId: str, Tags: list[dict[str, str]]) -> None:
        self._set_tags(self._find(KeyId, "Enabled", "Disabled", "PendingImport"), Tags)

    def _UntagResource(self, *, KeyId: str, TagKeys: list[str]) -> None:
        for name in TagKeys:
            self._find(KeyId, "Enabled", "Disabled", "PendingImport").tags.pop(name, None)

    def _GetParametersForImport(
        self, *, KeyId: str, WrappingAlgorithm: str, WrappingKeySpec: str
    ) -> dict[str, Any]:
        assert (WrappingAlgorithm, WrappingKeySpec) == ("RSAES_OAEP_SHA_256", "RSA_4096")
        key = self._find(KeyId, "Enabled", "Disabled", "PendingImport")
        if key.origin != "EXTERNAL":
            raise KmsRefusalError("UnsupportedOperationException")
        token = os.urandom(16)
        self._imports[token] = (key.id, _WRAPPING)
        public = _WRAPPING.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {"KeyId": key.arn, "ImportToken": token, "PublicKey": public}

    def _ImportKeyMaterial(
        self, *, KeyId: str, ImportToken: str, EncryptedKeyMaterial: str, ExpirationModel: str, **_: Any
    ) -> dict[str, Any]:
        assert ExpirationModel == "KEY_MATERIAL_DOES_NOT_EXPIRE"
        key = self._find(KeyId, "Enabled", "Disabled", "PendingImport")
        meant, private = self._imports.get(base64.b64decode(ImportToken), ("", None))
        if meant != key.id:
            raise KmsRefusalError("InvalidImportTokenException")
        material = private.decrypt(
            base64.b64decode(EncryptedKeyMaterial), OAEP(MGF1(SHA256()), SHA256(), None)
        )
        assert len(material) == 32
        if key.first_material not in (None, material):
            raise KmsRefusalError("IncorrectKeyMaterialException")
        key.material = key.first_material = material
        if key.state == "PendingImport":
            key.state = "Enabled"
        return {"KeyId": key.arn}

    def _DeleteImportedKeyMaterial(self, *, KeyId: str) -> dict[str, Any]:
        key = self._find(KeyId)
        if key.origin != "EXTERNAL":
            raise KmsRefusalError("UnsupportedOperationException")
        self._lose(key)
        if key.state != "PendingDeletion":
            key.state = "PendingImport"
        return {"KeyId": key.arn}

    def _ScheduleKeyDeletion(self, *, KeyId: str, PendingWindowInDays: int) -> dict[str, Any]:
        assert 7 <= PendingWindowInDays <= 30
        key = self._find(KeyId, "Enabled", "Disabled", "PendingImport")
        key.state, key.deletion = "PendingDeletion", self.now + dt.timedelta(days=PendingWindowInDays)
        if self.lies and key.material:
            self._kept[key.id] = key.material
        return {"KeyId": key.arn, "DeletionDate": key.deletion, "KeyState": key.state}

    def _lose(self, key: Key) -> None:
        if self.lies and key.material:
            self._kept[key.id] = key.material
        key.material = None

    def _Encrypt(self, *, KeyId: str, Plaintext: str, EncryptionContext: dict[str, str]) -> dict[str, Any]:
        key = self._find(KeyId, "Enabled")
        assert key.material is not None
        nonce = os.urandom(12)
        sealed = AESGCM(key.material).encrypt(nonce, base64.b64decode(Plaintext), _context(EncryptionContext))
        return {"KeyId": key.arn, "CiphertextBlob": key.id.encode() + nonce + sealed}

    def _Decrypt(
        self, *, KeyId: str, CiphertextBlob: str, EncryptionContext: dict[str, str]
    ) -> dict[str, Any]:
        key = self._find(KeyId)
        lying = self._kept.get(key.id)
        if lying is None:
            self._find(KeyId, "Enabled")
        blob = base64.b64decode(CiphertextBlob)
        sealed_by = blob[:36].decode(errors="replace")
        if sealed_by not in self.keys:
            raise KmsRefusalError("InvalidCiphertextException")
        if sealed_by != key.id:
            raise KmsRefusalError("IncorrectKeyException")
        try:
            plain = AESGCM(lying or key.material or b"").decrypt(
                blob[36:48], blob[48:], _context(EncryptionContext)
            )
        except (InvalidTag, ValueError):
            raise KmsRefusalError("InvalidCiphertextException") from None
        return {"KeyId": key.arn, "Plaintext": plain}

    def _set_tags(self, key: Key, tags: list[dict[str, str]]) -> None:
        for tag in tags:
            assert _TAG_VALUE.fullmatch(tag["TagKey"]), tag
            assert len(tag["TagKey"]) <= 128
            assert _TAG_VALUE.fullmatch(tag["TagValue"]), tag
            key.tags[tag["TagKey"]] = tag["TagValue"]
        assert len(key.tags) <= 50

    def _metadata(self, key: Key) -> dict[str, Any]:
        found = {
            "KeyId": key.id,
            "Arn": key.arn,
            "KeyState": key.state,
            "Origin": key.origin,
            "CreationDate": key.created,
        }
        return found | ({"DeletionDate": key.deletion} if key.deletion else {})


def _context(context: dict[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True).encode()


# One for all: making 4096 bits takes a second, and who wraps for whom is in the import token.
_WRAPPING = rsa.generate_private_key(65537, 2048)


def store_on(kms: StrictKms, mode: Mode = "imported", cell: str = "test", days: int = 7) -> KmsRootStore:
    """A store as another process would open it: with a client and a memory of its own."""
    return KmsRootStore(KmsCalls(kms.client(), pause=lambda _: None), cell, mode, days=days)
