"""What a cell stands on, opened from its settings: database, root store, mirror, objects, a lock on them."""

import contextlib
import fcntl
import os
from pathlib import Path

import structlog

from tenure.cold.lifecycle import Place
from tenure.cold.mirror import Mirror
from tenure.cold.objects import Objects
from tenure.cold.open import open_objects, open_rules
from tenure.cold.storage import StorageClasses
from tenure.errors import ONE_PROCESS, Conflict, Invalid
from tenure.governance.ground import Ground
from tenure.governance.lifecycle import Bucket
from tenure.governance.restore import refuse_unfinished
from tenure.keyring import Keyring
from tenure.model.limits import NAMES, Limits
from tenure.model.prices import FIELD, Prices, read_prices
from tenure.places import object_lock_of, places_of
from tenure.publisher import PUTTING
from tenure.rootstore.open import open_root_stores, root_files
from tenure.settings import Settings
from tenure.store.database import Database, Standing

_log = structlog.get_logger(__name__)

ABOVE = {
    "superuser": "the role is a superuser or has BYPASSRLS, or may become one that has",
    "unforced": "a table of tenants' rows does not have it forced",
}
"""Standings of a database role under which no cell is opened, and why."""
_ROLE_OF_ITS_OWN = (
    "Connect as a role of its own (deploy/postgres.sql makes one); give the owner's URL to 'tenure init' as "
    "TENURE_MIGRATION_URL."
)
REMEDY = {
    "superuser": _ROLE_OF_ITS_OWN,
    "owner": _ROLE_OF_ITS_OWN,
    "unforced": "As the tables' owner: ALTER TABLE … ENABLE and FORCE ROW LEVEL SECURITY, with the policy "
    "that the migrations give each table.",
}


def ground_of(settings: Settings, *, restoring: bool = False) -> Ground:
    """What a cell stands on. Conflict when root and data are not apart, or a restore was not finished."""
    _check_apart(settings)
    if not restoring:
        refuse_unfinished(settings.data_dir)
    roots = open_root_stores(settings.root_store, settings.root_store_previous, settings.root_keys)
    database = Database(
        settings.database, pool_size=settings.lanes + PUTTING, idle_s=settings.replica_lease_s
    )
    return Ground(
        database,
        roots,
        Mirror(mirror_of(settings)),
        Keyring(database, roots),
        settings.ledger_origin,
        objects_of(settings),
    )


def objects_of(settings: Settings) -> Objects:
    """The object tier."""
    return open_objects(
        settings.objects_url,
        settings.data_dir / "objects",
        "TENURE_OBJECTS_URL",
        settings.s3_endpoint,
        object_lock_of(settings),
    )


def bucket_of(settings: Settings) -> Bucket | None:
    """The bucket that objects lie in, with its rules; None for a folder. Nothing is asked of it yet.

    Raises Invalid naming the setting that cannot be used, a storage class or the place.
    """
    storage = StorageClasses(settings.cold_class, settings.archive_class)
    place = places_of(settings).objects
    if isinstance(place, Path):
        return None
    rules = open_rules(place, "TENURE_OBJECTS_URL", settings.s3_endpoint)
    return Bucket(rules, Place(place.prefix), storage, object_lock_of(settings))


def mirror_of(settings: Settings) -> Objects:
    """What the mirror lies in."""
    return open_objects(
        settings.mirror_url, settings.root_dir / "mirror", "TENURE_MIRROR_URL", settings.s3_endpoint
    )


def remembered(settings: Settings) -> tuple[int, int, dict[str, bytes]]:
    """What the mirror knows: how many restores, the leaf epoch, and each log's head as it lies there."""
    objects = mirror_of(settings)
    heads = {name.removeprefix("heads/"): objects.get(name) or b"" for name in objects.names("heads")}
    return len(list(objects.names("restores"))), Mirror(objects).leaf_epoch(), heads


def key_directories(settings: Settings) -> list[Path]:
    """Where root keys lie as files: none, when a key service or a token has them."""
    urls = (settings.root_store, settings.root_store_previous or None)
    found = [root_files(url, settings.root_keys) for url in urls if url is not None]
    return [directory for directory in found if directory is not None]


def prices_of(settings: Settings) -> Prices | None:
    """What storage costs, if it is said. Raises Invalid naming the member that is wrong."""
    given = settings.prices.strip()
    if not given:
        return None
    if not given.startswith("{"):
        try:
            given = Path(given).read_text()
        except (OSError, UnicodeDecodeError):
            raise Invalid(
                "The table of prices cannot be read; nothing was opened.",
                field=FIELD,
                rule="a JSON object, or a file with one",
                remedy="Name a file that the service may read, or write the object itself.",
            ) from None
    return read_prices(given)


def limits_of(settings: Settings) -> Limits:
    """What a tenant may take of which nothing is declared."""
    return Limits.of({name: getattr(settings, f"limit_{name}") for name in NAMES})


def require_border(database: Database) -> None:
    """Refuse to serve tenants that the database does not keep apart (ADR 26). One round trip."""
    standing = database.standing()
    if standing in ABOVE:
        raise Conflict(
            f"Row-level security does not keep tenants apart here: {ABOVE[standing]}. Nothing was opened.",
            field="TENURE_DATABASE_URL",
            rule="a role that row-level security binds, on every table",
            remedy=REMEDY[standing],
        )
    if standing == "owner":
        _log.warning("the database role owns tables: it could switch row-level security off")


def role_standing(settings: Settings) -> Standing:
    """How row-level security sees the role that this cell connects as."""
    database = Database(settings.database)
    try:
        return database.standing()
    finally:
        database.close()


def lock_of(settings: Settings) -> "_Lock | contextlib.ExitStack":
    """Held by whoever has an embedded store open; PostgreSQL takes any number of processes."""
    if settings.database.startswith("sqlite"):
        return _Lock(settings.data_dir / "lock")
    return contextlib.ExitStack()


class _Lock:
    """One process per embedded store."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise Conflict(
                "Another process has this data directory open; nothing was opened.",
                field="TENURE_DATA_DIR",
                rule=ONE_PROCESS,
                remedy="Use the running server's API, or stop it first.",
            ) from None

    def close(self) -> None:
        os.close(self._descriptor)


def _check_apart(settings: Settings) -> None:
    """The root store must not travel with the data's backups."""
    data, root = settings.data_dir.resolve(), settings.root_dir.resolve()
    if data == root or data in root.parents or root in data.parents:
        raise Conflict(
            "The root directory and the data directory contain one another; nothing was opened.",
            field="TENURE_ROOT_DIR",
            rule="outside the data directory and its backups",
            remedy="Put them side by side, and back up only the data directory.",
        )
