"""Builds and runs the foreign verifier. Other tests use it on logs that a server publishes."""

import os
import shutil
import subprocess
from collections.abc import Sequence
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
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": _GOPATH,
        "GOCACHE": str(directory / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run([go, "build", "-o", binary, _SOURCE], env=environment, check=True)
    return binary


def run(binary: Path, target: str, vkey: str, earlier: Sequence[Path] = ()) -> tuple[bool, str]:
    """(whether all holds, what it says)."""
    options = [part for path in earlier for part in ("-earlier", str(path))]
    command = [str(binary), "-vkey", vkey.strip(), *options, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0, done.stdout + done.stderr
