"""What an object store is to the rest: named bytes, on files (`cold.files`) or in a bucket (`cold.s3`)."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol

from tenure.errors import Invalid, Tampered, Unavailable, Unsupported

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
RESTORED_DAYS: Final = 3
"""For how long what an archive was asked for can be read: it costs as much as other storage meanwhile."""


class Standing(NamedTuple):
    """Whether an object can be read: `here`, `archived`, or `coming` out of the archive, which was asked.

    `until`, in microseconds: for how long what an archive gave out is here.
    """

    place: Literal["here", "archived", "coming"]
    until: int | None = None


HERE: Final = Standing("here")


class Objects(Protocol):
    """Objects below a place. A put is visible whole or not at all. Raises Unavailable when it cannot be used.

    Names are letters, digits and `. _ -` in parts divided by `/`, none of which begins with a dot.
    """

    def put(self, name: str, data: bytes) -> None:
        """Create or replace an object, durably."""
        ...

    def keep(self, name: str, data: bytes, *, tags: Mapping[str, str] = NO_TAGS) -> bool:
        """Create an object that never changes; nothing is ever overwritten.

        True when it is there with this content, now or since long. False when another content has the name.
        A bucket gives a new object the tags, which its rules can select by; one that is there keeps its own.
        A folder has no rules, and no tags.
        """
        ...

    def retag(self, name: str, tags: Mapping[str, str]) -> None:
        """Give an object that is there these tags in place of its own. Its content never changes."""
        ...

    def restore(self, name: str) -> None:
        """Ask for an object that an archive has (`Archived`), for some days. Safe to repeat."""
        ...

    def state(self, name: str) -> Standing | None:
        """Where an object is; None without one. Nothing of it is read."""
        ...

    def get(self, name: str) -> bytes | None:
        """An object's bytes, or None. `Archived` when it lies in an archive, here and in `get_range`."""
        ...

    def get_range(self, name: str, start: int, length: int) -> bytes | None:
        """Exactly `length` bytes of one state of an object, the first being `start`; None without one.

        Tampered when the object ends earlier.
        """
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Names of the objects below a folder, sorted; of all with an empty prefix."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when there is none."""
        ...


class Archived(Unsupported):
    """An object lies in an archive that gives nothing out at once."""


def archived() -> Archived:
    """The error of an object that must be restored before it can be read."""
    return Archived(
        "The object lies in an archive that gives nothing out at once; nothing was read.",
        rule="archived",
        remedy="It has to be restored in the bucket first; a read of a record asks for that.",
    )


def unusable(doing: str) -> Unavailable:
    """The error of a store that cannot be used: `doing` is what failed, such as "written"."""
    return Unavailable(
        f"The object store cannot be {doing}.",
        retry_after=5,
        remedy="Check that it is there and that this process may use it; what was asked is safe to repeat.",
    )


def checked_range(start: int, length: int) -> None:
    """Invalid unless it is a range of bytes that an object can have."""
    if start < 0 or length < 1:
        raise Invalid(
            "A range of an object's bytes is not well-formed; nothing was read.",
            field="length" if start >= 0 else "start",
            rule="start at 0 or later, one byte or more",
            remedy="Ask for bytes that are there.",
        )


def cut(data: bytes, start: int, length: int) -> bytes:
    """`get_range` of a content that is at hand."""
    checked_range(start, length)
    found = data[start : start + length]
    if len(found) != length:
        raise too_short()
    return found


def too_short() -> Tampered:
    """The error of an object that ends before the bytes that were asked for."""
    return Tampered(
        "An object is shorter than it was when it was put; nothing was taken from it.",
        rule="object-length",
        remedy="Put it back as it was, from a copy or an older version of it; it was left as it is.",
    )
