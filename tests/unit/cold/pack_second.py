"""Packs a second time, written from docs/spec/pack.md alone. Slow and plain on purpose.

Imports nothing of Tenure. Reads from the end to the front, where the code reads the other way.
"""

import hashlib
import uuid


class Refused(Exception):
    pass


LETTERS = set(b"abcdefghijklmnopqrstuvwxyz0123456789")


def big(number, width):
    return number.to_bytes(width, "big")


def lp(part):
    return big(len(part), 4) + part


def sha(data):
    return hashlib.sha256(data).digest()


def raw(text):
    assert str(uuid.UUID(text)) == text
    return uuid.UUID(text).bytes


def named(text, more):
    return 1 <= len(text) <= 63 and text[0] in LETTERS and set(text) <= LETTERS | set(more)


# ── making one ───────────────────────────────────────────────────────────────────────────────────
def front(tenant, pack, name):
    assert named(name.encode(), b".-")
    return b"TNPK\x01" + raw(tenant) + raw(pack) + big(len(name), 1) + name.encode()


def write(tenant, pack, name, members):
    """`members`: {(record, number): {part name: bytes}}."""
    out = begin = front(tenant, pack, name)
    index = b""
    for record, number in sorted(members, key=lambda one: raw(one[0]) + big(one[1], 8)):
        parts = members[record, number]
        member = raw(record) + big(number, 8) + big(len(parts), 1)
        for part in sorted(parts, key=str.encode):
            member += lp(part.encode()) + lp(parts[part])
        index += raw(record) + big(number, 8) + big(len(out), 8) + big(len(member), 4) + sha(member)
        out += member
    digest = sha(lp(b"tenure/v1/pack-index") + begin + index)
    return out + index + big(len(members), 4) + big(len(out), 8) + digest + b"TNPE"


# ── reading one, backwards ───────────────────────────────────────────────────────────────────────
class Backwards:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        if n > len(self.data):
            raise Refused("too short")
        cut = len(self.data) - n
        got, self.data = self.data[cut:], self.data[:cut]
        return got

    def u(self, n):
        return int.from_bytes(self.take(n), "big")


def read(tenant, pack, name, data):
    """The members as `write` takes them."""
    if len(data) > 134_217_728:
        raise Refused("too large")
    left = Backwards(data)
    begin = front(tenant, pack, name)
    index = read_index(left, begin)
    found = []
    entries = Backwards(index)
    while entries.data:
        member_sha, length, offset = entries.take(32), entries.u(4), entries.u(8)
        number, record = entries.u(8), entries.take(16)
        member = left.take(length)
        if len(left.data) != offset or sha(member) != member_sha or number >= 2**63:
            raise Refused("entry")
        if member[:24] != record + big(number, 8):
            raise Refused("another version")
        found.insert(0, (record + big(number, 8), read_parts(member[24:])))
    if left.data != begin:
        raise Refused("front")
    names = [one[0] for one in found]
    if names != sorted(set(names)):
        raise Refused("order")
    return {(str(uuid.UUID(bytes=key[:16])), int.from_bytes(key[16:], "big")): parts for key, parts in found}


def read_index(left, begin):
    if left.take(4) != b"TNPE":
        raise Refused("end")
    digest, at, n = left.take(32), left.u(8), left.u(4)
    if not 1 <= n <= 65_536:
        raise Refused("count")
    index = left.take(68 * n)
    if len(left.data) != at:
        raise Refused("place of the index")
    if digest != sha(lp(b"tenure/v1/pack-index") + begin + index):
        raise Refused("index digest")
    return index


def read_parts(rest):
    if not rest or rest[0] == 0:
        raise Refused("no parts")
    count, rest = rest[0], rest[1:]
    fields = []
    while rest:
        n = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + n:
            raise Refused("part")
        fields.append(rest[4 : 4 + n])
        rest = rest[4 + n :]
    names = fields[::2]
    if len(fields) != 2 * count or names != sorted(set(names)) or not all(named(one, b"/-") for one in names):
        raise Refused("parts")
    return {name.decode(): data for name, data in zip(names, fields[1::2], strict=True)}
