"""Row-level security as the database itself has it: read from the catalogue, and tried on every table there
is.

`test_store_schema` has what one day's rows show. Here nothing is named: a table that a later migration
makes is looked at, too. The service's role owns nothing, may become nobody, and meets no function or view
that runs as somebody else.
"""

from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import Boolean

from integration.test_store_schema import connected
from support.cell import Cell
from support.lived import live
from support.postgres import APP, OWNER
from tenure import ids
from tenure.bootstrap import open_tenure
from tenure.errors import Conflict
from tenure.store.database import Database
from tenure.store.tables import metadata

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
NOT_A_TENANTS = {"alembic_version"}
"""Tables without a tenant: which schema this is. The service may only read it."""
TABLES = metadata.sorted_tables


def rows(cell: Cell, sql: str) -> list[tuple[Any, ...]]:
    """What the catalogue says; `:app` is the service's role."""
    return cell.rows(sql, app=APP)


def act_as(connection: Connection, tenant: str) -> None:
    connection.execute(text("SELECT set_config('tenure.tenant', :t, true)"), {"t": tenant})


# ── the catalogue ─────────────────────────────────────────────────────────────────────────────────
def test_every_table_has_its_security_forced_and_one_policy_for_everybody(scaled: Cell) -> None:
    found = rows(
        scaled,
        "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND {OURS}",
    )
    assert {name for name, *_ in found} == {*metadata.tables, *NOT_A_TENANTS}
    assert {name for name, *how in found if how != [True, True]} == NOT_A_TENANTS
    policies = rows(
        scaled,
        "SELECT c.relname, p.polcmd, p.polpermissive, p.polroles = '{0}', pg_get_expr(p.polqual, p.polrelid),"
        " p.polwithcheck IS NULL FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid",
    )
    assert sorted(name for name, *_ in policies) == sorted(metadata.tables), "one each: several are ORed"
    # For all commands and all roles. What is written is checked by the same condition as what is read.
    (how,) = {tuple(rest) for _, *rest in policies}
    assert how[:3] == ("*", True, True)
    assert how[3] == "(tenant_id = (NULLIF(current_setting('tenure.tenant'::text, true), ''::text))::uuid)"
    assert how[4]


def test_the_services_role_owns_nothing_and_can_become_nobody(scaled: Cell) -> None:
    (role,) = rows(
        scaled,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles"
        " WHERE rolname = :app",
    )
    assert not any(role)
    others = "SELECT rolname FROM pg_roles WHERE rolname <> :app AND pg_has_role(:app, oid, 'MEMBER')"
    assert rows(scaled, others) == []
    owned = "SELECT 1 FROM pg_shdepend WHERE deptype = 'o' AND refobjid = CAST(:app AS regrole)"
    assert rows(scaled, owned) == []
    may = rows(
        scaled,
        "SELECT DISTINCT privilege_type, is_grantable FROM information_schema.table_privileges"
        " WHERE grantee IN (:app, 'PUBLIC') AND table_schema NOT IN ('pg_catalog', 'information_schema')",
    )
    assert {*may} == {(one, "NO") for one in ("SELECT", "INSERT", "UPDATE", "DELETE")}
    (anywhere,) = rows(
        scaled,
        "SELECT count(*) FROM pg_namespace n WHERE has_schema_privilege(:app, n.oid, 'CREATE')",
    )
    assert anywhere == (0,), "no place to put something that hides a table"
    ((temporary,),) = rows(scaled, "SELECT has_database_privilege(:app, current_database(), 'TEMP')")
    assert not temporary


def test_nothing_in_the_database_runs_as_somebody_else(scaled: Cell) -> None:
    for what, sql in {
        "functions": (
            f"SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OURS}"
        ),
        "security definers": (
            "SELECT proname FROM pg_proc WHERE prosecdef AND has_function_privilege(:app, oid, 'EXECUTE')"
        ),
        "views, foreign tables, sequences": (
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.relkind IN ('v', 'm', 'f', 'S') AND {OURS}"
        ),
        "triggers": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        "rules": "SELECT rulename FROM pg_rules WHERE schemaname !~ '^pg_'",
    }.items():
        assert rows(scaled, sql) == [], what


# ── every table, tried ────────────────────────────────────────────────────────────────────────────
def row_of(table: Table, tenant: str) -> dict[str, Any]:
    """A row of the right types: security refuses it before anything else could."""
    kinds: dict[type, Any] = {Uuid: ids.new_id(), LargeBinary: b"x", Boolean: True, Text: "x"}
    kinds |= {BigInteger: 1, Integer: 1}
    return {
        column.name: next(value for kind, value in kinds.items() if isinstance(column.type, kind))
        for column in table.columns
    } | {"tenant_id": tenant}


@pytest.fixture
async def lived(scaled: Cell) -> Cell:
    async with scaled.opened():
        await live(scaled)
    return scaled


async def test_in_a_store_in_which_something_of_everything_happened(
    lived: Cell, subtests: pytest.Subtests
) -> None:
    for shown in (
        without_a_tenant_nothing_is_seen_and_nothing_is_written,
        as_one_tenant_no_row_of_another_is_seen_changed_or_made,
        a_pooled_connection_forgets_whose_it_was,
    ):
        with subtests.test(shown.__name__):
            shown(lived)


def without_a_tenant_nothing_is_seen_and_nothing_is_written(lived: Cell) -> None:
    filled = {table.name for table in TABLES if lived.rows(f"SELECT 1 FROM {table.name} LIMIT 1")}
    assert len(filled) > len(TABLES) * 0.6
    with connected(lived.settings.database_url) as connection:
        for table in TABLES:
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0, table.name
            assert connection.execute(delete(table)).rowcount == 0, table.name
            assert connection.execute(update(table).values(tenant_id=lived.one.id)).rowcount == 0, table.name
            with pytest.raises(DBAPIError, match="row-level security"), connection.begin_nested():
                connection.execute(insert(table).values(row_of(table, lived.one.id)))
    assert filled == {table.name for table in TABLES if lived.rows(f"SELECT 1 FROM {table.name} LIMIT 1")}


def as_one_tenant_no_row_of_another_is_seen_changed_or_made(lived: Cell) -> None:
    def of_others() -> dict[str, list[tuple[Any, ...]]]:
        sql = "SELECT * FROM {} WHERE CAST(tenant_id AS TEXT) <> :t ORDER BY CAST({} AS TEXT)"
        return {
            table.name: lived.rows(sql.format(table.name, table.name), t=lived.two.id) for table in TABLES
        }

    before = of_others()
    with connected(lived.settings.database_url) as connection:
        act_as(connection, lived.two.id)
        for table in TABLES:
            theirs = table.c.tenant_id != lived.two.id
            assert connection.execute(select(func.count()).where(theirs)).scalar_one() == 0, table.name
            assert connection.execute(delete(table).where(theirs)).rowcount == 0, table.name
            stolen = update(table).where(theirs).values(tenant_id=lived.two.id)
            assert connection.execute(stolen).rowcount == 0, table.name
            for tenant in (lived.one.id, ids.CELL):
                with pytest.raises(DBAPIError, match="row-level security"), connection.begin_nested():
                    connection.execute(insert(table).values(row_of(table, tenant)))
                if connection.execute(select(func.count()).select_from(table)).scalar_one():
                    with pytest.raises(DBAPIError, match="row-level security"), connection.begin_nested():
                        connection.execute(update(table).values(tenant_id=tenant))
    assert of_others() == before


def test_no_trick_gets_around_it(scaled: Cell, subtests: pytest.Subtests) -> None:
    for trick in (
        "SET row_security = off; SELECT count(*) FROM versions",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE TEMP TABLE versions (LIKE public.versions)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.all_of_them() RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
        "SET search_path = pg_temp; SELECT count(*) FROM versions",
        "CREATE POLICY mine ON versions USING (true)",
        "CREATE RULE mine AS ON SELECT TO versions DO INSTEAD SELECT 1",
        "CREATE TRIGGER mine BEFORE INSERT ON versions EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "COPY versions FROM PROGRAM 'true'",
        "ALTER ROLE tenure_app SET tenure.tenant = 'x'",
        "DO LANGUAGE plpgsql $$ BEGIN ALTER TABLE versions NO FORCE ROW LEVEL SECURITY; END $$",
    ):
        *first, last = trick.split("; ") if "$$" not in trick else [trick]
        with subtests.test(trick=trick), connected(scaled.settings.database_url) as connection:
            for statement in first:
                connection.execute(text(statement))
            with pytest.raises(DBAPIError):
                connection.execute(text(last))


def a_pooled_connection_forgets_whose_it_was(lived: Cell) -> None:
    """The setting ends with its transaction, well or not: the next one on that connection is nobody's."""
    database = Database(lived.settings.database, pool_size=1)

    def left() -> int:
        with database.connect() as connection:
            return connection.execute(text("SELECT count(*) FROM versions")).scalar_one()

    try:
        assert database.read(lived.one.id, lambda tx: tx.exists)
        assert left() == 0
        with pytest.raises(ZeroDivisionError):
            database.write(lived.one.id, lambda tx: 1 // (tx.exists - 1))
        assert left() == 0
    finally:
        database.close()


# ── a cell whose role is above all this is not opened ─────────────────────────────────────────────
@pytest.fixture
def standing_of(scaled: Cell) -> Any:
    """What a database says of its role after some statements of a superuser's, and whether a cell opens."""

    def look(*statements: str, url: str = "") -> str:
        with scaled.raw() as connection:
            for statement in statements:
                connection.execute(text(statement))
        database = Database(url or scaled.settings.database)
        try:
            return database.standing()
        finally:
            database.close()

    return look


def test_what_a_role_is_to_row_level_security(scaled: Cell, standing_of: Any) -> None:
    assert standing_of() == "bound"
    assert standing_of(url=scaled.admin_url) == "superuser"
    assert standing_of(url=scaled.settings.migration_url) == "owner"
    try:
        assert standing_of(f"GRANT {OWNER} TO {APP}") == "owner", "what it may become counts"
    finally:
        standing_of(f"REVOKE {OWNER} FROM {APP}")
    for off, on in (("NO FORCE", "FORCE"), ("DISABLE", "ENABLE")):
        # The database is used again by other tests: it is mended whatever is found.
        found = standing_of(f"ALTER TABLE versions {off} ROW LEVEL SECURITY")
        assert (found, standing_of(f"ALTER TABLE versions {on} ROW LEVEL SECURITY")) == ("unforced", "bound")


async def test_a_cell_without_its_border_is_not_opened(scaled: Cell) -> None:
    above = scaled.settings.model_copy(update={"database_url": scaled.admin_url})
    with pytest.raises(Conflict) as refused:
        async with open_tenure(above):
            pass
    assert refused.value.field == "TENURE_DATABASE_URL"
    assert "TENURE_MIGRATION_URL" in str(refused.value.remedy)
    scaled.change("ALTER TABLE versions NO FORCE ROW LEVEL SECURITY")
    try:
        with pytest.raises(Conflict, match="Row-level security"):
            async with scaled.opened():
                pass
    finally:
        scaled.change("ALTER TABLE versions FORCE ROW LEVEL SECURITY")
    async with scaled.opened():
        await scaled.put("k", 1, "customer:1")
