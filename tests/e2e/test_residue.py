"""Residue in real stores: SQLite files with deleted rows, and dumps of PostgreSQL in all its formats."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tenure.residue import Value, scan

NAME = "Ada Lovelace-Byron"
VALUES = (Value(1, NAME), Value(2, "ada.lovelace@example.org"))
ROW = f'{{"name": "{NAME}", "email": "ada.lovelace@example.org"}}'

FILLER = "INSERT INTO note SELECT n, md5(n::text) || md5((n * 7)::text) FROM generate_series({}, {}) n"


def verdict(*paths):
    report = scan(paths, VALUES)
    assert report.incomplete == ()
    return report.verdict


class TestSqlite:
    @pytest.fixture
    def database(self, tmp_path):
        (tmp_path / "db").mkdir()
        return tmp_path / "db" / "store.db"

    def fill_and_delete(self, database, *pragmas):
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, text TEXT)")
            rows = [(f"nobody in particular {n}",) for n in range(500)]
            connection.executemany("INSERT INTO person (text) VALUES (?)", rows)
            connection.execute("INSERT INTO person (text) VALUES (?)", (ROW,))
            assert verdict(database.parent) == "residue"
            connection.execute("DELETE FROM person WHERE text = ?", (ROW,))
            assert connection.execute("SELECT count(*) FROM person WHERE text LIKE '%Ada%'").fetchone() == (
                0,
            )
            return connection.execute("PRAGMA secure_delete").fetchone()[0]

    def test_a_deleted_row_stays_in_the_file(self, database):
        assert self.fill_and_delete(database, "secure_delete=OFF") == 0
        assert verdict(database.parent) == "residue"

    def test_secure_delete_takes_it_away(self, database):
        assert self.fill_and_delete(database, "secure_delete=ON") == 1
        assert verdict(database.parent) == "clean"

    def test_a_write_ahead_log_keeps_it_until_it_is_truncated(self, database):
        with closing(sqlite3.connect(database, isolation_level=None)) as still_there:
            still_there.execute("PRAGMA journal_mode=WAL")
            still_there.execute("CREATE TABLE other (id INTEGER)")
            self.fill_and_delete(database, "secure_delete=ON", "wal_autocheckpoint=0")
            found = scan([database.parent], VALUES).findings
            assert {one.path.rpartition(".")[2] for one in found} == {"db-wal"}
            still_there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert verdict(database.parent) == "clean"

    def test_a_vacuum_takes_away_what_delete_left(self, database):
        self.fill_and_delete(database, "secure_delete=OFF")
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM")
        assert verdict(database.parent) == "clean"


@pytest.fixture(scope="module")
def dumps(_postgres, tmp_path_factory):
    """Dumps of a table of 30 000 rows with the person in the middle, by format and compression."""
    if isinstance(_postgres, str):
        if os.environ.get("TENURE_REQUIRE_ALL") == "1":
            pytest.fail(_postgres)
        pytest.skip(_postgres)
    name = _postgres.new()
    _postgres.run(
        "CREATE TABLE note (id int, text text, raw bytea)",
        FILLER.format(1, 15_000),
        f"INSERT INTO note VALUES (0, '{ROW}', NULL)",
        f"INSERT INTO note VALUES (0, 'as bytes', convert_to('{NAME}', 'UTF8'))",
        FILLER.format(15_001, 30_000),
        database=name,
    )
    program = str(Path(_postgres._psql).with_name("pg_dump"))
    folder = tmp_path_factory.mktemp("dumps")

    def dump(kind, *more):
        target = folder / "-".join([kind, *(one.strip("-=") for one in more)])
        url = _postgres.url(name)
        subprocess.run([program, f"--format={kind}", *more, "-f", str(target), url], check=True)
        return target

    yield dump
    _postgres.drop(name)


@pytest.mark.postgres
class TestPostgres:
    FORMATS = ("plain", "custom", "directory", "tar")

    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_format(self, dumps, kind):
        """A custom archive cuts each table's stream into blocks: the person is many blocks in."""
        target = dumps(kind)
        report = scan([target], VALUES)
        assert report.verdict == "residue"
        assert report.incomplete == ()
        chains = {finding.encoding for finding in report.findings}
        inside = {"custom": "pg_dump>zlib>", "directory": "gzip>"}.get(kind, "")
        assert {inside + "json", inside + "utf-8", inside + "hex"} & chains >= {
            inside + "utf-8",
            inside + "hex",
        }
        assert scan([target], [Value(1, "Charles Babbage")]).verdict == "clean"

    @pytest.mark.parametrize("level", [0, 1, 9])
    def test_custom_archives_at_other_levels(self, dumps, level):
        report = scan([dumps("custom", f"--compress={level}")], VALUES)
        assert {one.line for one in report.findings} == {1, 2}
        assert report.incomplete == ()
