"""Texts that lie nowhere else, and where any spelling of them is found at rest."""

import base64
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from ahocorasick_rs import BytesAhoCorasick, MatchKind
from sqlalchemy.engine import make_url

from support.cell import Cell
from support.postgres import Server


def spellings(canary: str) -> dict[str, bytes]:
    """How a text may lie in a file."""
    raw = canary.encode()
    found = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "utf-16-le": canary.encode("utf-16-le"),
        "utf-16-be": canary.encode("utf-16-be"),
        "json": json.dumps(canary)[1:-1].encode(),
        "latin-1": canary.encode("latin-1"),
    }
    for shift in range(3):
        # Only the characters that do not depend on what stands before and after.
        encoded = base64.b64encode(b"\0" * shift + raw)
        begin = -(-shift * 8 // 6)
        stable = (shift + len(raw)) * 8 // 6
        found[f"base64+{shift}"] = encoded[begin + (shift > 0) : stable]
        found[f"base64url+{shift}"] = found[f"base64+{shift}"].replace(b"+", b"-").replace(b"/", b"_")
    return found


def sightings(folders: list[Path], canaries: dict[str, str]) -> list[tuple[str, str, str]]:
    """(canary, spelling, file) of everything found."""
    needles = [
        (name, how, spelled) for name, text in canaries.items() for how, spelled in spellings(text).items()
    ]
    # All at once in one pass, and one by one only where one is: a database's own log is long.
    any_of_them = BytesAhoCorasick([one for *_, one in needles], matchkind=MatchKind.LeftmostLongest)
    found = []
    for path in files(folders):
        content = path.read_bytes()
        if any_of_them.find_matches_as_indexes(content):
            found += [(name, how, path.name) for name, how, needle in needles if needle in content]
        found += [(name, "file name", path.name) for name, text in canaries.items() if text in str(path)]
    return found


def files(folders: list[Path]) -> Iterator[Path]:
    """Every file below them."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


def canary(name: str) -> str:
    """Not ASCII alone, so that escapes differ from the text; no white space, so that it fits everywhere."""
    return f"{name}-kanari\xe9-{secrets.token_hex(8)}"


def at_rest(cell: Cell, server: Server | None) -> list[Path]:
    """Where everything of a cell lies, as it is on disk now. Skips where that is out of reach."""
    found = [cell.settings.data_dir, cell.settings.root_dir]
    if server is not None:
        server.run("CHECKPOINT", database=str(make_url(cell.admin_url).database))
        number = cell.rows("SELECT oid FROM pg_database WHERE datname = current_database()")[0][0]
        data = Path(cell.rows("SHOW data_directory")[0][0])
        if not os.access(data, os.R_OK | os.X_OK):
            pytest.skip("the PostgreSQL server's files are out of reach")
        found += [data / "base" / str(number), data / "pg_wal"]
    return found
