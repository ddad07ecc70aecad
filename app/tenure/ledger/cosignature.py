"""Cosignatures (C2SP tlog-cosignature, Ed25519): a witness makes them, a log gathers them."""

from collections.abc import Iterable, Sequence

from tenure.errors import Malformed, Unverified
from tenure.ledger.note import (
    COSIGNATURE,
    MAX_SIGNATURES,
    MAX_TIME,
    Signature,
    Signer,
    Verifier,
    note_body,
    note_signatures,
)


class Cosigner(Signer):
    """A witness's private key under the witness's name; `seed` is 32 bytes."""

    def __init__(self, name: str, seed: bytes | bytearray) -> None:
        super().__init__(name, seed, COSIGNATURE)

    def cosign(self, body: str, time: int) -> str:
        """The signature line over a checkpoint's whole text, said at `time` (POSIX seconds).

        Raises `Malformed` for time 0, which would leave the time out, and beyond 2^63 - 1.
        """
        if not 0 < time <= MAX_TIME:
            raise Malformed(
                "A cosignature's time is in POSIX seconds, above 0. Nothing was signed. Set the clock.",
                field="time",
                rule="cosignature-time",
            )
        return self.signature_line(body, time)


def gather(checkpoint: str, answer: str, witnesses: Iterable[Verifier]) -> str:
    """The checkpoint with those lines of a witness's answer that hold. Lines of other keys are ignored.

    Raises `Unverified`: "note-format", "bad-signature", or "unknown-key" when no line is by these keys.
    """
    body = note_body(checkpoint)
    known = {(key.name, key.key_id): key for key in witnesses if key.algorithm == COSIGNATURE}
    found: list[Signature] = []
    for line in note_signatures(f"{body}\n{answer}"):
        witness = known.get(line[:2])
        if witness is None:
            continue
        if not line.time or not witness.verify(body, line.blob):
            raise Unverified("bad-signature", f"The cosignature of {witness.name} does not hold.")
        found.append(line)
    if not found:
        raise Unverified("unknown-key", "The answer has no cosignature by the witness that was asked.")
    return merge(checkpoint, f"{body}\n{''.join(line.line for line in found)}")


def merge(checkpoint: str, other: str) -> str:
    """The checkpoint with the other's signatures, one for each key: of two by a witness, the later.

    Raises `Unverified` ("note-format") when they are of different texts or there are too many signatures.
    """
    body = note_body(checkpoint)
    if note_body(other) != body:
        raise Unverified("note-format", "The two notes have different texts; their signatures stay apart.")
    lines: dict[tuple[str, bytes], Signature] = {}
    for line in (*note_signatures(checkpoint), *note_signatures(other)):
        kept = lines.setdefault(line[:2], line)
        if (line.time or 0) > (kept.time or 0):
            lines[line[:2]] = line
    if len(lines) > MAX_SIGNATURES:
        raise Unverified("note-format", f"A note has at most {MAX_SIGNATURES} signatures.")
    return f"{body}\n{''.join(line.line for line in lines.values())}"


def cosigned_by(checkpoint: str, witnesses: Sequence[Verifier]) -> tuple[Verifier, ...]:
    """Those witnesses of whom the checkpoint has a cosignature that holds; "" is cosigned by none."""
    if not checkpoint:
        return ()
    body, lines = note_body(checkpoint), note_signatures(checkpoint)
    return tuple(
        key
        for key in witnesses
        if any(line[:2] == (key.name, key.key_id) and key.verify(body, line.blob) for line in lines)
    )
