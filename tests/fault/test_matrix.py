"""A cut of the crash matrix: durable steps of an erasure, with what may follow in turn.

Every run draws which: of four steps one on each database, never the same. What failed is named, and played
again by `--cut` and `--shift` as they were. `make crash-matrix` plays all of it.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

from support.postgres import Server

TESTS = Path(__file__).parents[1]
CUT = ("--cut=4", f"--shift={random.randrange(20)}")
"""Four times five: each quarter of the steps meets each order of the follow-ups, in one run or another."""
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
    assert done.returncode == 0, f"{options}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_embedded_and_the_control() -> None:
    """A matrix that watches the wrong places is green as well; so is one that finds nothing."""
    said = _played(*CUT, "--steps", "--broken", "--database", "sqlite")
    assert NONE_WRONG in said
    for step in ("mirror/journal", "mirror/manifests", "key_pointer", "unlink keys/root", "certificates"):
        assert step in said
    assert said.count("found: ") >= 4
    assert "NOT found" not in said


def test_on_postgresql(postgres: Server) -> None:
    url = postgres.url(str(postgres.admin.database))
    assert NONE_WRONG in _played(*CUT, "--database", "postgresql", TEST_DATABASE_URL=url)
