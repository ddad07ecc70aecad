"""Filing: a record can be found under paths, whose parts are sealed like its key.

A path is a sequence of texts, such as ("users", "42", "memories"); a record that is filed under it is found
under each beginning of it, too, but for the empty one. The database has keyed blind indexes of these
beginnings, each of which says where it begins and how many parts it has: ("a", "bc") is not ("ab", "c"), and
"users-2" is never found under "users".
"""

from collections.abc import Iterable, Sequence

from tenure import rowseals
from tenure.crew import Desk
from tenure.keyring import TenantKeyring
from tenure.store import paths
from tenure.store.paths import Filed

Path = Sequence[str]


def index_of(keys: TenantKeyring, scope: str, path: Path) -> str:
    """The blind index of one beginning of a path."""
    return keys.blind_index("path", scope, *path)


def beginnings(path: Path) -> Iterable[Path]:
    """A path's beginnings, itself among them."""
    return (path[:length] for length in range(1, len(path) + 1))


def filed(keys: TenantKeyring, scope: str, record_id: str, path: Path) -> list[Filed]:
    """The rows that file a record under a path."""
    found = (Filed(index_of(keys, scope, one), record_id) for one in beginnings(path))
    return [one._replace(seal=rowseals.of_filed(keys, one)) for one in found]


def file(desk: Desk, scope: str, record_id: str, *ways: Path) -> None:
    """File a record under these paths, with the commit. Again is no harm. No round trip."""
    for path in ways:
        desk.tx.put(
            paths.INSERT, *(one._asdict() for one in filed(desk.tenancy.keys, scope, record_id, path))
        )
