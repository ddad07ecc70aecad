"""SoftHSM2: a software token with its own folder, for tests. The interface and the rules of a real one."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenure.rootstore.pkcs11 import Pkcs11RootStore, Token

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
LABEL = "tenure-test"
PIN = "canary-pin-7341"


@dataclass(frozen=True)
class SoftHsm:
    """One token, and a cell's name of its own for each test."""

    module: str
    label: str
    folder: Path
    cell: str = "test"

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    def store(self, cell: str = "") -> Pkcs11RootStore:
        return Pkcs11RootStore(
            Token(self.module, self.label, self.folder / "lock", self.pin_file), cell or self.cell
        )

    @property
    def url(self) -> str:
        given = {"module": self.module, "token": self.label, "cell": self.cell, "pin-file": self.pin_file}
        return "pkcs11:?" + "&".join(f"{name}={value}" for name, value in given.items())


def begin(folder: Path) -> SoftHsm:
    """A fresh token. Skips where SoftHSM2 is missing, or fails where all must run.

    The library reads configuration and tokens once a process: there is one token for a whole test run.
    """
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        missing = "SoftHSM2 is not installed (Debian: softhsm2)"
        if os.environ.get("TENURE_REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(config)
    (folder / "pin").write_text(PIN + "\n")
    command = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "98765", "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True)
    return SoftHsm(module, LABEL, folder)
