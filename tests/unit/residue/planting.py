"""Ways to write a text into bytes, made here with other code than the scanner's own."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import quopri
import tarfile
import urllib.parse
import zipfile
import zlib
from base64 import b64encode, urlsafe_b64encode
from html import escape

from backports import zstd

from tenure.residue.layer import Layer, Search
from tenure.residue.needles import Needles
from tenure.residue.tally import Tally
from tenure.residue.values import Value


def _zip(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first.txt", b"another member" * 40)
        archive.writestr("second.txt", data)
    return file.getvalue()


def _tar(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("member.txt")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _within(encode, ahead):
    """Encoded together with what stands before and after it, so that no boundary is its own."""
    return lambda text: encode(b"~" * ahead + text.encode() + b"~~")


ENCODINGS = {
    "utf-8": lambda text: text.encode(),
    "utf-8 upper": lambda text: text.upper().encode(),
    "utf-8 lower": lambda text: text.lower().encode(),
    "utf-16-le": lambda text: codecs.encode(text, "utf-16-le"),
    "utf-16-be": lambda text: codecs.encode(text, "utf-16-be"),
    "json": lambda text: json.dumps(text)[1:-1].encode(),
    "json of unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode(),
    "json upper": lambda text: "".join(
        f"\\u{ord(c):04X}" if 0x7F < ord(c) < 0x10000 else json.dumps(c)[1:-1] for c in text
    ).encode(),
    "percent": lambda text: urllib.parse.quote(text, safe="").encode(),
    "form": lambda text: urllib.parse.urlencode({"a": text}).encode(),
    "html": lambda text: escape(text).encode(),
    "sql": lambda text: text.replace("'", "''").encode(),
    "csv": lambda text: text.replace('"', '""').encode(),
    "quoted-printable": lambda text: quopri.encodestring(text.encode()).replace(b"=\n", b""),
    "hex": lambda text: text.encode().hex().encode(),
    "hex upper": lambda text: text.encode().hex().upper().encode(),
    "bytea": lambda text: b"\\x00" + _within(bytes.hex, 1)(text).encode(),
    **{f"base64 +{n}": _within(b64encode, n) for n in range(3)},
    **{f"base64url +{n}": _within(urlsafe_b64encode, n) for n in range(3)},
}
CONTAINERS = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": _zip,
    "tar": _tar,
}


def tally_of(data, values, *, chunk=1 << 18, depth=3, unpack_limit=1 << 30):
    """What a scan of these bytes, in chunks of that size, adds up to."""
    tally = Tally(unpack_limit)
    known = [value if isinstance(value, Value) else Value(at, value) for at, value in enumerate(values, 1)]
    layer = Layer(Search(Needles(known), depth), tally)
    for at in range(0, len(data), chunk):
        layer.feed(data[at : at + chunk])
    layer.close()
    return tally


def chains(data, *values, **more):
    """How each found value is written, as a report shows it."""
    return {">".join(chain) for _, chain in tally_of(data, values, **more).hits}
