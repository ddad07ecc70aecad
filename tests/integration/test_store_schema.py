"""The schema on both databases: up, down, up; sharded by tenant everywhere; isolated row by row."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, NullPool, create_engine, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from support.cell import NOTES, Cell
from support.postgres import OWNER, Server
from tenure.bootstrap import prepare
from tenure.errors import Erased, TenureError, Unavailable
from tenure.model.principal import PrincipalKind
from tenure.store import migrate, revision
from tenure.store.records import among
from tenure.store.tables import metadata, versions

anyio = pytest.mark.anyio


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def up(urls: tuple[str, str]) -> None:
    owner, service = urls
    migrate.upgrade(owner, app_role=migrate.role_of(service) if owner != service else None)


def test_a_list_of_places_is_looked_up_by_index() -> None:
    """Erasing in pages, on SQLite: a page must not cost as much as the whole tenant has."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    places = [(f"record-{n}", 1) for n in range(3)]
    query = select(versions.c.state).where(versions.c.tenant_id == "t", among(versions, places))
    compiled = query.compile(engine, compile_kwargs={"render_postcompile": True})
    with engine.connect() as connection:
        values = tuple(compiled.params[name] for name in compiled.positiontup or ())
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]
    assert any("(tenant_id=? AND record_id=?" in step for step in plan), plan


# ── migrations ────────────────────────────────────────────────────────────────────────────────────
def test_up_down_up_and_nothing_differs_from_the_tables(database_url: tuple[str, str]) -> None:
    owner, service = database_url
    for _ in range(2):
        up(database_url)
        assert migrate.check(owner) == []
        with connected(service) as connection:
            assert revision.is_current(connection)
        migrate.downgrade(owner)
        with connected(owner) as connection:
            assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
            assert not revision.is_current(connection)
    up(database_url)
    up(database_url)
    with connected(owner) as connection:
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_migrating_leaves_no_connection_open(database_url: tuple[str, str], postgres: Server) -> None:
    owner = make_url(database_url[0])
    if owner.get_backend_name() == "sqlite":
        pytest.skip("a file has no list of who has it open")
    up(database_url)
    migrate.check(database_url[0])
    with connected(postgres.url(str(owner.database))) as connection:
        others = connection.execute(
            text("SELECT usename FROM pg_stat_activity WHERE datname = :d AND pid <> pg_backend_pid()"),
            {"d": owner.database},
        )
        assert others.all() == []


# ── every key and index is led by the tenant ──────────────────────────────────────────────────────
def test_declared_keys_and_indexes_start_with_the_tenant() -> None:
    for table in metadata.sorted_tables:
        assert next(iter(table.primary_key.columns)).name == "tenant_id", table.name
        for index in table.indexes:
            assert next(iter(index.columns)).name == "tenant_id", index.name


def test_real_keys_and_indexes_start_with_the_tenant(database_url: tuple[str, str]) -> None:
    up(database_url)
    with connected(database_url[0]) as connection:
        found = inspect(connection)
        for name in metadata.tables:
            leaders = [found.get_pk_constraint(name)["constrained_columns"][0]]
            leaders += [index["column_names"][0] for index in found.get_indexes(name)]
            leaders += [one["column_names"][0] for one in found.get_unique_constraints(name)]
            assert set(leaders) == {"tenant_id"}, name


# ── row-level security ────────────────────────────────────────────────────────────────────────────
async def _busy(cell: Cell) -> None:
    """Rows of both tenants in as many tables as a day's work fills."""
    async with cell.opened() as tenure:
        for tenant in (cell.one, cell.two):
            await cell.put("k", 1, "customer:1", tenant=tenant, idempotency_key="once")
            source = await cell.put("n", 1, scope=NOTES, tenant=tenant)
            await cell.put("d", 1, "customer:2", tenant=tenant, derived_from=(source.version_id,))
            await cell.erase("customer:1", tenant)
            with pytest.raises(Erased):
                await cell.get("k", tenant=tenant)
        assert tenure.started


@anyio
async def test_the_service_role_sees_only_the_tenant_it_names(scaled: Cell) -> None:
    await _busy(scaled)
    filled = set()
    with connected(scaled.settings.database_url) as connection:
        for name in metadata.tables:
            assert connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() == 0, name
        for tenant in (scaled.one.id, scaled.two.id):
            connection.execute(text("SELECT set_config('tenure.tenant', :t, true)"), {"t": tenant})
            for name in metadata.tables:
                seen = connection.execute(text(f"SELECT DISTINCT CAST(tenant_id AS TEXT) FROM {name}"))
                assert set(seen.scalars()) <= {tenant}, name
                if connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one():
                    filled.add(name)
    assert filled >= {"records", "versions", "entries", "subjects", "shreds", "certificates", "lineage"}
    assert filled >= {"idempotency", "credentials", "key_shards", "tiles", "checkpoints", "manifests"}


@anyio
async def test_the_tables_owner_is_bound_too(scaled: Cell) -> None:
    await _busy(scaled)
    with connected(scaled.settings.migration_url) as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == OWNER
        assert connection.execute(text("SELECT count(*) FROM versions")).scalar_one() == 0


def test_the_service_role_cannot_change_the_house(scaled: Cell, subtests: pytest.Subtests) -> None:
    for statement in (
        "DROP TABLE versions",
        "ALTER TABLE versions DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE versions NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON versions",
        "TRUNCATE versions",
        "CREATE TABLE mine (a int)",
        "SET ROLE tenure_owner",
        "ALTER ROLE tenure_app BYPASSRLS",
        "UPDATE alembic_version SET version_num = 'x'",
    ):
        with (
            subtests.test(statement=statement),
            pytest.raises(DBAPIError),
            connected(scaled.settings.database_url) as connection,
        ):
            connection.execute(text(statement))


# ── opening ───────────────────────────────────────────────────────────────────────────────────────
@anyio
async def test_another_versions_schema_is_not_opened_and_preparing_mends_it(place: Cell) -> None:
    ((head,),) = place.rows("SELECT version_num FROM alembic_version")
    place.change("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(Unavailable):
        async with place.opened():
            pass
    place.change("UPDATE alembic_version SET version_num = :head", head=head)
    assert prepare(place.settings) is None, "the operator's key is shown once"
    async with place.opened():
        await place.put("k", 1, "customer:1")


@anyio
async def test_one_process_per_embedded_store(embedded: Cell) -> None:
    async with embedded.opened():
        with pytest.raises(TenureError, match="Another process"):
            await embedded.crashing()
        await embedded.tenure.principals.create(
            embedded.one["admin"], "still-works", PrincipalKind.AGENT, ("clerk",)
        )


@pytest.mark.parametrize("inside", ["data/root", ".", "data"])
def test_the_root_directory_is_not_in_the_datas_backup(embedded: Cell, inside: str) -> None:
    folder = embedded.settings.data_dir.parent
    with pytest.raises(TenureError) as refused:
        prepare(embedded.settings.model_copy(update={"root_dir": folder / inside}))
    assert refused.value.field == "TENURE_ROOT_DIR"
