"""The ZIP: the same data gives the same bytes, and nothing in it but the data says anything about anybody."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Final

from tenure.rights.package.reading import page
from tenure.rights.package.shape import data, schema

_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The first date that a ZIP can say: no member tells when it was made."""
_TOGETHER: Final = 1 << 16
Json = dict[str, Any]


def write(
    out: IO[bytes], facts: Json, versions: Callable[[], Iterable[Json]], *, readable: bool, large: bool
) -> None:
    """Write a package. `versions` gives them from the first, twice. Nothing is held but some of it.

    `readable`: with `index.html`; a portable package is for machines. `large`: a member may be beyond 2 GiB,
    in a form of ZIP that some old tools cannot read.
    """
    with zipfile.ZipFile(out, "w") as archive:
        _member(archive, "data.json", data(facts, versions()), large=large)
        _member(archive, "schema.json", iter([schema()]), large=False)
        if readable:
            _member(archive, "index.html", page(facts, versions()), large=large)


def _member(archive: zipfile.ZipFile, name: str, parts: Iterator[bytes], *, large: bool) -> None:
    about = zipfile.ZipInfo(name, _EARLIEST)
    about.compress_type = zipfile.ZIP_DEFLATED
    about.create_system = 3  # not the machine's own
    about.external_attr = 0o600 << 16
    with archive.open(about, "w", force_zip64=large) as member:
        waiting = bytearray()
        for part in parts:
            waiting += part
            if len(waiting) >= _TOGETHER:
                member.write(bytes(waiting))
                waiting.clear()
        member.write(bytes(waiting))
