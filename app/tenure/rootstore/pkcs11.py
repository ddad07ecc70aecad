"""Root keys in a PKCS#11 token (an HSM): an AES-256 key for each root version, made and destroyed inside it.

    tenure-<cell>-root-<version>    a key, sensitive, never extractable; its id says when, and by whom
    tenure-<cell>-claim-<version>   the same, before it is known to have its number for itself
    tenure-<cell>-going-<version>   data: a destruction that began
    tenure-<cell>-gone-<version>    data: a destroyed version

Specification: PKCS #11 v3.0; CKM_AES_GCM in its Current Mechanisms, §2.12.
"""

import json
import os
import random
import re
import time
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, Session
from pkcs11 import exceptions as p11
from pkcs11.mechanisms import GCMParams

from tenure import ids
from tenure.errors import Invalid, KeyFailure, RootLost, Tampered, TooLarge, Unavailable
from tenure.keys.encoding import lp
from tenure.keys.rootstore import MAX_SEALED_BYTES, Capabilities, Destruction, RootVersion, RootVersions
from tenure.rootstore.pkcs11_token import Token

__all__ = ["Pkcs11RootStore", "Token"]

PROVIDER: Final = "pkcs11"
GUARANTEE: Final = (
    "The key was made inside the token, could not be taken out, and was destroyed there; a look-up "
    "afterwards found none. How the token erases its memory is its maker's statement. A backup or clone of "
    "the token, or another member of its cluster, may still hold the key: keep root keys out of them. A "
    "software token is files on a disk and keeps no more than those do."
)
_AES_BITS: Final = 256
_NONCE: Final = 12
_TAG: Final = 16
_RACES: Final = 20
_REMEMBERED: Final = 100
"""Destroyed versions that stay on record: room on a token is small."""
_TEMPLATE: Final = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: True,  # its label only: a claim becomes a root version
    Attribute.COPYABLE: False,
    Attribute.ENCRYPT: True,
    Attribute.DECRYPT: True,
    Attribute.WRAP: False,
    Attribute.UNWRAP: False,
    Attribute.SIGN: False,
    Attribute.VERIFY: False,
}
_OP_ID: Final = re.compile(r"[!-~]{1,100}")


class _Found(NamedTuple):
    """An object of ours on the token."""

    kind: str
    version: int
    object: Any
    created_at: int
    op_id: str
    record: dict[str, Any] | None
    """A data object's content; None for a key."""


class Pkcs11RootStore:
    """A root store on one token. Processes may share it as far as the token lets them share sessions."""

    def __init__(self, token: Token, cell: str) -> None:
        self._token = token
        self._cell = cell

    def capabilities(self) -> Capabilities:
        """Provider `pkcs11`, and the guarantee."""
        return Capabilities(PROVIDER, GUARANTEE)

    def create(self, op_id: str, *, above: int = 0) -> int:
        """A new version, made on the token.

        PKCS #11 cannot reserve a name, so a number is claimed before it is used. (On one machine the token's
        lock file already keeps racers apart. If a token ever shows two keys of one number, neither is used.)

        1. A key is made under a claim. Of two racers for a number the later one at least sees both claims,
           and takes its own back. A crash leaves a claim: nothing is ever sealed under one.
        2. Alone, the claim becomes the root version, by its label. A crash leaves the version of this
           operation, to be found by it.
        """
        if not _OP_ID.fullmatch(op_id):
            raise Invalid("A root version needs the id of its operation; none was created.", rule="op-id")
        for _ in range(_RACES):
            with self._token.session() as session:
                version = self._claimed(session, op_id, above)
            if version:
                return version
            time.sleep(random.uniform(0.01, 0.2))  # noqa: S311 - so that racers part
        raise Unavailable("Others kept taking the next root version's number; nothing was created.")

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        """AES-256-GCM on the token, random nonce in front."""
        if len(data) > MAX_SEALED_BYTES:
            raise TooLarge(
                f"A root key seals at most {MAX_SEALED_BYTES} bytes; nothing was sealed.", rule="root-seal"
            )
        with self._token.session() as session:
            return _encrypt(self._live(session, version), data, _aad(version, aad))

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        """Undo `seal`, on the token."""
        with self._token.session() as session:
            key = self._live(session, version)
            if len(sealed) < _NONCE + _TAG:
                raise _tampered()
            try:
                return _decrypt(key, sealed, _aad(version, aad))
            except (p11.EncryptedDataInvalid, p11.EncryptedDataLenRange):
                raise _tampered() from None
            except (p11.GeneralError, p11.FunctionFailed):
                # What SoftHSM answers to a wrong tag. Is it the token that fails?
                _decrypt(key, _encrypt(key, b"", b"probe"), b"probe")
                raise _tampered() from None

    def destroy(self, version: int, op_id: str) -> Destruction:
        """Destroy a version's key on the token. Later calls give the first call's destruction.

        1. The record of destruction is written as begun: from here on the key serves nobody.
        2. The key goes, and a look-up shows that it is gone. A crash before this leaves the version
           `pending`: call again.
        3. The record says when. A crash before this lets the next call put its own, later time.
        """
        with self._token.session() as session:
            found = _objects(session, self._cell)
            keys = _keys(found, version)
            record = _record(found, version)
            if record is None:
                if not keys:
                    raise _lost()
                record = {
                    "created_at": keys[0].created_at,
                    "created_by": keys[0].op_id,
                    "destroyed_by": op_id,
                }
                self._write(session, "going", version, record)
            if keys or "destroyed_at" not in record:
                for one in keys:
                    _remove(one.object)
                if _keys(_objects(session, self._cell), version):
                    raise KeyFailure(
                        "The token shows the key after destroying it. Nothing is claimed; ask its maker.",
                        rule="pkcs11",
                    )
                token = {
                    "token": session.token.label,
                    "serial": session.token.serial.decode(errors="replace"),
                }
                record = {**record, **token, "destroyed_at": ids.now()}
                self._write(session, "gone", version, record)
                self._forget(session, version)
        at = record["destroyed_at"]
        evidence = {
            "provider": PROVIDER,
            "action": "C_DestroyObject; C_FindObjects then found no such key",
            "token": record["token"],
            "serial": record["serial"],
            "label": label(self._cell, "root", version),
            "operation": record["destroyed_by"],
        }
        return Destruction("destroyed", at, at, evidence)

    def list(self) -> RootVersions:
        """Every version on the token, oldest first. A claim that a crash left counts as `live`."""
        with self._token.session() as session:
            found = _objects(session, self._cell)
        versions = []
        for version in sorted({one.version for one in found}):
            keys, record = _keys(found, version), _record(found, version)
            if record is None:
                state: Literal["live", "pending", "destroyed"] = "live"
                created_at, op_id = keys[0].created_at, keys[0].op_id
            else:
                state = "pending" if keys or "destroyed_at" not in record else "destroyed"
                created_at, op_id = record["created_at"], record["created_by"]
            versions.append(RootVersion(version, state, created_at, op_id, PROVIDER))
        return versions

    # ── creating ─────────────────────────────────────────────────────────────────────────────────
    def _claimed(self, session: Session, op_id: str, above: int) -> int | None:
        """This operation's version; None when a racer wants the same number."""
        found = _objects(session, self._cell)
        for one in found:
            if one.op_id == op_id and one.kind != "claim":
                return one.version
            if one.op_id == op_id:
                _remove(one.object)  # what a crash left, or a racer of the same operation: one of us goes on
        version = max(above, *(one.version for one in found), 0) + 1
        key = session.generate_key(
            KeyType.AES,
            _AES_BITS,
            id=ids.now().to_bytes(8) + op_id.encode(),
            label=label(self._cell, "claim", version),
            store=True,
            template=_TEMPLATE,
        )
        if len([one for one in _objects(session, self._cell) if one.version == version]) > 1:
            _remove(key)
            return None
        try:
            key[Attribute.LABEL] = label(self._cell, "root", version)
        except p11.ObjectHandleInvalid:
            return None  # the racer of the same operation goes on
        return version

    # ── records ──────────────────────────────────────────────────────────────────────────────────
    def _write(self, session: Session, kind: str, version: int, record: dict[str, Any]) -> None:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.DATA,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: True,
                Attribute.APPLICATION: "tenure",
                Attribute.LABEL: label(self._cell, kind, version),
                Attribute.VALUE: json.dumps(record, sort_keys=True).encode(),
            }
        )

    def _forget(self, session: Session, version: int) -> None:
        """Remove records that newer ones stand for, and the oldest when there are too many."""
        found = [one for one in _objects(session, self._cell) if one.record is not None]
        remembered = sorted({one.version for one in found if one.kind == "gone"})[-_REMEMBERED:]
        newest = _record(found, version)
        for one in found:
            if (one.version == version and one.record != newest) or (
                one.kind == "gone" and one.version not in remembered
            ):
                _remove(one.object)

    def _live(self, session: Session, version: int) -> Any:  # noqa: ANN401 - the library's key
        found = _objects(session, self._cell)
        roots = [one for one in found if one.version == version and one.kind == "root"]
        if _record(found, version) is not None or not roots:
            raise _lost()
        if len(roots) > 1:
            raise KeyFailure(
                "The token has two keys of one root version; neither was used.",
                rule="pkcs11",
                remedy="Find out who copied an object on the token, and remove the copy.",
            )
        return roots[0].object


def label(cell: str, kind: str, version: int) -> str:
    """An object's label."""
    return f"tenure-{cell}-{kind}-{version:012d}"


def _objects(session: Session, cell: str) -> list[_Found]:
    """Every object of a cell. A search is read to its end first: a session has only one at a time."""
    found = []
    for kind in (ObjectClass.SECRET_KEY, ObjectClass.DATA):
        for one in _search(session, kind):
            try:
                ours = _read(one, cell, is_record=kind is ObjectClass.DATA)
            except p11.ObjectHandleInvalid:
                continue  # another process removed it just now
            if ours is not None:
                found.append(ours)
    return found


def _search(session: Session, kind: ObjectClass) -> list[Any]:
    """Every object of a class. The library stumbles over one that another process removes meanwhile."""
    for _ in range(_RACES):
        with suppress(p11.ObjectHandleInvalid):
            return list(session.get_objects({Attribute.CLASS: kind}))
    raise Unavailable("The token's objects change too fast to be listed; nothing was done.")


def _read(one: Any, cell: str, *, is_record: bool) -> _Found | None:  # noqa: ANN401 - the library's object
    name = re.fullmatch(
        rf"tenure-{re.escape(cell)}-(root|claim|going|gone)-([0-9]{{12}})", one[Attribute.LABEL]
    )
    if name is None:
        return None
    if is_record:
        record = json.loads(one[Attribute.VALUE])
        return _Found(name[1], int(name[2]), one, record["created_at"], record["created_by"], record)
    made = one[Attribute.ID]
    return _Found(name[1], int(name[2]), one, int.from_bytes(made[:8]), made[8:].decode(), None)


def _remove(one: Any) -> None:  # noqa: ANN401 - the library's object
    with suppress(p11.ObjectHandleInvalid):  # another process was faster
        one.destroy()


def _keys(found: list[_Found], version: int) -> list[_Found]:
    return [one for one in found if one.version == version and one.record is None]


def _record(found: list[_Found], version: int) -> dict[str, Any] | None:
    """What is known of a version's destruction; the newest record of several."""
    records = [one.record for one in found if one.version == version and one.record is not None]
    return max(records, key=lambda record: record.get("destroyed_at", 0), default=None)


def _encrypt(key: Any, data: bytes, aad: bytes) -> bytes:  # noqa: ANN401 - the library's key
    nonce = os.urandom(_NONCE)
    return nonce + bytes(key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, aad)))


def _decrypt(key: Any, sealed: bytes, aad: bytes) -> bytes:  # noqa: ANN401 - the library's key
    param = _gcm(sealed[:_NONCE], aad)
    return bytes(key.decrypt(sealed[_NONCE:], mechanism=Mechanism.AES_GCM, mechanism_param=param))


def _gcm(nonce: bytes, aad: bytes) -> GCMParams:
    return GCMParams(nonce=nonce, aad=aad, tag_bits=8 * _TAG)


def _aad(version: int, aad: bytes) -> bytes:
    return lp(b"tenure/v1/root-seal", version.to_bytes(8), aad)


def _lost() -> RootLost:
    return RootLost(
        "The token has no live key of that root version: it was destroyed, or this is another token or cell. "
        "Nothing was opened or changed."
    )


def _tampered() -> Tampered:
    return Tampered(
        "What the root key sealed was changed, or belongs elsewhere. Nothing was opened.", rule="root-seal"
    )
