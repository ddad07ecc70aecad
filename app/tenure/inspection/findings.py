"""What an inspection found: which check, which table, which row by opaque ids, which column."""

from typing import NamedTuple

from tenure.store.inspecting import Key


class Finding(NamedTuple):
    """One row (or one log, or one key state) that is not as it was written.

    `where` is the row's key, of opaque ids and numbers. `column` is empty when it is the row as such.
    """

    check: str
    tenant: str
    table: str
    where: str
    column: str
    detail: str

    def line(self) -> str:
        """For people."""
        place = f"{self.table}.{self.column}" if self.column else self.table
        return f"{self.check}: {place} {self.where} of tenant {self.tenant}: {self.detail}"


def spelled(key: Key) -> str:
    """A row's key as text."""
    return "/".join(str(part) for part in key)
