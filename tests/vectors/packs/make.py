"""Makes `packs.json` beside it: `python tests/vectors/packs/make.py`.

The format is frozen: a run must leave the file as it is. `tests/unit/cold/test_pack_vectors.py` checks that,
and reads every vector with the second implementation. What is refused is made by hand, its digests hold.
"""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

from tenure.cold.pack import Front, Member, Packed, encode

HERE = Path(__file__).parent
TENANT = "0192f0c1-5a00-7000-8000-000000000001"
OTHER = "0192f0c1-5a00-7000-8000-000000000002"
PACK = "0192f0c1-5a00-7000-8000-00000000cafe"
RECORDS = [f"0192f0c1-5a00-7000-8000-{n:012x}" for n in (1, 2, 0xBEEF)]
FRONT = Front(TENANT, PACK, "a90-x365")
WHOLE = {"head": b"\x01" * 20, "content": bytes(range(64))}


def everything() -> dict[str, object]:
    return {"good": good(), "bad": bad()}


def good() -> list[object]:
    many = [Member(RECORDS[n % 3], n, WHOLE | {f"segments/{n}": b"s" * n}) for n in range(9)]
    cases = {
        "one version, one empty part": (Front(TENANT, PACK, "x"), [Member(RECORDS[0], 0, {"head": b""})]),
        "a version with head and content": (FRONT, [Member(RECORDS[0], 7, WHOLE)]),
        "several versions of three records": (FRONT, many),
        "the largest number, the longest names": (
            Front(TENANT, PACK, "9" + "z.-" * 20 + "ab"),
            [Member(RECORDS[2], 2**63 - 1, {"c" + "/" * 62: b"x"})],
        ),
    }
    return [_case(name, encode(*given)) for name, given in cases.items()]


def bad() -> list[object]:
    """Everything that digests alone do not find: each is refused by one rule of the specification."""
    one = _member(RECORDS[0], 1, [(b"content", b"c"), (b"head", b"h")])
    two = _member(RECORDS[1], 1, [(b"head", b"h")])
    begin = FRONT.encode()
    plain = _pack(begin, [one, two])
    assert plain == encode(
        FRONT, [Member(RECORDS[0], 1, {"content": b"c", "head": b"h"}), Member(RECORDS[1], 1, {"head": b"h"})]
    ).data  # fmt: skip
    large = _member(RECORDS[0], 1 << 63, [(b"head", b"h")])
    cases = {
        "another tenant": _pack(Front(OTHER, PACK, FRONT.retention_class).encode(), [one]),
        "another pack": _pack(Front(TENANT, OTHER, FRONT.retention_class).encode(), [one]),
        "another class": _pack(Front(TENANT, PACK, "a90-x366").encode(), [one]),
        "another version of the format": _pack(b"TNPK\x02" + begin[5:], [one]),
        "another front than the index digest covers": begin[:-1] + b"6" + plain[len(begin) :],
        "no members": _pack(begin, []),
        "members out of order": _pack(begin, [two, one]),
        "the same version twice": _pack(begin, [one, one]),
        "a gap after the front": _pack(begin, [one, two], gap=b"\0"),
        "a gap before the index": _pack(begin, [one, two], after=b"\0"),
        "two members at the same place": _pack(begin, [one, one[:15] + b"\xff" + one[16:]], stacked=True),
        "another version than its entry": _pack(begin, [one, two], named=[two, one]),
        "a number of 2^63": _pack(begin, [large]),
        "a member without parts": _pack(begin, [_member(RECORDS[0], 1, [])]),
        "parts out of order": _pack(begin, [_member(RECORDS[0], 1, [(b"head", b"h"), (b"content", b"c")])]),
        "a part twice": _pack(begin, [_member(RECORDS[0], 1, [(b"head", b"h"), (b"head", b"h")])]),
        "a part with a name that is none": _pack(begin, [_member(RECORDS[0], 1, [(b"He ad", b"h")])]),
        "a part without a name": _pack(begin, [_member(RECORDS[0], 1, [(b"", b"h")])]),
        "a part with a name that is no text": _pack(begin, [_member(RECORDS[0], 1, [(b"\xff", b"h")])]),
        "fewer parts than are there": _pack(begin, [_fewer(one)]),
        "more parts than are there": _pack(begin, [one[:24] + b"\x03" + one[25:]]),
        "bytes after the last part": _pack(begin, [one + b"\0"]),
        "bytes after the end": plain + b"\0",
        "bytes before the front": b"\0" + plain,
        "nothing": b"",
        "a trailer alone": plain[-48:],
    }
    return [{"name": name, **_front(FRONT), "pack": data.hex()} for name, data in cases.items()]


def _case(name: str, packed: Packed) -> dict[str, object]:
    data = packed.data
    bodies = [data[one.offset : one.offset + one.length] for one in packed.places]
    assert data.startswith(packed.front.encode() + b"".join(bodies))
    assert all(one.offset + one.length == other.offset for one, other in pairwise(packed.places))
    places = [{**one._asdict(), "sha256": one.sha256.hex()} for one in packed.places]
    return {
        "name": name,
        **_front(packed.front),
        "pack": data.hex(),
        "sha256": packed.sha256.hex(),
        "places": places,
    }


def _front(front: Front) -> dict[str, object]:
    return {"front": [front.tenant, front.pack, front.retention_class]}


def _member(record: str, number: int, parts: list[tuple[bytes, bytes]]) -> bytes:
    out = bytes.fromhex(record.replace("-", "")) + number.to_bytes(8) + bytes([len(parts)])
    return out + b"".join(len(field).to_bytes(4) + field for part in parts for field in part)


def _fewer(member: bytes) -> bytes:
    return member[:24] + b"\x01" + member[25:]


def _pack(
    begin: bytes,
    members: list[bytes],
    *,
    named: list[bytes] | None = None,
    gap: bytes = b"",
    after: bytes = b"",
    stacked: bool = False,
) -> bytes:
    """A pack of these members whatever they are. `named` gives the entries other versions' names."""
    out, index = begin + gap, b""
    for member, name in zip(members, named or members, strict=True):
        at = len(begin) if stacked else len(out)
        index += name[:24] + at.to_bytes(8) + len(member).to_bytes(4) + hashlib.sha256(member).digest()
        out += member
    out += after
    label = b"tenure/v1/pack-index"
    digest = hashlib.sha256(len(label).to_bytes(4) + label + begin + index).digest()
    return out + index + len(members).to_bytes(4) + len(out).to_bytes(8) + digest + b"TNPE"


def rendered(content: object) -> str:
    """The text of the vector file."""
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    (HERE / "packs.json").write_text(rendered(everything()))
