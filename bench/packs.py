"""`python -m bench packs`: packing and unpacking, reads out of packs against bare reads of the same bytes.

On a real S3 server (Ceph RGW, as the tests start it) where that is installed, else on files. Reads take turns
one by one, so that what slows the machine slows both.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console

from bench import report
from tenure import ids
from tenure.cold.files import FileObjects
from tenure.cold.objects import Objects
from tenure.cold.open import open_objects
from tenure.cold.pack import Front, Member, Packed, decode, encode, find
from tenure.cold.packs import PackRef, name_of, put_pack, read_member, read_places

SIZES = (1 << 10, 16 << 10, 256 << 10)
PACK_BYTES = 8 << 20
MOST = 1.5
_HEAD = 128


class Store(NamedTuple):
    """An object store, and how its bytes are had without Tenure."""

    name: str
    objects: Objects
    bare: Callable[[str], bytes]
    bare_range: Callable[[str, int, int], bytes]


def run(console: Console, *, quick: bool) -> dict[str, Any]:
    """Measure and print; the raw numbers."""
    rounds, reads = (3, 50) if quick else (15, 600)
    raw: dict[str, Any] = {"machine": report.machine(), "pack_bytes": PACK_BYTES}
    packs = {size: packed(size) for size in SIZES}
    raw["packing"] = [packing(size, pack, rounds) for size, pack in packs.items()]
    show_packing(raw["packing"], console)
    with store() as where:
        raw["store"] = where.name
        raw["reading"] = [reading(where, size, pack, reads) for size, pack in packs.items()]
    show_reading(raw["reading"], raw["store"], console)
    return raw


def packed(size: int) -> Packed:
    """A pack of versions with contents of so many bytes, as good as sealed."""
    count = PACK_BYTES // size
    made = [
        Member(ids.new_id(), 1, {"head": os.urandom(_HEAD), "content": os.urandom(size)})
        for _ in range(count)
    ]
    return encode(Front(ids.new_id(), ids.new_id(), "a90-x365"), made)


def packing(size: int, pack: Packed, rounds: int) -> dict[str, Any]:
    """MB (10^6 bytes) per second of wall time, of one thread: median over the rounds."""
    members = decode(pack.front, pack.data)
    megabytes = len(pack.data) / 1e6
    there: list[float] = []
    back: list[float] = []
    for _ in range(rounds):
        there.append(_seconds(lambda: encode(pack.front, members)))
        back.append(_seconds(lambda: _unpacked(pack)))
    rates = {"pack": megabytes / median(there), "unpack": megabytes / median(back)}
    return {"content": size, "members": len(members), **rates}


def _unpacked(pack: Packed) -> object:
    """As `read_pack` does once it has the bytes."""
    assert sha256(pack.data).digest() == pack.sha256
    return decode(pack.front, pack.data)


def reading(where: Store, size: int, pack: Packed, reads: int) -> dict[str, Any]:
    """Milliseconds at the median: a member by its place, by the pack's own index, and the same bytes bare.

    `bare` is an object of these bytes alone; `range` the same range of the pack, unchecked.
    """
    ref = put_pack(where.objects, pack)
    assert where.bare(name_of(pack.front)) == pack.data
    pick = random.Random(1)  # noqa: S311 - the same order in every run
    chosen = pick.sample(pack.places, min(len(pack.places), 32))
    for number, place in enumerate(chosen):
        body = pack.data[place.offset : place.offset + place.length]
        where.objects.put(f"bare/{size}/{number}", body)
    ways: dict[str, list[float]] = {"place": [], "index": [], "bare": [], "range": []}
    for _ in range(reads):
        number = pick.randrange(len(chosen))
        place = chosen[number]
        turns: dict[str, Callable[[], object]] = {
            "place": partial(read_member, where.objects, pack.front, place),
            "index": partial(_by_index, where.objects, ref, place.record, place.number),
            "bare": partial(where.bare, f"bare/{size}/{number}"),
            "range": partial(where.bare_range, name_of(pack.front), place.offset, place.length),
        }
        for way in pick.sample(sorted(turns), len(turns)):
            ways[way].append(_seconds(turns[way]) * 1e3)
    return {"content": size, **{way: median(found) for way, found in ways.items()}, "raw": ways}


def _by_index(objects: Objects, ref: PackRef, record: str, number: int) -> Member:
    place = find(read_places(objects, ref), record, number)
    assert place is not None
    return read_member(objects, ref.front, place)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


@contextmanager
def store() -> Iterator[Store]:
    """A bucket of a real server, or a folder."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.rgw import missing, s3_server  # noqa: PLC0415 - the tests' own, found only now

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        why = missing()
        if why:
            files = FileObjects(folder)
            yield Store(
                f"files ({why})", files, lambda name: (folder / name).read_bytes(),
                lambda name, start, length: (folder / name).read_bytes()[start : start + length],
            )  # fmt: skip
            return
        with s3_server(folder / "rgw") as server:
            bucket = server.bucket()
            os.environ |= {
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
            }
            objects = open_objects(bucket.url(), folder, "url", server.endpoint)

            def bare_range(name: str, start: int, length: int) -> bytes:
                wanted = f"bytes={start}-{start + length - 1}"
                answer = bucket.client.get_object(Bucket=bucket.name, Key=name, Range=wanted)
                return bytes(answer["Body"].read())

            yield Store("Ceph RGW, bare boto3", objects, bucket.get, bare_range)


def show_packing(found: list[dict[str, Any]], console: Console) -> None:
    """Rates."""
    table = report.titled(f"Packs of {PACK_BYTES >> 20} MiB: MB per second, one thread")
    for heading in ("content (bytes)", "members", "pack", "unpack and verify"):
        table.add_column(heading, justify="right")
    for one in found:
        rates = (f"{one['pack']:,.0f}", f"{one['unpack']:,.0f}")
        table.add_row(f"{one['content']:,}", f"{one['members']:,}", *rates)
    console.print(table)


def show_reading(found: list[dict[str, Any]], name: str, console: Console) -> None:
    """Latencies and ratios."""
    table = report.titled(f"One version out of a pack, ms at the median: {name}")
    for heading in (
        "content (bytes)", "by its place", "by the index", "bare", "bare range",
        "place / bare", "index / bare", "place / range",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for one in found:
        table.add_row(
            f"{one['content']:,}",
            *(f"{one[way]:.2f}" for way in ("place", "index", "bare", "range")),
            *(f"{one[way] / one['bare']:.2f}" for way in ("place", "index")),
            f"{one['place'] / one['range']:.2f}",
        )
    console.print(table)
    worst = max(one["place"] / one["bare"] for one in found)
    console.print(
        f"A read by its place costs at most {MOST} of a bare one: {worst:.2f} at most, "
        f"{report.reached(held=worst <= MOST)}."
    )
