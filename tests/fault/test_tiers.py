"""A cut of tiering killed for some faults, another one with every run.

`make tier-matrix` plays all of it, on a real bucket, too.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
NONE_WRONG = "0 lost, 0 doubled, 0 reads or commitments that differ, 0 other failures"
FAULTS = ("answer lost", "503 SlowDown", "clock 30 days ahead")


def test_killed_while_contents_move() -> None:
    """In a process of its own: it forks, and must have no other threads."""
    path = os.pathsep.join((str(TESTS.parent / "app"), str(TESTS)))
    cut = ("--cut=24", f"--shift={random.randrange(24)}")
    chosen = [option for name in FAULTS for option in ("--fault", name)]
    done = subprocess.run(
        [sys.executable, "-m", "fault.tiers", "--store", "files", *cut, *chosen],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{cut}\n{done.stdout}{done.stderr}"
    assert NONE_WRONG in done.stdout
    assert (done.stdout.count("found: "), "NOT found" in done.stdout) == (4, False)
    for step in ("claim", "PUT", "move"):
        assert step in done.stdout, "a matrix that watches the wrong places is green as well"
