"""The control: a service broken on purpose, one rule of `02-keys.md` at a time, must fail the matrix.

A breakage is put in place in the process of one case and in those that it forks, nowhere else.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

from fault.matrix.cases import Case, Next
from support.durable import Step
from tenure import ids
from tenure.cold.mirror import Mirror
from tenure.errors import RootLost
from tenure.keys import state
from tenure.keys.rootstore import Destruction
from tenure.keys.sealed_shard import ShardRef, seal_shard
from tenure.rootstore.files import FilesRootStore
from tenure.store import keystate

_CERTIFICATE, _GONE = Step("mirror/certificates/*", 1), Step("unlink keys/root*.key", 1)


class Breakage(NamedTuple):
    """What is broken, how, and which verdict the case must then have."""

    what: str
    apply: Callable[[], None]
    step: Step
    next: Next
    found_as: str

    def case(self, kind: str) -> Case:
        """The case that finds it."""
        return Case(kind, self.step, "after", self.next, broken=self.what)


def _lying_provider() -> None:
    """Says destroyed, and refuses from then on, while the key lies there as before."""
    refused: set[int] = set()
    unseal = FilesRootStore.unseal

    def destroy(_roots: FilesRootStore, version: int, _op_id: str) -> Destruction:
        refused.add(version)
        return Destruction("destroyed", ids.now(), ids.now())

    def refusing(roots: FilesRootStore, version: int, *sealed: bytes) -> bytes:
        if version in refused:
            raise RootLost("It says that it is gone.")
        return unseal(roots, version, *sealed)

    patch.object(FilesRootStore, "destroy", destroy).start()
    patch.object(FilesRootStore, "unseal", refusing).start()


def _same_shard_key() -> None:
    """A shard is sealed under the key that it always had."""
    keys: dict[tuple[str, int, int], bytes] = {}
    next_state = state.next_state

    def under_old_keys(manifest: state.CellManifest, *args: Any, **kw: Any) -> state.NextState:
        for tenant, known in manifest.tenants.items():
            keys.update({(tenant, ref.depth, ref.prefix): ref.key for ref in known.shards})
        return next_state(manifest, *args, **kw)

    def seal(tenant: str, shard: state.PuncturedState, seq: int) -> tuple[ShardRef, bytes]:
        key = keys[tenant, shard.depth, shard.prefix]
        blob = seal_shard(tenant, shard, seq, key)
        return ShardRef(shard.depth, shard.prefix, seq, key, state.manifest_digest(blob)), blob

    _everywhere("next_state", under_old_keys)
    patch.object(state, "seal_under_fresh_key", seal).start()


def _no_journal() -> None:
    """Erasures are in the database only."""
    patch.object(Mirror, "put_intent", lambda *_: None).start()


def _blind_swap() -> None:
    """The pointer moves whatever it was."""
    move = keystate.move_pointer

    def blind(tx: Any, _old: Any, new: Any) -> bool:
        return move(tx, keystate.pointer(tx), new)

    patch.object(keystate, "move_pointer", blind).start()


def _everywhere(name: str, instead: Callable[..., Any]) -> None:
    """Replace a function of `keys.state`, also where it was imported by name."""
    real = getattr(state, name)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("tenure.") and getattr(module, name, None) is real:
            patch.object(module, name, instead).start()


BREAKAGES = {
    one.what: one
    for one in (
        Breakage("a provider that only says destroyed", _lying_provider, _CERTIFICATE, Next.NOTHING, "early"),
        Breakage("shards sealed under old keys", _same_shard_key, _GONE, Next.NOTHING, "resurrections"),
        Breakage("no journal in the mirror", _no_journal, _GONE, Next.RESTORED, "other"),
        Breakage("a pointer moved without comparing", _blind_swap, _GONE, Next.STALE, "resurrections"),
    )
}
