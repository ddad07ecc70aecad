"""A cut of the crash matrix: each durable step of an erasure, with what may follow in turn.

`make crash-matrix` plays all of it.
"""

import os
import subprocess
import sys
from pathlib import Path

from support.postgres import Server

TESTS = Path(__file__).parents[1]
NONE_WRONG = "0 resurrections, 0 lost survivors, 0 certificates before destruction, 0 other failures"


def _played(*options: str, **environment: str) -> str:
    """In a process of its own: it forks, and must have no other threads."""
    path = os.pathsep.join((str(TESTS.parent / "app"), str(TESTS)))
    done = subprocess.run(
        [sys.executable, "-m", "fault.matrix", *options],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_embedded() -> None:
    said = _played("--cut=2", "--database", "sqlite")
    assert NONE_WRONG in said


def test_on_postgresql(postgres: Server) -> None:
    url = postgres.url(str(postgres.admin.database))
    assert NONE_WRONG in _played("--cut=2", "--database", "postgresql", TEST_DATABASE_URL=url)


def test_the_steps_of_an_erasure_are_found() -> None:
    """A matrix that watches the wrong places is green as well."""
    said = _played("--steps", "--database", "sqlite")
    for step in ("mirror/journal", "mirror/manifests", "key_pointer", "unlink keys/root", "certificates"):
        assert step in said


def test_a_service_broken_on_purpose_is_found_out() -> None:
    said = _played("--broken", "--database", "sqlite")
    assert said.count("found: ") >= 4
    assert "NOT found" not in said
