"""What AWS KMS remembers of root versions for us: aliases and tags. Pure.

    alias/tenure/<cell>/<mode>/<number>   claims a number: AWS gives an alias to one key only
    tenure:cell, :version, :op            what a key was made for, by which operation
    tenure:going                          the operation that asked for its destruction
    tenure:gone:<number>                  a destroyed version, on its own key and on one that stays: AWS
                                          forgets the key that it deletes, with everything on it

Tags are not secret, and nothing here is: numbers, instants, ids.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from tenure.errors import Invalid

Mode = Literal["imported", "generated"]

CELL: Final = "tenure:cell"
VERSION: Final = "tenure:version"
OP: Final = "tenure:op"
GOING: Final = "tenure:going"
_GONE: Final = "tenure:gone:"
MAX_GONE: Final = 40
"""Destroyed versions that one key remembers: a key has at most 50 tags."""
_CELL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# What a tag's value may hold, without the space that separates a note's members.
_OP_ID: Final = re.compile(r"[A-Za-z0-9+=._:/@-]{1,60}")


@dataclass(frozen=True, slots=True)
class Gone:
    """What is known of a version whose destruction began: see `keys.rootstore.Destruction`."""

    state: Literal["destroyed", "pending"]
    how: Literal["material", "key"]
    """What AWS was asked to delete."""
    created_at: int
    unusable_at: int
    irrecoverable_at: int
    key_id: str
    created_by: str
    destroyed_by: str
    request: str
    """AWS's id of the request that destroyed it; empty when it could not be noted."""

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """Of two notes on one version the higher is the later."""
        return (self.state == "destroyed", self.unusable_at, bool(self.request))

    def ended(self, at: int) -> "Gone":
        """The same, once AWS no longer has the key."""
        return replace(self, state="destroyed", irrecoverable_at=max(self.irrecoverable_at, at))

    def write(self) -> str:
        """As a tag's value."""
        instants = (self.created_at, self.unusable_at, self.irrecoverable_at)
        names = (self.key_id, self.created_by, self.destroyed_by, self.request)
        return " ".join((self.state[0], self.how[0], *map(str, instants), *(name or "-" for name in names)))


def read_gone(tags: Mapping[str, str]) -> dict[int, Gone]:
    """Every destroyed version that a key's tags remember. Tags that are not of this form are not ours."""
    found: dict[int, Gone] = {}
    for name, value in tags.items():
        number, parts = name.removeprefix(_GONE), value.split(" ")
        if name.startswith(_GONE) and number.isdecimal() and len(parts) == 9:  # noqa: PLR2004 - `write`
            created_at, unusable_at, irrecoverable_at = map(int, parts[2:5])
            key_id, created_by, destroyed_by, request = ("" if part == "-" else part for part in parts[5:])
            found[int(number)] = Gone(
                state="destroyed" if parts[0] == "d" else "pending",
                how="material" if parts[1] == "m" else "key",
                created_at=created_at,
                unusable_at=unusable_at,
                irrecoverable_at=irrecoverable_at,
                key_id=key_id,
                created_by=created_by,
                destroyed_by=destroyed_by,
                request=request,
            )
    return found


def newest(gone: Mapping[int, Gone]) -> dict[int, Gone]:
    """As many of these versions as one key remembers."""
    return {version: gone[version] for version in sorted(gone)[-MAX_GONE:]}


def gone_tags(gone: Mapping[int, Gone]) -> dict[str, str]:
    """Tags that remember these versions."""
    return {f"{_GONE}{version}": note.write() for version, note in gone.items()}


def gone_names(versions: Iterable[int]) -> list[str]:
    """Names of the tags that remember these versions."""
    return [f"{_GONE}{version}" for version in versions]


def prefix(cell: str, mode: Mode) -> str:
    """What every alias of a store begins with. Two modes of one cell are two stores."""
    return f"alias/tenure/{cell}/{mode}/"


def alias(cell: str, mode: Mode, version: int) -> str:
    """A version's alias."""
    return f"{prefix(cell, mode)}{version:012d}"


def check_cell(name: str, field: str) -> str:
    """The cell's name, fit for aliases and labels. Raises Invalid."""
    if not _CELL_NAME.fullmatch(name):
        raise Invalid(
            f"{field} does not name the cell in a usable way; nothing was opened.",
            field=field,
            rule="cell=NAME: 1 to 64 of A-Z a-z 0-9 _ -",
            remedy="Give each cell a name of its own, and keep it: it is how its root keys are found.",
        )
    return name


def check_op(op_id: str) -> str:
    """The id of an operation, fit for a tag. Raises Invalid."""
    if not _OP_ID.fullmatch(op_id):
        raise Invalid(
            "A root version needs the id of its operation, of at most 60 plain characters; nothing was done.",
            field="op_id",
            rule="op-id",
            remedy="Use an opaque id.",
        )
    return op_id
