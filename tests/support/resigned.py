"""A pack of evidence whose index and statement somebody signs again, as whoever has the log's key can."""

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from tenure.ledger.canonical import canonical
from tenure.ledger.evidence import issue_statement
from tenure.ledger.note import Signer


def index_of(pack: Path) -> dict[str, Any]:
    """The index as it stands in the folder."""
    return dict(json.loads((pack / "index.json").read_text()))


def sign_again(pack: Path, signer: Signer, index: dict[str, Any] | None = None) -> None:
    """Make the index that of the files that are there now, and the statement that of the index."""
    index = index_of(pack) if index is None else index
    index["files"] = {
        path.relative_to(pack).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in pack.rglob("*")
        if path.is_file() and path.name not in ("index.json", "statement.json")
    }
    (pack / "index.json").write_bytes(canonical(index))
    said = json.loads(b64decode(json.loads((pack / "statement.json").read_text())["payload"]))
    said["index_sha256"] = hashlib.sha256((pack / "index.json").read_bytes()).hexdigest()
    said["files"] = len(index["files"])
    (pack / "statement.json").write_text(issue_statement(said, signer))
