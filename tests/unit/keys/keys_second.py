"""The key formats a second time, written from docs/spec/keys.md and docs/spec/sealed-record.md alone.

Slow and plain on purpose. Imports nothing of Tenure: stdlib HMAC and SHA-256, and AES-GCM.
"""

import hashlib
import hmac
import io
from itertools import pairwise

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Refused(Exception):
    pass


# ── notation ─────────────────────────────────────────────────────────────────────────────────────
def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def text(part):
    return part.encode() if isinstance(part, str) else part


def lp(*parts):
    out = io.BytesIO()
    for part in map(text, parts):
        out.write(len(part).to_bytes(4, "big") + part)
    return out.getvalue()


def hkdf(secret, salt, info, n):
    prk = mac(salt or bytes(32), secret)
    out, block, i = b"", b"", 0
    while len(out) < n:
        i += 1
        block = mac(prk, block + info + bytes([i]))
        out += block
    return out[:n]


class Input(io.BytesIO):
    def take(self, n):
        got = self.read(n)
        if len(got) != n:
            raise Refused("too short")
        return got

    def u(self, n):
        return int.from_bytes(self.take(n), "big")

    def magic(self, literal):
        if self.take(len(literal)) != literal:
            raise Refused("magic")

    def lp(self):
        return self.take(self.u(4))

    def end(self):
        if self.read(1):
            raise Refused("too long")


# ── the function and its shards ──────────────────────────────────────────────────────────────────
def bits_of(leaf):
    return [int(bit) for bit in f"{leaf:040b}"]


def seed_at(seed, bits):
    for bit in bits:
        seed = mac(seed, b"tenure/ggm/v1/node" + bytes([bit]))
    return seed


def leaf_key(seed, leaf, above=0):
    """The key from the seed of the node that is `above` bits down on the way to the leaf."""
    return mac(seed_at(seed, bits_of(leaf)[above:]), b"tenure/ggm/v1/leaf")


def cover(seed, punctured, depth=0, prefix=0):
    """[(depth, prefix, seed)], the minimal cover: nodes without a punctured leaf whose parent has one."""
    here = [leaf for leaf in punctured if leaf >> (40 - depth) == prefix]
    if not here:
        return [(depth, prefix, seed)]
    if depth == 40:
        return []
    return [node for bit in (0, 1) for node in cover(seed_at(seed, [bit]), here, depth + 1, prefix * 2 + bit)]


def encode_shard(depth, prefix, nodes):
    out = b"TNKS\x01" + bytes([depth]) + prefix.to_bytes(5, "big") + len(nodes).to_bytes(4, "big")
    out += bytes(d for d, _, _ in nodes)
    out += b"".join((p << (40 - d)).to_bytes(8, "big") for d, p, _ in nodes)
    return out + b"".join(seed for _, _, seed in nodes)


def decode_shard(data):
    inp = Input(data)
    inp.magic(b"TNKS\x01")
    depth, prefix, n = inp.u(1), inp.u(5), inp.u(4)
    depths = list(inp.take(n))
    firsts = [inp.u(8) for _ in range(n)]
    seeds = [inp.take(32) for _ in range(n)]
    inp.end()
    if depth > 40 or prefix >= 2**depth or n < 1:  # rule 1
        raise Refused("subtree")
    begin, end = prefix << (40 - depth), (prefix + 1) << (40 - depth)
    spans = []
    for d, first in zip(depths, firsts, strict=True):
        if not depth <= d <= 40 or first < begin or first + 2 ** (40 - d) > end:  # rule 2
            raise Refused("outside")
        if first % 2 ** (40 - d):  # rule 3
            raise Refused("misaligned")
        spans.append((first, first + 2 ** (40 - d)))
    if any(a[1] > b[0] for a, b in pairwise(spans)):  # rule 4
        raise Refused("order")
    names = {(d, first >> (40 - d)) for d, first in zip(depths, firsts, strict=True)}
    if any((d, p ^ 1) in names for d, p in names if d):  # rule 5
        raise Refused("siblings")
    return depth, prefix, [(d, f >> (40 - d), s) for d, f, s in zip(depths, firsts, seeds, strict=True)]


def derive(nodes, leaf):
    for depth, prefix, seed in nodes:
        if leaf >> (40 - depth) == prefix:
            return leaf_key(seed, leaf, depth)
    return None


# ── at rest ──────────────────────────────────────────────────────────────────────────────────────
def open_shard(blob, tenant, depth, prefix, seq, key, digest):
    if hashlib.sha256(blob).digest() != digest:
        raise Refused("digest")
    inp = Input(blob)
    inp.magic(b"TNSS\x01")
    nonce = inp.take(12)
    aad = lp("tenure/v1/key-shard", tenant, bytes([depth]), prefix.to_bytes(5, "big"), seq.to_bytes(8, "big"))
    shard = decode_shard(AESGCM(key).decrypt(nonce, inp.read(), aad))
    if shard[:2] != (depth, prefix):
        raise Refused("another subtree")
    return shard[2]


def root_key(file):
    inp = Input(file)
    inp.magic(b"TNRK\x01")
    version, created, op_id, key = inp.u(8), inp.u(8), inp.lp(), inp.take(32)
    inp.end()
    return version, created, op_id.decode(), key


def root_unseal(key, version, sealed, aad):
    return AESGCM(key).decrypt(
        sealed[:12], sealed[12:], lp("tenure/v1/root-seal", version.to_bytes(8, "big"), aad)
    )


def write_shard(shard, tenant, seq, key, nonce):
    """What `open_shard` reads; `shard` is (depth, prefix, nodes)."""
    depth, prefix, _ = shard
    aad = lp("tenure/v1/key-shard", tenant, bytes([depth]), prefix.to_bytes(5, "big"), seq.to_bytes(8, "big"))
    return b"TNSS\x01" + nonce + AESGCM(key).encrypt(nonce, encode_shard(*shard), aad)


def write_manifest(seq, tenants, version, root, cell_key, nonces):
    """What `open_manifest` reads. `root` is the key of `version`; `nonces` for its seal and for the blob."""
    place = seq.to_bytes(8, "big") + version.to_bytes(8, "big")
    aad = lp("tenure/v1/root-seal", version.to_bytes(8, "big"), lp("tenure/v1/cell-key", place))
    sealed_key = nonces[0] + AESGCM(root).encrypt(nonces[0], cell_key, aad)
    plain = b"TNCM\x01" + seq.to_bytes(8, "big") + len(tenants).to_bytes(4, "big")
    for name in sorted(tenants, key=str.encode):
        seed, generation, shards = tenants[name]
        plain += lp(name) + seed + generation.to_bytes(4, "big") + len(shards).to_bytes(4, "big")
        for depth, prefix, shard_seq, key, digest in shards:
            plain += bytes([depth]) + prefix.to_bytes(5, "big") + shard_seq.to_bytes(8, "big") + key + digest
    header = b"TNSM\x01" + place + lp(sealed_key) + nonces[1]
    return header + AESGCM(cell_key).encrypt(nonces[1], plain, lp("tenure/v1/cell-manifest", header))


def open_manifest(blob, root_keys):
    """(seq, {tenant: (ledger seed, generation, [(depth, prefix, seq, key, digest)])})."""
    inp = Input(blob)
    inp.magic(b"TNSM\x01")
    seq, version, sealed_key, nonce = inp.u(8), inp.u(8), inp.lp(), inp.take(12)
    header = blob[: inp.tell()]
    if version not in root_keys:
        raise Refused("root gone")
    place = seq.to_bytes(8, "big") + version.to_bytes(8, "big")
    cell_key = root_unseal(root_keys[version], version, sealed_key, lp("tenure/v1/cell-key", place))
    plain = Input(AESGCM(cell_key).decrypt(nonce, inp.read(), lp("tenure/v1/cell-manifest", header)))
    plain.magic(b"TNCM\x01")
    if plain.u(8) != seq:
        raise Refused("seq")
    tenants = {}
    for _ in range(plain.u(4)):
        name, seed, generation = plain.lp().decode(), plain.take(32), plain.u(4)
        if tenants and name.encode() <= list(tenants)[-1].encode():
            raise Refused("tenants are not sorted")
        tenants[name] = (
            seed,
            generation,
            [(plain.u(1), plain.u(5), plain.u(8), plain.take(32), plain.take(32)) for _ in range(plain.u(4))],
        )
        spans = [
            (p << (40 - d), (p + 1) << (40 - d)) for d, p, *_ in tenants[name][2] if d <= 40 and p < 2**d
        ]
        if len(spans) != len(tenants[name][2]) or any(a[1] > b[0] for a, b in pairwise(spans)):
            raise Refused("shards overlap or are none")
    plain.end()
    return seq, tenants


# ── blind indexes ────────────────────────────────────────────────────────────────────────────────
def bucket(selector, reference):
    return int.from_bytes(mac(selector, lp("tenure/v1/blind/bucket", "subject", reference))[:2], "big") % 4096


def index(key, namespace, *parts):
    return mac(key, lp("tenure/v1/blind/index", namespace, *parts))


# ── sealed record ────────────────────────────────────────────────────────────────────────────────
def read_slots(inp):
    slots = []
    for _ in range(inp.u(2)):
        start = inp.tell()
        leaves = [inp.u(5) for _ in range(inp.u(2))]
        if not leaves or any(a >= b for a, b in pairwise(leaves)):
            raise Refused("leaves")
        salt = inp.take(32)
        seat = inp.getvalue()[start : inp.tell()]
        slots.append((leaves, salt, seat, inp.take(32), inp.take(48)))
    return slots


class Record:
    """A sealed version, opened with the leaf keys given; Refused when none of its slots has all."""

    def __init__(self, tenant, scope, record, version, header, leaf_keys):
        self.bound = lp(
            "tenure/v1/sealed-record",
            "AES-256-GCM/HKDF-SHA256",
            tenant,
            scope,
            record,
            version.to_bytes(8, "big"),
        )
        inp = Input(header)
        inp.magic(b"TNSR\x01\x01")
        founding = read_slots(inp)
        founding_bytes = header[6 : inp.tell()]
        added = read_slots(inp)
        body = header[: inp.tell()]
        tag = inp.take(32)
        inp.end()
        sets = [tuple(leaves) for leaves, *_ in founding + added]
        if not founding or len(set(sets)) != len(sets):
            raise Refused("slots")
        self.slots_hash = hashlib.sha256(lp("tenure/v1/slots") + founding_bytes).digest()
        for slot, first in [(s, lp("dek")) for s in founding] + [
            (s, lp("rewrap", self.slots_hash)) for s in added
        ]:
            leaves, salt, seat, commitment, wrapped = slot
            if not all(leaf in leaf_keys for leaf in leaves):
                continue
            secret = b"".join(lp(leaf.to_bytes(5, "big"), leaf_keys[leaf]) for leaf in leaves)
            mixed = hkdf(secret, salt, b"tenure/v1/slot", 64)
            if mixed[32:] != commitment:
                raise Refused("commitment")
            self.dek = AESGCM(mixed[:32]).decrypt(bytes(12), wrapped, self.bound + first + lp(seat))
            break
        else:
            raise Refused("shredded")
        if mac(hkdf(self.dek, None, b"tenure/v1/header", 32), self.bound + lp("header", body)) != tag:
            raise Refused("tag")

    def part(self, name, sealed):
        key = hkdf(self.dek, None, lp("tenure/v1/part", name), 32)
        chunks = [sealed[at : at + 65552] for at in range(0, len(sealed), 65552)]
        padded = b""
        for i, chunk in enumerate(chunks):
            nonce = i.to_bytes(11, "big") + bytes([i == len(chunks) - 1])
            padded += AESGCM(key).decrypt(nonce, chunk, self.bound + lp(name, self.slots_hash))
        length = int.from_bytes(padded[:8], "big")
        if padded[8 + length :] != bytes(max(128, padme(8 + length)) - 8 - length):
            raise Refused("padding")
        return padded[8 : 8 + length]

    def salt(self, nonce, record, version):
        key = hkdf(self.dek, None, b"tenure/v1/opening", 32)
        return mac(key, lp(nonce, record) + version.to_bytes(8, "big"))


def read_segments(blob):
    """(header, head, content) in each place, None where one was purged."""
    inp = Input(blob)
    inp.magic(b"TNSG\x01")
    places = []
    for _ in range(inp.u(2)):
        header = inp.lp()
        places.append((header, inp.lp(), inp.lp()) if header else None)
    inp.end()
    return places


def write_segments(places):
    return b"TNSG\x01" + len(places).to_bytes(2, "big") + b"".join(lp(*(one or [b""])) for one in places)


def write_record(place, dek, founding, added, parts, leaf_keys):
    """(header, {part: bytes}). `place` is (tenant, scope, record, version); slots are (leaves, salt)."""
    *names, version = place
    bound = lp("tenure/v1/sealed-record", "AES-256-GCM/HKDF-SHA256", *names, version.to_bytes(8, "big"))

    def slot(leaves, salt, front):
        seat = len(leaves).to_bytes(2, "big") + b"".join(n.to_bytes(5, "big") for n in leaves) + salt
        secret = b"".join(lp(n.to_bytes(5, "big"), leaf_keys[n]) for n in leaves)
        mixed = hkdf(secret, salt, b"tenure/v1/slot", 64)
        return seat + mixed[32:] + AESGCM(mixed[:32]).encrypt(bytes(12), dek, bound + front + lp(seat))

    body = len(founding).to_bytes(2, "big") + b"".join(slot(*one, lp("dek")) for one in founding)
    slots_hash = hashlib.sha256(lp("tenure/v1/slots") + body).digest()
    body += len(added).to_bytes(2, "big") + b"".join(slot(*one, lp("rewrap", slots_hash)) for one in added)
    body = b"TNSR\x01\x01" + body
    header = body + mac(hkdf(dek, None, b"tenure/v1/header", 32), bound + lp("header", body))
    return header, {name: write_part(dek, bound, slots_hash, name, data) for name, data in parts.items()}


def write_part(dek, bound, slots_hash, name, data):
    key = hkdf(dek, None, lp("tenure/v1/part", name), 32)
    padded = len(data).to_bytes(8, "big") + data
    padded += bytes(max(128, padme(len(padded))) - len(padded))
    chunks = [padded[at : at + 65536] for at in range(0, len(padded), 65536)]
    return b"".join(
        AESGCM(key).encrypt(
            i.to_bytes(11, "big") + bytes([i == len(chunks) - 1]), chunk, bound + lp(name, slots_hash)
        )
        for i, chunk in enumerate(chunks)
    )


def padme(length):
    e = max(i for i in range(64) if 2**i <= length)
    s = max(i for i in range(64) if 2**i <= e) + 1
    step = 2 ** max(e - s, 0)
    return -(-length // step) * step
