"""The files of `-f`: one file, or every manifest in a folder and below it; and where in them an error is."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from tenure.errors import Invalid

ENDINGS = (".yaml", ".yml", ".json")
_TESTS = (".tests.yaml", ".tests.yml")


def read_files(path: Path) -> dict[Path, str]:
    """The text of each file. The service reads each by itself and checks all of them together.

    Of a folder: what ends in .yaml, .yml or .json, in its subfolders too; not what is hidden, and not
    `*.tests.yaml`, which are tests of policies. BadParameter for what cannot be read and for links that lead
    out of the folder: what is applied is what lies there to be reviewed.
    """
    files = [path]
    if path.is_dir():
        files = sorted(_below(path))
        if not files:
            raise _wrong(f"{path} holds no .yaml, .yml or .json file.")
    found = {}
    for file in files:
        try:
            found[file] = file.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as failure:
            raise _wrong(f"{file} cannot be read as UTF-8 text.") from failure
    return found


def request_body(texts: dict[Path, str]) -> str:
    """All files in one request."""
    return json.dumps({"files": list(texts.values())}, ensure_ascii=False)


@contextmanager
def located(texts: dict[Path, str]) -> Iterator[None]:
    """An error about what was sent names the file, and `FILE:LINE` where the line is known."""
    try:
        yield
    except Invalid as failure:
        if type(failure.file) is int and 0 <= failure.file < len(texts):
            path = str(list(texts)[failure.file])
            failure.file = path
            failure.detail = f"{path}{'' if failure.line is None else f':{failure.line}'}: {failure.detail}"
        raise


def _below(folder: Path) -> Iterator[Path]:
    home = folder.resolve()
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (Path(above) / name).is_symlink():
                raise _wrong(f"{Path(above) / name} is a link to a folder, which is not followed.")
        for name in names:
            file = Path(above) / name
            if name.startswith(".") or not name.endswith(ENDINGS) or name.endswith(_TESTS):
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(home):
                raise _wrong(f"{file} is a link out of the folder, which is not followed.")
            yield file


def _wrong(what: str) -> typer.BadParameter:
    return typer.BadParameter(f"{what} Nothing was done.", param_hint="--file")
