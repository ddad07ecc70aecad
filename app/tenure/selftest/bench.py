"""The copy that is corrupted, and how it is put back: changes go in through one door and come out again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cryptography.x509 import Certificate
from sqlalchemy import Table, and_, delete, insert, update
from sqlalchemy.exc import StatementError

from tenure.cold.mirror import Mirror
from tenure.cold.veil import Veil
from tenure.governance.ground import Ground
from tenure.inspection.view import Anchors
from tenure.keyring import Keyring
from tenure.selftest.fields import Change, Row
from tenure.store import inspecting, tables
from tenure.store.database import Database
from tenure.store.session import Tx


class Refused(Exception):
    """The database does not take such a value."""


class Bench:
    """A cell on a scratch database, with the live mirror and objects behind veils."""

    def __init__(
        self, live: Ground, objects: Veil, url: str, authorities: tuple[Certificate, ...] = ()
    ) -> None:
        """`url` is the scratch database's; `live` gives everything else, and its roots only open."""
        self.database = Database(url)
        self._authorities = authorities
        self._roots = live.roots
        self.objects = objects
        self.heads = Veil(live.mirror.objects)
        self.ground = live._replace(
            database=self.database,
            mirror=Mirror(self.heads),
            keyring=Keyring(self.database, live.roots),
            objects=objects,
        )

    @property
    def anchors(self) -> Anchors:
        """What the inspection of the copy compares with."""
        return Anchors(self.ground, self._authorities)

    def forget(self) -> None:
        """Open the key state anew: it may have been changed."""
        self.ground = self.ground._replace(keyring=Keyring(self.database, self._roots))

    def rows(self, tenant_id: str, table: Table) -> list[Row]:
        """All rows of a tenant in a table."""
        return self.database.read(tenant_id, lambda tx: inspecting.where(tx, table))

    # ── one row ──────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def changed(self, tenant_id: str, table: Table, row: Row, change: Change) -> Iterator[None]:
        """A row with other values, or without `values` none at all; as it was afterwards. Refused."""
        here = {"tenant_id": tenant_id, **row}
        there = {**here, **change.values}
        try:
            if change.values:
                self._write(tenant_id, update(table).where(_at(table, here)).values(change.values))
            else:
                self._write(tenant_id, delete(table).where(_at(table, here)))
        except StatementError as refusal:
            raise Refused from refusal
        self.forget()
        try:
            yield
        finally:
            if change.values:
                self._write(there["tenant_id"], delete(table).where(_at(table, there)))
            self._write(tenant_id, insert(table).values(here))
            self.forget()

    # ── many rows ────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def kept(self, tenant_id: str, names: Sequence[str]) -> Iterator[None]:
        """Whatever happens to a tenant's rows of these tables, and to what the veils show, is undone."""
        chosen = [tables.metadata.tables[name] for name in names]
        before = {table.name: self.rows(tenant_id, table) for table in chosen}
        try:
            yield
        finally:
            self.heads.lift()
            self.objects.lift()

            def put_back(tx: Tx) -> None:
                for table in chosen:
                    tx.execute(delete(table).where(table.c.tenant_id == tenant_id))
                    if rows := before[table.name]:
                        tx.execute(insert(table), [{"tenant_id": tenant_id, **row} for row in rows])

            self.database.write(tenant_id, put_back)
            self.forget()

    def write(self, tenant_id: str, *statements: Any) -> None:  # noqa: ANN401 - Core statements
        """Run statements in one transaction."""

        def work(tx: Tx) -> None:
            for statement in statements:
                tx.execute(statement)

        self.database.write(tenant_id, work)
        self.forget()

    def _write(self, tenant_id: str, statement: Any) -> None:  # noqa: ANN401 - a Core statement
        self.database.write(tenant_id, lambda tx: tx.execute(statement))

    def close(self) -> None:
        """Close the copy."""
        self.database.close()


def _at(table: Table, row: Row) -> Any:  # noqa: ANN401 - a condition
    return and_(*(column == row[column.name] for column in table.primary_key.columns))
