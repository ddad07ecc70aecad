"""Signed notes (C2SP signed-note): a text, and lines that say who signed it.

Two signature types: 0x01, Ed25519 over the text, and 0x04, a witness's timestamped cosignature of a
checkpoint (C2SP tlog-cosignature).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenure.errors import Malformed, Unverified
from tenure.ledger.base64 import from_base64, to_base64

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100
MAX_TIME = 2**63 - 1
"""The latest time of a cosignature, POSIX seconds (tlog-cosignature, "Format")."""

_DASH = "\N{EM DASH} "
_KEY_SIZE = 32
_KEY_ID_SIZE = 4
_SIGNATURE_SIZE = 64
_TIME_SIZE = 8
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"(?P<name>[^+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]+)")


class Signature(NamedTuple):
    """One signature line: key name, 4-byte key id, and the rest of what it carries."""

    name: str
    key_id: bytes
    blob: bytes

    @property
    def time(self) -> int | None:
        """POSIX seconds of a cosignature (type 0x04), None for other types."""
        if len(self.blob) != _TIME_SIZE + _SIGNATURE_SIZE:
            return None
        return int.from_bytes(self.blob[:_TIME_SIZE])

    @property
    def line(self) -> str:
        """The signature line, with its newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.blob)}\n"


class Note(NamedTuple):
    """An opened note: its text with the final newline, and its signatures by what is known of them."""

    body: str
    verified: tuple[Signature, ...]
    unknown: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under a name. Equal name and id mean the same key and signature type."""

    name: str
    public: bytes
    algorithm: int = ED25519

    @property
    def key_id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ type ‖ key)[:4]."""
        text = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return sha256(text).digest()[:_KEY_ID_SIZE]

    @property
    def vkey(self) -> str:
        """`<name>+<key id in hex>+<base64 of type ‖ key>`."""
        key = to_base64(bytes([self.algorithm]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, vkey: str) -> "Verifier":
        """Read a vkey. Raises `Malformed` when it is none, or not of a type that this build verifies."""
        match = _VKEY.fullmatch(vkey.strip())
        try:
            raw = from_base64(match["key"]) if match else b""
        except ValueError:
            raw = b""
        if match and len(raw) == 1 + _KEY_SIZE and raw[0] in (ED25519, COSIGNATURE):
            verifier = cls(match["name"], raw[1:], raw[0])
            if is_name(verifier.name) and verifier.key_id.hex() == match["id"]:
                return verifier
        raise Malformed(
            "That is not a verifier key. Nothing was checked. Give it as the log publishes it: name+id+key.",
            field="vkey",
            rule="vkey",
        )

    def verify(self, body: str, blob: bytes) -> bool:
        """Whether `blob` is this key's signature of the text."""
        message = body.encode()
        if self.algorithm == COSIGNATURE:
            time = int.from_bytes(blob[:_TIME_SIZE])
            if time > MAX_TIME:
                return False
            message = cosigned_message(body, time)
            blob = blob[_TIME_SIZE:]
        return self.verify_bytes(message, blob)

    def verify_bytes(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's plain Ed25519 signature (RFC 8032) of the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer:
    """A private key under a name; `seed` is the 32 bytes of RFC 8032 §5.1.5."""

    def __init__(self, name: str, seed: bytes | bytearray, algorithm: int = ED25519) -> None:
        if not is_name(name):
            raise Malformed(
                "A key name is not empty and has no spaces and no `+`. No key was made.", rule="key-name"
            )
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._private.public_key().public_bytes_raw(), algorithm)
        self.name = name

    @property
    def vkey(self) -> str:
        """The public half, as verifiers take it."""
        return self.verifier.vkey

    def sign_bytes(self, message: bytes) -> bytes:
        """A plain Ed25519 signature, 64 bytes."""
        return self._private.sign(message)

    def signature_line(self, body: str, time: int | None = None) -> str:
        """One signature line for a text. `time` (POSIX seconds) is for cosignatures only."""
        if self.verifier.algorithm == COSIGNATURE:
            at = time or 0
            blob = at.to_bytes(_TIME_SIZE) + self.sign_bytes(cosigned_message(body, at))
        else:
            blob = self.sign_bytes(body.encode())
        return Signature(self.name, self.verifier.key_id, blob).line


def cosigned_message(body: str, time: int) -> bytes:
    """What a witness signs: a header, the time, and the whole text of the checkpoint."""
    return f"cosignature/v1\ntime {time}\n{body}".encode()


def is_name(name: str) -> bool:
    """Key names are not empty and have neither Unicode spaces nor `+` nor control characters."""
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def sign_note(body: str, signers: Iterable[Signer]) -> str:
    """A signed note. `body` ends with a newline. Raises `Malformed` when it cannot be a note's text."""
    if not body.endswith("\n") or _CONTROL.search(body):
        raise Malformed(
            "A note's text ends with a newline and has no other control characters. Nothing was signed.",
            rule="note-text",
        )
    return body + "\n" + "".join(signer.signature_line(body) for signer in signers)


def open_note(text: str, verifiers: Sequence[Verifier]) -> Note:
    """Split a note and check its signatures against known keys.

    Signatures of unknown keys are ignored; one failing signature of a known key rejects the note.
    Raises `Unverified`: "note-format", "bad-signature", or "unknown-key" when no known key signed.
    """
    body, signatures = _split(text)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    verified: list[Signature] = []
    unknown: list[Signature] = []
    for signature in signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            unknown.append(signature)
        elif verifier.verify(body, signature.blob):
            verified.append(signature)
        else:
            raise Unverified("bad-signature", f"The signature of {verifier.name} does not hold.")
    if not verified:
        raise Unverified("unknown-key", _nobody_known(unknown, verifiers))
    return Note(body, tuple(verified), tuple(unknown))


def _nobody_known(unknown: Sequence[Signature], verifiers: Sequence[Verifier]) -> str:
    if {line.name for line in unknown} & {key.name for key in verifiers}:
        return (
            "It is signed by another key of the same log than the one that you trust. If the key was changed,"
            " `tenure audit` follows the change from your key; for a single file give --chain with the log's"
            " file `rotations`."
        )
    return "No signature is by a key that you trust."


def note_body(text: str) -> str:
    """The text of a note, unverified: only for looking at before a key is known."""
    return _split(text)[0]


def note_signatures(text: str) -> list[Signature]:
    """The signatures of a note, unverified, in order. Raises `Unverified` ("note-format")."""
    return _split(text)[1]


def _split(text: str) -> tuple[str, list[Signature]]:
    # The text is separated from the signatures by the last empty line (signed-note, "Format").
    body, blank, rest = text.rpartition("\n\n")
    lines = rest.split("\n")
    if (
        not blank
        or len(text) > MAX_NOTE
        or _CONTROL.search(text)
        or lines.pop() != ""
        or not 0 < len(lines) <= MAX_SIGNATURES
    ):
        raise _not_a_note()
    return body + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    try:
        raw = from_base64(encoded)
    except ValueError as failure:
        raise _not_a_note() from failure
    if not line.startswith(_DASH) or not space or not is_name(name) or len(raw) <= _KEY_ID_SIZE:
        raise _not_a_note()
    return Signature(name, raw[:_KEY_ID_SIZE], raw[_KEY_ID_SIZE:])


def _not_a_note() -> Unverified:
    return Unverified("note-format", "The text is not a signed note (C2SP signed-note).")
