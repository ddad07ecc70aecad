"""A full offline audit of one log, by us and by a verifier that shares no code with us."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.appending import draft
from tenure.client.source import DirSource
from tenure.ledger.audit import audit
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.note import Signer
from tenure.ledger.tile import WIDTH, encode_bundle, expected_bundles, expected_tiles
from tenure.ledger.tree import Tree

_ORIGIN, _AT = "bench.example/log/1", 1_800_000_000_000_000
_WRITERS = 8
SOURCE = Path(__file__).parents[1] / "tests" / "foreign" / "verify.go"
_GOPATH = "/usr/share/gocode"


def write_log(folder: Path, size: int) -> Signer:
    """A log of `size` access entries of eight writers, as it is published."""
    signer = Signer(_ORIGIN, bytes(range(32)))
    opening = EntryDraft(Kind.LOG_OPEN, _AT, "ok", data={"origin": _ORIGIN, "generation": 1})
    raw = [opening.encode(f"{0:016x}", 0)]
    raw += [draft(_AT + n).encode(f"{n % _WRITERS:016x}", n // _WRITERS) for n in range(1, size)]
    tree = Tree()
    tiles: dict[tuple[int, int], bytes] = {}
    for write in tree.append([leaf_hash(one) for one in raw]):
        tiles[write.level, write.n] = write.data
    files = {one.path: tiles[one.level, one.n] for one in expected_tiles(size)}
    for one in expected_bundles(size):
        files[one.path] = encode_bundle(raw[one.n * WIDTH : one.n * WIDTH + one.width])
    files["checkpoint"] = sign_checkpoint(Checkpoint(_ORIGIN, size, tree.root()), [signer]).encode()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return signer


def run(folder: Path, *, size: int, rounds: int) -> dict[str, Any]:
    """Seconds for each round of both; the foreign verifier's are missing where there is no Go."""
    signer = write_log(folder / "log", size)
    foreign = _built(folder)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        report = audit(DirSource(folder / "log"), [signer.verifier])
        ours.append(time.perf_counter() - began)
        assert report.ok, report.failures
        assert report.entries == size
        if foreign is not None:
            began = time.perf_counter()
            subprocess.run(
                [str(foreign), "-vkey", signer.vkey, str(folder / "log")], check=True, capture_output=True
            )
            theirs.append(time.perf_counter() - began)
    return {"entries": size, "ours_s": ours, "foreign_s": theirs}


def _built(folder: Path) -> Path | None:
    go = shutil.which("go")
    if go is None or not (Path(_GOPATH) / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        return None
    environment = {
        "GO111MODULE": "off",
        "GOPATH": _GOPATH,
        "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0",
    }
    environment["PATH"] = str(Path(go).parent)
    binary = folder / "verify"
    subprocess.run([go, "build", "-o", str(binary), str(SOURCE)], env=environment, check=True)
    return binary
