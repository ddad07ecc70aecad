"""A folder of manifests as files: which of them are manifests, and which are tests of these."""

import os
from collections.abc import Iterator
from pathlib import Path

import typer

ENDINGS = (".yaml", ".yml", ".json")
_CASES = (".tests.yaml", ".tests.yml")


def manifest_files(folder: Path) -> list[Path]:
    """The manifests in a folder and below it, by name: never a test of them."""
    return sorted(file for file in _below(folder) if not is_cases(file))


def case_files(folder: Path) -> list[Path]:
    """The tests beside them, by name."""
    return sorted(file for file in _below(folder) if is_cases(file))


def is_cases(file: Path) -> bool:
    """Whether a file tests manifests: it is never applied."""
    return file.name.endswith(_CASES)


def _below(folder: Path) -> Iterator[Path]:
    """What ends as manifests do and is not hidden.

    BadParameter for links that lead out of the folder: what counts is what lies there to be reviewed.
    """
    home = folder.resolve()
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (Path(above) / name).is_symlink():
                raise _wrong(f"{Path(above) / name} is a link to a folder, which is not followed.")
        for name in names:
            file = Path(above) / name
            if name.startswith(".") or not name.endswith(ENDINGS):
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(home):
                raise _wrong(f"{file} is a link out of the folder, which is not followed.")
            yield file


def _wrong(what: str) -> typer.BadParameter:
    return typer.BadParameter(f"{what} Nothing was done.")
