"""Settings → a selftest on a copy of that cell: the copy is made as a drill's is, and gone afterwards."""

import random
import tempfile
from pathlib import Path

from tenure.cold.veil import Veil
from tenure.governance.ground import Ground
from tenure.groundwork import ground_of
from tenure.safekeeping import opening_only, private_folder, readable
from tenure.selftest.bench import Bench
from tenure.selftest.run import Outcome, Progress, Selftest
from tenure.settings import Settings
from tenure.stamping import believed
from tenure.store.dump import FILES, dump, load, scratch

ROWS = 2
_ATTEMPTS = 3


def selftest(
    settings: Settings,
    *,
    rows: int | None = ROWS,
    seed: int | None = None,
    folder: Path | None = None,
    scratch_url: str = "",
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Copy the cell, corrupt the copy, and see who notices. Works beside a running service.

    The live database is read once, by a backup; mirror, objects and root store are read and never written.
    `rows` of each table and tenant are sampled; None: every row of every tenant. Raises Conflict where no
    scratch database may be made.
    """
    chosen = random.randrange(1 << 32) if seed is None else seed  # noqa: S311 - a sample
    live = opening_only(ground_of(settings))
    live.database.close()
    with private_folder(folder) as inside:
        for attempt in range(_ATTEMPTS):
            outcome = _on_copy(settings, live, inside, scratch_url, chosen, rows, progress)
            # A copy that was taken while a checkpoint was being published is behind the mirror by itself.
            transient = bool(outcome.dirty) and not outcome.tried
            if not transient or attempt == _ATTEMPTS - 1:
                break
    return outcome


def _on_copy(
    settings: Settings,
    live: Ground,
    inside: Path,
    scratch_url: str,
    seed: int,
    rows: int | None,
    progress: Progress,
) -> Outcome:
    source = readable(settings)
    from tenure.store import migrate  # noqa: PLC0415 - Alembic takes a tenth of a second, and is rarely needed

    place = Path(tempfile.mkdtemp(dir=inside))
    kept = place / FILES[source.dialect]
    dump(source, kept)
    with scratch(source, place, scratch_url) as target:
        load(kept, target, again=False)
        migrate.upgrade(target.url)
        bench = Bench(live, Veil(live.objects), target.url, believed(settings.tsa_certs))
        try:
            return Selftest(bench, rows=rows, seed=seed, progress=progress).run()
        finally:
            bench.close()
