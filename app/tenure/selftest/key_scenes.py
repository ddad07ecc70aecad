"""Corruptions of which key signed what, by somebody who has another key and knows how keys follow each other.

What an earlier key really signed cannot be signed again without it, whatever the rows say.
"""

from collections.abc import Callable

from sqlalchemy import delete, update

from tenure.ledger.checkpoint import peek_checkpoint
from tenure.ledger.note import Signer, note_signatures, sign_note
from tenure.selftest.fields import Row
from tenure.selftest.scenes import NotHere, Scene, Stage
from tenure.store import tables

_K, _C, _E = tables.ledger_keys, tables.checkpoints, tables.entries
_STRANGER = bytes(range(1, 33))


def _changes(stage: Stage) -> list[Row]:
    """Keys of the newest log, oldest first. NotHere when it was never changed."""
    rows = [row for row in stage.bench.rows(stage.tenant_id, _K) if row["generation"] == stage.generation]
    if not rows[1:]:
        raise NotHere("a log whose key was changed")
    return rows


def _renamed(stage: Stage, row: Row, stranger: Signer) -> None:
    stage.do(update(_K).where(stage.of_log(_K), _K.c.idx == row["idx"]).values(vkey=stranger.vkey))


def _signed_again(stage: Stage, signed: Callable[[int], bool], stranger: Signer, beside: bytes = b"") -> None:
    """The checkpoints of some sizes signed by a stranger; lines of the key `beside` stay."""
    for row in stage.checkpoints:
        if signed(row["size"]):
            kept = [line.line for line in note_signatures(row["note"]) if line.key_id == beside]
            note = sign_note(peek_checkpoint(row["note"]).body, [stranger]) + "".join(kept)
            stage.do(update(_C).where(stage.of_log(_C), _C.c.size == row["size"]).values(note=note))


def _first_key(stage: Stage) -> None:
    """What was signed before the first change seems to be a stranger's; the hand-over, too."""
    rows, stranger = _changes(stage), Signer(stage.log["origin"], _STRANGER)
    handed_over = rows[1]["size"]
    _renamed(stage, rows[0], stranger)
    beside = bytes.fromhex(rows[1]["vkey"].split("+")[1])
    _signed_again(stage, lambda size: size < handed_over, stranger)
    _signed_again(stage, lambda size: size == handed_over, stranger, beside)


def _newest_key(stage: Stage) -> None:
    rows, stranger = _changes(stage), Signer(stage.log["origin"], _STRANGER)
    _renamed(stage, rows[-1], stranger)
    _signed_again(stage, lambda size: size >= rows[-1]["size"], stranger)


def _row_removed(stage: Stage) -> None:
    """One change in the middle, or the only one, is no longer on record."""
    row = _changes(stage)[1]
    stage.do(delete(_K).where(stage.of_log(_K), _K.c.idx == row["idx"]))


def _rows_removed(stage: Stage) -> None:
    _changes(stage)
    stage.do(delete(_K).where(stage.of_log(_K)))


def _entry_removed(stage: Stage) -> None:
    entry = stage.placed[_changes(stage)[-1]["idx"]]
    here = (stage.mine(_E), _E.c.writer == entry["writer"], _E.c.n == entry["n"])
    stage.do(delete(_E).where(*here))


def _unpublished(stage: Stage) -> None:
    _changes(stage)
    stage.show("rotations", None)


KEY_SCENES = (
    Scene("the first key's row is a stranger's, and he signed again what it had signed", _first_key),
    Scene("the newest key's row is a stranger's, and he signed again what it had signed", _newest_key),
    Scene("the row of a change of key removed", _row_removed),
    Scene("all rows of keys removed", _rows_removed),
    Scene("the entry of a change of key removed", _entry_removed),
    Scene("published: the proofs of the changes of key removed", _unpublished),
)
