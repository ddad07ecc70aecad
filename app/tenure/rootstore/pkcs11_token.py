"""A PKCS#11 token: sessions, the objects of one cell, and the library's errors as ours.

A session lives as long as one call, so that no login outlasts its use. PKCS#11 logs a whole process in
and out, so calls of this process take turns. Processes of one machine do too, by a lock file: SoftHSM
shows one process late, or not at all, what another is just writing.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pkcs11
from pkcs11 import exceptions as p11

from tenure.errors import Invalid, KeyFailure, TenureError, Unavailable

PIN_VARIABLE: Final = "TENURE_PKCS11_PIN"
_PINS: Final = (p11.PinIncorrect, p11.PinLocked, p11.PinExpired, p11.PinInvalid, p11.PinLenRange)
_ABSENT: Final = (p11.NoSuchToken, p11.TokenNotPresent, p11.DeviceRemoved, p11.TokenNotRecognised)
_turn = threading.RLock()


class Token:
    """Where a token is, and how to get in. Opens nothing by itself."""

    def __init__(self, module: str, label: str, lock: Path, pin_file: Path | None = None) -> None:
        """`module` is the vendor's shared library. Without a file the PIN is in `TENURE_PKCS11_PIN`."""
        self._module = module
        self._label = label
        self._lock = lock
        self._pin_file = pin_file

    @contextmanager
    def session(self) -> Iterator[pkcs11.Session]:
        """A read-write user session. KeyFailure when the token refuses, Unavailable when it is not there."""
        pin = self._pin()
        with _turn, _alone(self._lock), _mapped():
            token = pkcs11.lib(self._module).get_token(token_label=self._label)
            with token.open(rw=True, user_pin=pin) as session:
                yield session

    def _pin(self) -> str:
        try:
            pin = (
                self._pin_file.read_text("utf-8").rstrip("\r\n")
                if self._pin_file
                else os.environ.get(PIN_VARIABLE, "")
            )
        except (OSError, UnicodeDecodeError):
            pin = ""
        if not pin:
            raise Invalid(
                "The token's PIN is not given; nothing was opened.",
                field="pin-file" if self._pin_file else PIN_VARIABLE,
                rule="the user PIN, in a file that this process can read or in the environment",
                remedy=f"Set {PIN_VARIABLE}, or add pin-file=FILE to the root store's URL.",
            )
        return pin


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process of this machine at a time."""
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = lock.open("a+b")
    except OSError as failure:
        raise KeyFailure(
            "The lock file beside the root directory's keys cannot be written; nothing was done.",
            field="TENURE_ROOT_DIR",
            rule="a directory that this process can write",
            remedy="Check owner, mode and free space.",
        ) from failure
    with file:  # closing it gives the lock back
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _mapped() -> Iterator[None]:
    """The library's errors as ours: its class is shown, which names the return value, and nothing else."""
    try:
        yield
    except TenureError:
        raise
    except _PINS as failure:
        raise _refused(failure, "Correct the PIN before more tries lock the token.") from None
    except _ABSENT as failure:
        raise Unavailable(
            f"The token is not there ({type(failure).__name__}); nothing was done.",
            retry_after=5,
            remedy="Check the token's label, and that the module can reach it.",
        ) from None
    except p11.PKCS11Error as failure:
        raise _refused(failure, "Check the module, the token's state, and docs/rootstores.md.") from None


def _refused(failure: Any, remedy: str) -> KeyFailure:  # noqa: ANN401 - a library's exception
    return KeyFailure(
        f"The token refused ({type(failure).__name__}); the operation was not completed.",
        rule="pkcs11",
        remedy=remedy,
    )
