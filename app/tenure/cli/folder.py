"""A folder of manifests as files: which of them are manifests, and which are tests of these."""

from collections.abc import Iterator
from pathlib import Path

_PATTERNS = ("*.yaml", "*.yml", "*.json")
_CASES = (".tests.yaml", ".tests.yml")


def is_cases(file: Path) -> bool:
    """Whether a file tests manifests: it is never applied."""
    return file.name.endswith(_CASES)


def manifest_files(folder: Path) -> list[Path]:
    """The manifests of a folder, by name. Folders in it are not looked into."""
    return sorted(file for file in _files(folder) if not is_cases(file))


def case_files(folder: Path) -> list[Path]:
    """The tests beside them, by name."""
    return sorted(file for file in _files(folder) if is_cases(file))


def _files(folder: Path) -> Iterator[Path]:
    for pattern in _PATTERNS:
        yield from folder.glob(pattern)
