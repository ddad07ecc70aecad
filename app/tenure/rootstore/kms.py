"""Root keys in AWS KMS: one customer key for each root version.

imported   we make 32 random bytes, import them and wipe ours. Destroyed when KMS says that the material is
           gone: within seconds. The empty shell is deleted after a week.
generated  AWS makes the key. Unusable when its deletion is scheduled, destroyed when AWS no longer has it:
           after 7 to 30 days, and whoever administers the keys can cancel it until then.

What KMS cannot do for us is remember: a deleted key takes its tags along. So a destroyed version is noted on
a key that stays, and the next key takes over the notes (`kms_notes`).
"""

import os
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Final, Literal

from tenure import ids
from tenure.errors import RootLost, Tampered, TooLarge, Unavailable
from tenure.keys.rootstore import MAX_SEALED_BYTES, Capabilities, Destruction, RootVersion, RootVersions
from tenure.keys.secret import wipe
from tenure.rootstore import kms_notes as notes
from tenure.rootstore.kms_calls import ENABLED, PENDING_DELETION, PENDING_IMPORT, KmsCalls, KmsKey
from tenure.rootstore.kms_errors import Missing, Taken
from tenure.rootstore.kms_notes import Gone, Mode

GUARANTEES: Final[dict[Mode, str]] = {
    "imported": (
        "AWS KMS deleted the key material that we had imported, at the time stated for each version; we keep "
        "no copy, and AWS can only give back what is imported again. That it deleted it is AWS's statement."
    ),
    "generated": (
        "AWS KMS made the key and showed it to nobody. It was unusable from the time stated for each "
        "version, and irrecoverable when AWS had deleted it, 7 to 30 days later; until then whoever "
        "administers the keys could have cancelled that. That it deleted it is AWS's statement."
    ),
}
SHELL_DAYS: Final = 7
_DAY_US: Final = 86_400 * 1_000_000
_KEY: Final = 32
_RACES: Final = 20
_LAG: Final = 4
"""How many of the newest numbers a list of aliases may lack."""
_MAX_CIPHERTEXT: Final = 6144  # API reference of Decrypt
_DEAD: Final = (PENDING_IMPORT, PENDING_DELETION)


class KmsRootStore:
    """A root store over one account and region. Any number of processes may share it."""

    def __init__(self, calls: KmsCalls, cell: str, mode: Mode, *, days: int = SHELL_DAYS) -> None:
        """`days` is how long AWS waits before it deletes a generated key: 7 to 30."""
        self._calls = calls
        self._cell = cell
        self._mode: Mode = mode
        self._days = days if mode == "generated" else SHELL_DAYS
        self._provider = f"aws-kms:{mode}"
        self._vanished: set[str] = set()
        """Ids of keys that AWS no longer has: it never uses an id again."""
        self._arns = ""

    def capabilities(self) -> Capabilities:
        """Provider `aws-kms:imported` or `aws-kms:generated`, and the mode's guarantee."""
        return Capabilities(self._provider, GUARANTEES[self._mode])

    def create(self, op_id: str, *, above: int = 0) -> int:
        """A new version, usable when this returns.

        1. A key is made, without material where we import it. A crash leaves a shell that nothing names and
           that never sealed anything.
        2. The alias claims the number. Of two racers one gets it; the other takes the next or, when both work
           for one operation, drops its key. A crash leaves a version that `list` shows, and that the same
           operation finishes.
        3. Material is imported, unless a racer of the same operation was faster.
        """
        notes.check_op(op_id)
        mine = ""
        for _ in range(_RACES):
            keys, gone = self._everything()
            for version, key in keys.items():
                if key.tags.get(notes.OP) == op_id:
                    return self._finished(version, key, mine)
            for version, note in gone.items():
                if note.created_by == op_id:
                    return version
            version = max(above, *keys, *gone, 0) + 1
            mine = self._prepared(mine, version, op_id, gone)
            try:
                self._calls.claim(self._alias(version), mine)
            except Taken:
                holder = self._calls.key(self._alias(version))
                if holder is not None and holder.tags.get(notes.OP) == op_id:
                    return self._finished(version, holder, mine)
                above = version  # whether or not the list of aliases shows it yet
                continue
            self._bring_to_life(mine)
            return version
        raise Unavailable("Others kept taking the next root version's number; nothing was created.")

    def seal(self, version: int, data: bytes, aad: bytes) -> bytes:
        """KMS Encrypt; cell, version and the digest of `aad` are its encryption context."""
        if len(data) > MAX_SEALED_BYTES:
            raise TooLarge(
                f"A root key seals at most {MAX_SEALED_BYTES} bytes; nothing was sealed.", rule="root-seal"
            )
        return self._calls.encrypt(self._alias(version), data, self._context(version, aad))

    def unseal(self, version: int, sealed: bytes, aad: bytes) -> bytes:
        """KMS Decrypt. KMS is asked even for what we know to be destroyed: refusing is its part."""
        if not 0 < len(sealed) <= _MAX_CIPHERTEXT:
            raise Tampered(
                "What the root key sealed was cut or added to; nothing was opened.", rule="root-seal"
            )
        context = self._context(version, aad)
        try:
            return self._calls.decrypt(self._alias(version), sealed, context)
        except Missing:
            note = self._everything()[1].get(version)
            if note is None:
                raise
        return self._calls.decrypt(note.key_id, sealed, context)

    def destroy(self, version: int, op_id: str) -> Destruction:
        """Destroy a version, as far as the mode goes. Safe to repeat after a crash anywhere."""
        notes.check_op(op_id)
        keys, gone = self._everything()
        note = gone.get(version)
        key = keys.get(version) or (self._behind(note) if note else None)
        keeper = _keeper(keys, version)
        if key is None:
            if note is None:
                raise RootLost("AWS KMS never had a key of that root version, or has forgotten it.")
            note = note if note.state == "destroyed" else note.ended(ids.now())
        elif note.how == "material" if note else key.imported and key.state != PENDING_DELETION:
            note = self._destroy_material(version, key, note, op_id)
        else:
            note = self._schedule(version, key, note, op_id, noting_request=keeper is not None)
        if note.state == "destroyed" or note.how == "key":
            self._remember(keeper, {**gone, version: note})
        if note.state == "destroyed" and key is not None:
            # The shell is left to AWS to delete; its alias goes, if what it knew has a place that stays.
            if self._calls.state(key.id) == PENDING_IMPORT:
                self._calls.schedule_deletion(key.id, SHELL_DAYS)
            if keeper is not None:
                self._calls.drop_alias(self._alias(version))
        return self._destruction(note)

    def list(self) -> RootVersions:
        """Every version that has an alias or a note, oldest first. Unfinished creations are `live`."""
        keys, gone = self._everything()
        found: dict[int, RootVersion] = {}
        for version, note in gone.items():
            key = keys.get(version) or self._behind(note)
            found[version] = RootVersion(
                version, _state_of(key, note), note.created_at, note.created_by, self._provider
            )
        for version, key in keys.items():
            if version not in found:
                going = notes.GOING in key.tags or key.state == PENDING_DELETION
                found[version] = RootVersion(
                    version,
                    "pending" if going else "live",
                    key.created_at,
                    key.tags.get(notes.OP, ""),
                    self._provider,
                )
        return [found[version] for version in sorted(found)]

    # ── creating ─────────────────────────────────────────────────────────────────────────────────
    def _prepared(self, mine: str, version: int, op_id: str, gone: dict[int, Gone]) -> str:
        """A key that is ready to claim a number: a new one, or the one that lost its race for another."""
        named = {notes.CELL: self._cell, notes.VERSION: str(version), notes.OP: op_id}
        if not mine:
            return self._calls.create_key(self._mode, {**named, **notes.gone_tags(notes.newest(gone))})
        self._calls.tag(mine, named)
        return mine

    def _finished(self, version: int, key: KmsKey, mine: str) -> int:
        """The version of an operation that was begun before. A key that we made in vain goes."""
        if mine not in ("", key.id):
            self._calls.schedule_deletion(mine, SHELL_DAYS)
        if notes.GOING not in key.tags and key.state != PENDING_DELETION:
            self._bring_to_life(key.id)
        return version

    def _bring_to_life(self, key_id: str) -> None:
        if self._mode == "imported" and self._calls.state(key_id) != ENABLED:
            material = bytearray(os.urandom(_KEY))
            try:
                self._calls.import_material(key_id, material)
            finally:
                wipe(material)
        if not self._calls.until(key_id, ENABLED):
            raise Unavailable("AWS KMS does not show the new root key as enabled; ask again.", retry_after=5)

    # ── destroying ───────────────────────────────────────────────────────────────────────────────
    def _destroy_material(self, version: int, key: KmsKey, note: Gone | None, op_id: str) -> Gone:
        """Imported material.

        1. The key is marked. A crash after this leaves the version `pending`: call again.
        2. KMS deletes the material, and is asked until its own description says so.
        3. Only then it is noted as destroyed.
        """
        if note is not None and key.state in _DEAD:
            return note
        self._calls.tag(key.id, {notes.GOING: op_id})
        request = self._calls.delete_material(key.id)
        gone = self._calls.until(key.id, PENDING_IMPORT)
        at, creator = ids.now(), key.tags.get(notes.OP, "")
        state: Literal["destroyed", "pending"] = "destroyed" if gone else "pending"
        note = Gone(state, "material", key.created_at, at, at, key.id, creator, op_id, request)
        if gone:
            self._calls.tag(key.id, notes.gone_tags({version: note}))
        return note

    def _schedule(
        self, version: int, key: KmsKey, note: Gone | None, op_id: str, *, noting_request: bool
    ) -> Gone:
        """A key that AWS made; also a shell that someone else scheduled before its material was deleted.

        It is noted first, because a key that waits for its deletion takes no tags. One whose deletion was
        cancelled is scheduled again, and its time begins anew.
        """
        if note is not None and key.state == PENDING_DELETION:
            return note
        at, creator = ids.now(), key.tags.get(notes.OP, "")
        until = key.deletion_at or at + self._days * _DAY_US
        note = Gone("pending", "key", key.created_at, at, max(at, until), key.id, creator, op_id, "")
        if key.state == PENDING_DELETION:
            return note
        self._calls.tag(key.id, {notes.GOING: op_id, **notes.gone_tags({version: note})})
        request = self._calls.schedule_deletion(key.id, self._days)
        return replace(note, request=request) if noting_request else note

    def _remember(self, keeper: KmsKey | None, gone: dict[int, Gone]) -> None:
        """Note destroyed versions on a key that stays: also those that only the departing keys knew of."""
        if keeper is None:
            return
        has, newest = notes.read_gone(keeper.tags), notes.newest(gone)
        if old := [version for version in has if version not in newest]:
            self._calls.untag(keeper.id, notes.gone_names(old))
        later = {n: note for n, note in newest.items() if n not in has or has[n].rank < note.rank}
        if later:
            self._calls.tag(keeper.id, notes.gone_tags(later))

    def _destruction(self, note: Gone) -> Destruction:
        evidence = {
            "provider": self._provider,
            "action": "DeleteImportedKeyMaterial" if note.how == "material" else "ScheduleKeyDeletion",
            "key": f"{self._arns}{note.key_id}",
            "operation": note.destroyed_by,
        }
        if note.request:
            evidence["request"] = note.request
        return Destruction(note.state, note.unusable_at, note.irrecoverable_at, evidence)

    # ── knowing ──────────────────────────────────────────────────────────────────────────────────
    def _everything(self) -> tuple[dict[int, KmsKey], dict[int, Gone]]:
        """Versions that have an alias, and what their keys have noted of others.

        Lists of aliases lag behind, so the newest numbers that are missing from them are asked for by name: a
        racer's version that nobody sees would not be destroyed.
        """
        prefix = notes.prefix(self._cell, self._mode)
        numbers = {alias.removeprefix(prefix): id_ for alias, id_ in self._calls.aliases(prefix).items()}
        listed = {int(number): id_ for number, id_ in numbers.items() if number.isdecimal()}
        keys = {version: key for version, id_ in listed.items() if (key := self._calls.key(id_))}
        gone = self._noted(keys)
        newest = max((*keys, *gone), default=0)
        for version in range(max(newest - _LAG, 1), newest + 2):
            if version not in keys and version not in gone:
                key = self._calls.key(self._alias(version))
                if key is not None:
                    keys[version] = key
        return keys, self._noted(keys)

    def _noted(self, keys: dict[int, KmsKey]) -> dict[int, Gone]:
        gone: dict[int, Gone] = {}
        for key in keys.values():
            self._arns = key.arn.removesuffix(key.id)
            for version, note in notes.read_gone(key.tags).items():
                if version not in gone or gone[version].rank < note.rank:
                    gone[version] = note
        return gone

    def _behind(self, note: Gone) -> KmsKey | None:
        """The key that a note is about, if AWS still has it."""
        if note.key_id in self._vanished:
            return None
        key = self._calls.key(note.key_id)
        if key is None:
            self._vanished.add(note.key_id)
        return key

    def _alias(self, version: int) -> str:
        return notes.alias(self._cell, self._mode, version)

    def _context(self, version: int, aad: bytes) -> dict[str, str]:
        # KMS puts the context into its logs: a digest says nothing there.
        return {
            "tenure:cell": self._cell,
            "tenure:version": str(version),
            "tenure:aad": b64encode(sha256(aad).digest()).decode(),
        }


def _keeper(keys: dict[int, KmsKey], but: int) -> KmsKey | None:
    """The newest key that nobody is about to destroy."""
    staying = [
        version
        for version, key in keys.items()
        if version != but and key.state == ENABLED and notes.GOING not in key.tags
    ]
    return keys[max(staying)] if staying else None


def _state_of(key: KmsKey | None, note: Gone) -> Literal["pending", "destroyed"]:
    if key is None or (note.state == "destroyed" and key.state in _DEAD):
        return "destroyed"
    return "pending"
