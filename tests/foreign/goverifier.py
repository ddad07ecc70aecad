"""Builds and runs the foreign verifier. Other tests use it on logs that a server publishes."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("verify.go")
_GOPATH = os.environ.get("TENURE_TEST_GOPATH", "/usr/share/gocode")


def build(directory: Path) -> Path:
    """Compile it into `directory`; skip the test where that cannot be, unless everything is required."""
    go = shutil.which("go")
    if go is None or not (Path(_GOPATH) / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        if os.environ.get("TENURE_REQUIRE_ALL"):
            pytest.fail("needs go and golang.org/x/mod (Debian: golang-go golang-golang-x-mod-dev)")
        pytest.skip("needs go and golang.org/x/mod (Debian: golang-go golang-golang-x-mod-dev)")
    binary = directory / "verify"
    with _compiled() as cache:
        environment = {
            **os.environ,
            "GO111MODULE": "off",
            "GOPATH": _GOPATH,
            "GOCACHE": str(cache),
            "GOFLAGS": "",
            "CGO_ENABLED": "0",
        }
        subprocess.run([go, "build", "-o", binary, _SOURCE], env=environment, check=True)
    return binary


@contextmanager
def _compiled() -> Iterator[Path]:
    """What Go compiled before: its library takes ten seconds of computing, once for all tests of a machine.

    One build at a time: a second one that begins beside the first would compile everything again.
    """
    cache = Path(tempfile.gettempdir()) / f"tenure-tests-go-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def run(binary: Path, target: str, vkey: str, earlier: Sequence[Path] = ()) -> tuple[bool, str]:
    """(whether all holds, what it says)."""
    options = [part for path in earlier for part in ("-earlier", str(path))]
    command = [str(binary), "-vkey", vkey.strip(), *options, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0, done.stdout + done.stderr
