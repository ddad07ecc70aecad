"""How a text may stand in a file: the bytes of each spelling, by the name that findings give it.

Three kinds of variation, multiplied:
- *forms*: as given, lower, upper and title case, and Unicode's composed and decomposed form of each;
- *spellings* of a form: UTF-8, UTF-16, Latin-1, and the escapes of JSON, URLs, HTML, SQL, CSV and e-mail;
- *wrappings* of a spelling: hexadecimal (so also PostgreSQL's bytea) and base64.

ASCII letters match in either case wherever case carries no meaning, that is everywhere but in base64.
"""

import html
import json
import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus

from tenure.residue.values import MIN_BYTES

WHOLE: Final = "utf-8"
"""The name of the plain spelling; wrappings of it are called by the wrapping alone."""
_WRAPPED: Final = (WHOLE, "utf-16-le", "json")
_WRAPPED_MOST: Final = 4  # bytes for a character: not the JSON in which every letter is escaped
_URI_SAFE: Final = "/:@!$&'()*,;=?~"  # what encodeURI leaves as it is
_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL: Final = _STANDARD[:-2] + b"-_"


@dataclass(frozen=True, slots=True)
class Spelling:
    """Bytes to search for.

    `folds`: ASCII letters match in either case. `squeezed`: line ends and backslashes between the bytes do
    not matter (base64 in e-mail and in JSON). `before`, `after`: what the neighbouring byte must be one of,
    because it carries some bits of the value (base64); else empty.
    """

    name: str
    data: bytes = field(repr=False)
    folds: bool = True
    squeezed: bool = False
    before: bytes = field(default=b"", repr=False)
    after: bytes = field(default=b"", repr=False)


def spellings(text: str) -> Iterator[Spelling]:
    """All spellings of a text, some of them more than once."""
    for form in _forms(text):
        for name, data in _encoded(form):
            yield Spelling(name, data, folds=_folds(name, data))
            if name in _WRAPPED and len(data) <= _WRAPPED_MOST * len(form):
                chain = "" if name == WHOLE else f">{name}"
                yield Spelling(f"hex{chain}", data.hex().encode())
                for alphabet in (_STANDARD, _URL):
                    yield from _base64(f"base64{chain}", data, alphabet)


def _forms(text: str) -> list[str]:
    cased = (text, text.lower(), text.upper(), text.title())
    composed = [unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in cased]
    return list(dict.fromkeys([*cased, *composed]))


def _encoded(text: str) -> Iterator[tuple[str, bytes]]:
    utf8 = text.encode()
    yield WHOLE, utf8
    yield "utf-16-le", text.encode("utf-16-le")
    yield "utf-16-be", text.encode("utf-16-be")
    if not text.isascii():
        yield from _legacy(text)
    for name, written in _escaped(text):
        if written.encode() != utf8:
            yield name, written.encode()


def _legacy(text: str) -> Iterator[tuple[str, bytes]]:
    for name in ("latin-1", "cp1252"):
        try:
            data = text.encode(name)
        except UnicodeEncodeError:
            continue
        if len(data) >= MIN_BYTES:
            yield name, data


def _escaped(text: str) -> Iterator[tuple[str, str]]:
    ascii_json = json.dumps(text)[1:-1]
    yield "json", json.dumps(text, ensure_ascii=False)[1:-1]
    yield "json", ascii_json
    yield "json", ascii_json.replace("/", r"\/")
    yield "json", re.sub("[<>&'+=]", lambda found: f"\\u{ord(found[0]):04x}", ascii_json)
    units = memoryview(text.encode("utf-16-be")).cast("B")
    yield "json", "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
    yield "percent", quote(text, safe="")
    yield "percent", quote(text, safe=_URI_SAFE)
    yield "percent", quote_plus(text)
    yield "percent", "".join(f"%{byte:02x}" for byte in text.encode())
    yield "html", html.escape(text, quote=False)
    for apostrophe in ("&#x27;", "&#39;", "&apos;"):
        yield "html", html.escape(text, quote=True).replace("&#x27;", apostrophe)
    escaped = html.escape(text)
    yield "html", escaped.encode("ascii", "xmlcharrefreplace").decode()
    yield "html", "".join(one if one.isascii() else f"&#x{ord(one):x};" for one in escaped)
    yield "sql", text.replace("'", "''")
    yield "sql", text.replace("\\", r"\\")
    yield "sql", text.replace("\\", r"\\").replace("'", r"\'").replace('"', r"\"")
    yield "csv", text.replace('"', '""')
    quoted = "".join(_quoted(byte) for byte in text.encode())
    yield "quoted-printable", quoted
    if quoted[-1:] == " ":  # RFC 2045 §6.7, rule 3: at the end of a line it is not left as it is
        yield "quoted-printable", f"{quoted[:-1]}=20"


def _quoted(byte: int) -> str:
    """RFC 2045 §6.7, rules 1 and 2."""
    return chr(byte) if 0x20 <= byte < 0x7F and byte != ord("=") else f"={byte:02X}"  # noqa: PLR2004 - ASCII


def _folds(name: str, data: bytes) -> bool:
    """Folding compares bytes. In UTF-16 that is right only while one byte of each pair is zero."""
    return not name.startswith("utf-16") or not any(data[0 if name.endswith("be") else 1 :: 2])


def _base64(name: str, data: bytes, alphabet: bytes) -> Iterator[Spelling]:
    """The characters that `data` alone decides, at each of the three places it may begin (RFC 4648 §4, §5).

    The characters at both ends also carry bits of the neighbours: there only some are possible.
    """
    for ahead in range(3):
        bits = 8 * (ahead + len(data))
        first, end, left = -(-8 * ahead // 6), bits // 6, bits % 6
        whole = b64encode(bytes(ahead) + data).translate(bytes.maketrans(_STANDARD, alphabet))
        shared = 6 * first - 8 * ahead
        before = _possible(alphabet.index(whole[first - 1]) % (1 << shared), 1, shared) if shared else b""
        after = _possible(alphabet.index(whole[end]) >> (6 - left), 1 << (6 - left), left) if left else b""
        yield Spelling(name, whole[first:end], folds=False, squeezed=True, before=before, after=after)


def _possible(value: int, unit: int, width: int) -> bytes:
    """The characters, of either alphabet, whose `width` bits from the bit of `unit` on are `value`."""
    places = [at for at in range(64) if at // unit % (1 << width) == value]
    return bytes({alphabet[at] for alphabet in (_STANDARD, _URL) for at in places})
