"""The files of `-f`: one file, or every manifest in a folder and below it; and where in them an error is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from tenure.cli.folder import manifest_files
from tenure.errors import Invalid


def read_files(path: Path) -> dict[Path, str]:
    """The text of each file. The service reads each by itself and checks all of them together.

    Of a folder: what ends in .yaml, .yml or .json, in its subfolders too; not what is hidden, and not
    `*.tests.yaml`, which are tests of policies. BadParameter for what cannot be read and for links that lead
    out of the folder: what is applied is what lies there to be reviewed.
    """
    files = [path]
    if path.is_dir():
        files = manifest_files(path)
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


def _wrong(what: str) -> typer.BadParameter:
    return typer.BadParameter(f"{what} Nothing was done.", param_hint="--file")
