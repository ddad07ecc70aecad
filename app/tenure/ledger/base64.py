"""Standard base64 (RFC 4648 §4) in its one canonical spelling, so that no flipped bit goes unseen."""

from binascii import a2b_base64, b2a_base64


def to_base64(raw: bytes) -> str:
    """Encode, with padding, without line breaks."""
    return b2a_base64(raw, newline=False).decode("ascii")


def from_base64(text: str) -> bytes:
    """Decode. Raises ValueError for any spelling but the canonical one (unused low bits are zero, §3.5)."""
    raw = a2b_base64(text)
    if to_base64(raw) != text:
        raise ValueError("not canonical base64")
    return raw
