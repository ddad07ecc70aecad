"""Which version of the schema a database has. Without Alembic, which takes its time to load (`migrate`)."""

from sqlalchemy import Connection, inspect, text

from tenure import resources
from tenure.errors import Unavailable

_TABLE = "alembic_version"


def known() -> list[str]:
    """The revisions of this version of Tenure, in their order: migrations are numbered by their files."""
    folder = resources.folder("migrations") / "versions"
    return sorted(one.name.partition("_")[0] for one in folder.iterdir() if one.suffix == ".py")


def current(connection: Connection) -> str | None:
    """The schema's revision; None when nothing was migrated here."""
    if not inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar_one_or_none()  # noqa: S608 - a name of ours


def is_current(connection: Connection) -> bool:
    """Whether the schema is this version's."""
    return current(connection) == known()[-1]


def require_current(connection: Connection) -> None:
    """Refuse to run on another version's schema."""
    if not is_current(connection):
        raise Unavailable(
            "The database has another version's schema; nothing was opened.",
            remedy="Run 'tenure init' to migrate it.",
        )
