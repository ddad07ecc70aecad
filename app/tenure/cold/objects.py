"""What an object store is to the rest: named bytes, on files (`cold.files`) or in a bucket (`cold.s3`)."""

from collections.abc import Iterator
from typing import Protocol

from tenure.errors import Unavailable


class Objects(Protocol):
    """Objects below a place. A put is visible whole or not at all. Raises Unavailable when it cannot be used.

    Names are letters, digits and `. _ -` in parts divided by `/`, none of which begins with a dot.
    """

    def put(self, name: str, data: bytes) -> None:
        """Create or replace an object, durably."""
        ...

    def keep(self, name: str, data: bytes) -> bool:
        """Create an object that never changes; nothing is ever overwritten.

        True when it is there with this content, now or since long. False when another content has the name.
        """
        ...

    def get(self, name: str) -> bytes | None:
        """An object's bytes, or None."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Names of the objects below a folder, sorted; of all with an empty prefix."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when there is none."""
        ...


def unusable(doing: str) -> Unavailable:
    """The error of a store that cannot be used: `doing` is what failed, such as "written"."""
    return Unavailable(
        f"The object store cannot be {doing}.",
        retry_after=5,
        remedy="Check that it is there and that this process may use it; what was asked is safe to repeat.",
    )
